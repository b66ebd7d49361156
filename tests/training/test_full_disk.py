"""A disk that is full is one sentence; what was kept goes on to the same weights."""

import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from noiseda.errors import UserError
from noiseda.training import adapt, checkpoints, finish
from noiseda.training.ema import MovingAverage
from noiseda.training.logger import Journal
from tests.training.photographs import small
from tests.training.test_resume import assert_same_result


@contextmanager
def limits() -> Iterator[Callable[[int], None]]:
    """Sets the size beyond which no file can be written, as on a disk without room (Python ignores the signal).

    No fixture: those end after pytest has written the test's outcome, to what may be a long file itself.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    """What threads print of their failures."""
    failures: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda failed: failures.append(failed.exc_value))
    return failures


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kilobytes", "message"),
    [
        (9, r"^the log in --out .* cannot be written: File too large$"),
        (100, r"^cannot write the checkpoint .*000006\.pt: File too large; the checkpoints before it are kept$"),
    ],
)
def test_a_full_disk_ends_a_run_with_a_sentence_and_it_continues_exactly(
    where: Path,
    monkeypatch: pytest.MonkeyPatch,
    printed: list[BaseException | None],
    kilobytes: int,
    message: str,
) -> None:
    whole = small(where, steps=9, proxy_pairs=0, picture_every=1, out=where / "whole", cache=where / "cache")
    broken = replace(whole, out=where / "broken")
    adapt(whole)
    update = MovingAverage.update

    with limits() as limit, monkeypatch.context() as patch:

        def fill(self: MovingAverage, network: torch.nn.Module, done: int) -> None:
            update(self, network, done)
            if done == 3:
                limit(kilobytes * 1000)

        patch.setattr(MovingAverage, "update", fill)
        with pytest.raises(UserError, match=message):
            adapt(broken)
    assert printed == []
    state = checkpoints.latest(broken.out / "checkpoints")
    assert state is not None
    assert state["step"] == 3
    adapt(broken)
    assert_same_result(whole.out, broken.out)


def test_the_thread_that_writes_pictures_does_not_speak_for_itself(
    tmp_path: Path, printed: list[BaseException | None]
) -> None:
    def draw() -> None:
        with Journal(tmp_path, steps=9, start=0, samples=1) as journal, limits() as limit:
            limit(2000)
            for step in range(50):
                journal.pictures(step, "real", [torch.rand(1, 3, 32, 32)])

    before = threading.excepthook
    with pytest.raises(UserError, match="cannot be written: File too large"):
        draw()
    assert printed == []
    assert threading.excepthook is before
    # Faults of other threads are still shown.
    with Journal(tmp_path, steps=9, start=0, samples=1):
        thread = threading.Thread(target=lambda: [].pop())
        thread.start()
        thread.join()
    assert [type(error) for error in printed] == [IndexError]


def test_a_checkpoint_that_cannot_be_is_no_full_disk(tmp_path: Path) -> None:
    class Broken:
        def __reduce__(self) -> str:
            raise RuntimeError("not to be kept")

    with pytest.raises(RuntimeError, match="not to be kept"):
        checkpoints.save(tmp_path, 1, {"x": Broken()})
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot write .*000001\.safetensors: Not a directory; the last checkpoint"):
        finish.write_weights(type("Run", (), {"case": None})(), tmp_path / "out/snapshots/000001.safetensors")
