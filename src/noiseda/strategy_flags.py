"""Which sections of the settings belong to which strategies; a flag of one that is not chosen is refused.

That holds for flags alone: a settings file may hold the sections of many strategies, as the presets do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from noiseda.config import Task
from noiseda.errors import UserError
from noiseda.strategies import StrategySections
from noiseda.tasks import TASKS

_KINDS: dict[str, Any] = {one.name: one.default_factory for one in fields(StrategySections)}

BELONGS: dict[str, tuple[str, ...]] = {
    "objective": ("noise-space",),
    "predictor": (
        "noise-space",
        *(name for kind in _KINDS.values() if "predictor" in getattr(kind, "READS", ()) for name in kind.STRATEGIES),
    ),
    **{name: kind.STRATEGIES for name, kind in _KINDS.items()},
}
"""Section of the settings -> strategies that look at it. A section that is not here belongs to every run."""

LEADS_TO: dict[str, tuple[str, ...]] = {"neighbor2neighbor": ("mean-teacher",)}
"""Strategy -> those that may take its place during the run (``--neighbor2neighbor.unlike``)."""


def choices_of_auto(task: Task) -> tuple[str, ...]:
    """The strategies that ``--strategy auto`` may choose for a task.

    >>> choices_of_auto("denoise")
    ('neighbor2neighbor', 'mean-teacher', 'noise-space')
    """
    row = TASKS[task]
    usual = [name for name in (row.strategy_matched, row.strategy) if name]
    with_others = [other for name in usual for other in (name, *LEADS_TO.get(name, ()))]
    return tuple(dict.fromkeys([*with_others, "noise-space"]))  # the last with --reference


def sections_of(strategy: str) -> list[str]:
    """The sections that belong to a strategy.

    >>> sections_of("noise-space")
    ['objective', 'predictor']
    """
    return [section for section, strategies in BELONGS.items() if strategy in strategies]


def check_flags(words: Sequence[str], settings: Mapping[str, Any]) -> None:
    """Check that no flag of a strategy is given that the run does not use.

    Args:
        words: what was given to ``noiseda adapt``.
        settings: what it stands for, settings files included.

    Raises:
        UserError: naming the flag, the strategies that it belongs to and those that the run uses.
    """
    chosen = [settings["strategy"], *settings["also"]]
    auto = choices_of_auto(settings["task"]) if "auto" in chosen else ()
    used = {*chosen, *auto, *(later for name in chosen for later in LEADS_TO.get(name, ()))}
    for flag in _flags(words):
        owners = BELONGS.get(flag.partition(".")[0], ())
        if owners and not used.intersection(owners):
            which = f" (which chooses among {', '.join(auto)} for {settings['task']})" if auto else ""
            raise UserError(
                f"--{flag} belongs to --strategy {' or '.join(owners)}, and this run uses {' and '.join(chosen)}{which}"
            )


def _flags(words: Sequence[str]) -> list[str]:
    """The settings that words give a value to.

    >>> _flags(["--mean-teacher.weight", "2", "--out=--dann.width", "--dann.ramp=0"])
    ['mean_teacher.weight', 'out', 'dann.ramp']
    """
    found = [re.match(r"--(\w[\w.-]*)(?:=|$)", word) for word in words]
    return [name[1].replace("-", "_") for name in found if name]
