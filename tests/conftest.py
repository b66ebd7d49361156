"""What holds for every test."""

from collections.abc import Iterator

import pytest

import noiseda  # noqa: F401 (switches off what libraries would report, before a test imports one of them)


@pytest.fixture(autouse=True, scope="session")
def fp32_unless_asked_for() -> Iterator[None]:
    """``--precision auto`` is fp32 on whatever processor the tests run, as their tolerances want it.

    Tests of bf16 ask for it by name; those of the choice itself put another answer in its place. Processes that tests
    start find out for themselves.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("noiseda.precision.computes_bf16", lambda device: False)
        yield
