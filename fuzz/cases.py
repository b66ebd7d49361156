"""A case, which its seed, kind and number decide alone, and what became of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

COUNTS = {"images": 500, "weights": 100, "shards": 50, "flags": 60, "kills": 20}
"""Kind -> number of its cases."""


@dataclass(frozen=True)
class Case:
    """One input, or one bad day."""

    kind: str
    number: int
    seed: int = 0

    @property
    def chance(self) -> random.Random:
        """What every draw of the case comes from."""
        return random.Random(f"{self.seed} {self.kind} {self.number}")

    @property
    def numbers(self) -> np.random.Generator:
        """The same for arrays."""
        return np.random.default_rng([self.seed, self.number, *self.kind.encode()])

    @property
    def command(self) -> str:
        """What shows it again."""
        return f"python -m fuzz --seed {self.seed} --only {self.kind} --number {self.number}"


@dataclass
class Outcome:
    """What became of a case."""

    case: Case
    verdict: Literal["accepted", "refused", "wrong"]
    what: str = ""
    """What was tried, in a few words."""

    why: str = ""
    """What is wrong, or the sentence that refused it."""

    seconds: float = 0.0
    """On the clock."""

    work: float = 0.0
    """Seconds of the processor."""

    megabytes: float = 0.0
    """The process's peak, its libraries counted."""

    kept: Path | None = None
    """Where what it was made of is kept."""


class Wrong(Exception):  # noqa: N818 (a verdict)
    """What no case may do."""


Run: TypeAlias = Callable[[Case, Path], str | None]
"""Tries a case in a folder, and returns the sentence that refused it (None: accepted); raises what is wrong."""


def tried(place: Path, what: str) -> None:
    """Note down what is tried, so that it is known even where the process does not live to say so."""
    (place / "what.txt").write_text(what, errors="replace")


def was_tried(place: Path) -> str:
    """What :func:`tried` noted down."""
    note = place / "what.txt"
    return note.read_text() if note.exists() else ""
