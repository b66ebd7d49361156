"""What weights of a run were called before, so that a run that was begun then can be continued."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")

_WAS = (
    (r"^denoiser\.", "prior."),  # of score distillation
    (r"^parts\.1\.", ""),  # a stage, before there were stages
    (r"^(parts\.\d+\.)parts\.1\.", r"\1"),  # the same in a combination
    (r"^(parts\.\d+\.)denoiser\.", r"\1prior."),
)
"""Today's name -> the one before, as patterns."""


def renamed(state: Mapping[str, Value], wanted: Iterable[str]) -> dict[str, Value]:
    """A state by today's names.

    What no longer exists is left out; what is missing under every name stays missing.

    Args:
        state: by the names that it was written with.
        wanted: today's names.

    >>> renamed({"restorer.w": 1, "teacher.w": 2}, ["restorer.w", "parts.0.restorer.w", "parts.1.teacher.w"])
    {'restorer.w': 1, 'parts.0.restorer.w': 1, 'parts.1.teacher.w': 2}
    """
    names = list(wanted)
    if set(names) == set(state):
        return dict(state)
    found = {name: _before(name, state) for name in names}
    return {name: state[old] for name, old in found.items() if old is not None}


def _before(name: str, state: Mapping[str, object]) -> str | None:
    shared = re.sub(r"^(parts\.\d+\.)+restorer\.", "restorer.", name)  # every part names the restorer too
    candidates = [name, shared, *(re.sub(pattern, old, name) for pattern, old in _WAS)]
    return next((candidate for candidate in candidates if candidate in state), None)
