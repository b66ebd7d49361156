import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
import torch

from noiseda.errors import UserError
from noiseda.training import checkpoints


def state(step: int) -> dict[str, object]:
    return {"step": step, "weights": {"w": torch.full((100,), float(step))}}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        assert checkpoints.save(tmp_path, step, state(step)) == tmp_path / f"step-{step:08d}.pt"
    assert names(tmp_path) == ["step-00000010.pt", "step-00000015.pt"]
    newest = checkpoints.latest(tmp_path)
    assert newest is not None
    torch.testing.assert_close(newest, state(15))


def test_there_may_be_none(tmp_path: Path) -> None:
    assert checkpoints.latest(tmp_path) is None
    assert checkpoints.latest(tmp_path / "missing") is None


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_one_is_named_and_the_one_before_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kept: float
) -> None:
    checkpoints.save(tmp_path, 5, state(5))
    newest = checkpoints.save(tmp_path, 10, state(10))
    content = newest.read_bytes()
    newest.write_bytes(content[: int(kept * len(content))])
    found = checkpoints.latest(tmp_path)
    assert found is not None
    assert found["step"] == 5
    assert str(newest) in caplog.text


def test_a_pickle_that_would_run_code_is_not_obeyed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"step": Trap()}, tmp_path / "step-00000005.pt")
    assert checkpoints.latest(tmp_path) is None
    assert not (tmp_path / "ran").exists()


def test_an_unreadable_one_beyond_the_step_and_cut_off_files_are_cleared(tmp_path: Path) -> None:
    for step in (3, 6, 9):
        checkpoints.save(tmp_path, step, state(step))
    (tmp_path / "step-00000009.pt").write_bytes(b"")
    (tmp_path / ".0123.part").write_bytes(b"cut off by a kill")
    checkpoints.save(tmp_path, 7, state(7))
    assert names(tmp_path) == ["step-00000006.pt", "step-00000007.pt"]


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "step-best.pt").write_bytes(b"mine")
    (tmp_path / "notes.txt").write_bytes(b"mine")
    for step in range(4):
        checkpoints.save(tmp_path, step, state(step))
    assert {"step-best.pt", "notes.txt"} < set(names(tmp_path))


def test_a_full_disk_is_reported_and_those_before_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.save(tmp_path, 5, state(5))

    @contextmanager
    def full(path: Path) -> Iterator[BinaryIO]:
        raise OSError(errno.ENOSPC, "No space left on device")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "atomic", full)
        with pytest.raises(UserError, match=r"step-00000010\.pt.*No space left"):
            checkpoints.save(tmp_path, 10, state(10))
    found = checkpoints.latest(tmp_path)
    assert found is not None
    assert found["step"] == 5
    assert names(tmp_path) == ["step-00000005.pt"]
