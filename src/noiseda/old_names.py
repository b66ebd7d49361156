"""What settings, and weights of a run, were called before: files that were written then are read as they were meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from noiseda.errors import UserError
from noiseda.extensions import without_missing

Value = TypeVar("Value")

SETTINGS = {
    "look_alikes": "proxy_pairs",
    "predictor.multipliers": "predictor.channel_mults",
    "predictor.stem": "predictor.patch_size",
    "training.accumulate": "training.gradient_accumulation",
    "training.clip": "training.max_grad_norm",
    "training.decay": "training.lr_schedule",
    "training.ema": "training.ema_decay",
    "training.forgetting": "training.max_regression_db",
}
"""A setting's name before -> today's."""

_WAS = (
    (r"^denoiser\.", "prior."),  # of score distillation
    (r"^reference\.", "judge."),
    (r"^discriminator_(real|syn)\.", r"judge_\1."),
    (r"^parts\.1\.", ""),  # a stage, before there were stages
    (r"^(parts\.\d+\.)parts\.1\.", r"\1"),  # the same in a combination
    (r"^(parts\.\d+\.)denoiser\.", r"\1prior."),
    (r"^(parts\.\d+\.)reference\.", r"\1judge."),
)
"""Of weights, today's name -> the one before, as patterns."""


def settings_by_todays_names(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A tree of settings by today's names, in the order of the tree.

    >>> settings_by_todays_names({"training": {"ema": 0.9, "steps": 3}})
    {'training': {'ema_decay': 0.9, 'steps': 3}}

    Args:
        tree: name -> value, or the tree of a section.

    Raises:
        UserError: a setting stands there by both its names.
    """
    return _by_todays_names(without_missing(tree), "")


def _by_todays_names(tree: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        today = SETTINGS.get(f"{prefix}{name}", f"{prefix}{name}").removeprefix(prefix)
        if today != name and today in tree:
            raise UserError(f"{prefix}{name} and {prefix}{today} are one setting: give it once, by the second name")
        found[today] = _by_todays_names(value, f"{name}.") if isinstance(value, Mapping) and not prefix else value
    return found


def flag_by_todays_name(word: str) -> str:
    """A word of a command line by today's names.

    >>> flag_by_todays_name("--training.ema=0.99"), flag_by_todays_name("--look-alikes")
    ('--training.ema_decay=0.99', '--proxy_pairs')
    """
    flag, equals, value = word.partition("=")
    today = SETTINGS.get(flag.removeprefix("--").replace("-", "_")) if flag.startswith("--") else None
    return word if today is None else f"--{today}{equals}{value}"


def optimizer_by_todays_names(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state of an optimiser whose groups have a ``base_lr``, which was a ``peak``.

    >>> optimizer_by_todays_names({"state": {}, "param_groups": [{"peak": 0.1}]})
    {'state': {}, 'param_groups': [{'base_lr': 0.1}]}
    """
    groups = [
        {("base_lr" if name == "peak" else name): value for name, value in group.items()}
        for group in state["param_groups"]
    ]
    return {**state, "param_groups": groups}


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
