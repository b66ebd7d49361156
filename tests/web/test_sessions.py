import os
import time
from pathlib import Path

import pytest

from noiseda.web.adapting import Adaptation
from noiseda.web.sessions import IDLE, STRAY, Sessions


class Running(Adaptation):
    """One that does nothing until it is ended."""

    def __init__(self) -> None:
        self.alive = True

    @property
    def running(self) -> bool:
        return self.alive

    def kill(self) -> None:
        self.alive = False


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(tmp_path: Path, clock: Clock) -> Sessions:
    return Sessions(tmp_path, clock)


def test_each_page_has_a_folder_that_nobody_else_can_guess(sessions: Sessions) -> None:
    first, second = sessions.of("one"), sessions.of("two")
    assert first is sessions.of("one")
    assert first.folder != second.folder
    assert first.folder.parent == sessions.root
    assert len(first.folder.name) == 32
    assert first.folder.stat().st_mode & 0o777 == 0o700


def test_the_name_of_a_page_is_no_part_of_a_path(sessions: Sessions) -> None:
    assert sessions.of("../../etc").folder.parent == sessions.root


def test_closing_removes_the_folder_and_ends_what_runs(sessions: Sessions) -> None:
    session, other = sessions.of("one"), sessions.of("two")
    (session.fresh("photographs") / "a.png").write_bytes(b"")
    session.adaptation = run = Running()
    assert sessions.adapting()
    sessions.close("one")
    assert not session.folder.exists()
    assert not run.running
    assert other.folder.exists()
    assert not sessions.known("one")
    sessions.close("one")
    sessions.close_all()
    assert list(sessions.root.iterdir()) == []


def test_a_folder_for_a_purpose_is_empty_each_time(sessions: Sessions) -> None:
    session = sessions.of("one")
    (session.fresh("restored") / "a.png").write_bytes(b"")
    assert list(session.fresh("restored").iterdir()) == []


def test_pages_that_nobody_heard_of_are_closed_unless_they_train(sessions: Sessions, clock: Clock) -> None:
    for name in ("idle", "trains", "used"):
        sessions.of(name)
    sessions.of("trains").adaptation = Running()
    clock.now = IDLE + 1
    sessions.of("used")
    sessions.sweep()
    assert [sessions.known(name) for name in ("idle", "trains", "used")] == [False, True, True]


def test_uploads_that_no_page_asked_for_are_removed_in_time(sessions: Sessions) -> None:
    old, new, kept = sessions.root / "old", sessions.root / "new", sessions.of("one").folder
    for folder in (old, new):
        folder.mkdir()
        (folder / "a.png").write_bytes(b"")
    long_ago = time.time() - STRAY - 1
    for folder in (old, kept):
        os.utime(folder, (long_ago, long_ago))
    sessions.sweep()
    assert sorted(sessions.root.iterdir()) == sorted([new, kept])
