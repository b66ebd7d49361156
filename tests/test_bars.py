"""A bar beside what takes a while: on a terminal alone, and of several processes by the first alone."""

import io

import pytest
from rich.console import Console

from noiseda.bars import bar


def shown(*, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=60)
    assert list(bar("abc", "looking", console=console)) == ["a", "b", "c"]
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_how_far_it_is() -> None:
    said = shown(terminal=True)
    assert "looking" in said
    assert "100%" in said


def test_elsewhere_nothing_is_said() -> None:
    assert shown(terminal=False) == ""


def test_other_processes_than_the_first_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    assert shown(terminal=True) == ""
