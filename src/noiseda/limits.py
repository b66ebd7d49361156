"""The numbers that settings may take."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING

from noiseda import strategy_settings
from noiseda.errors import UserError

if TYPE_CHECKING:
    from noiseda.config import AdaptSettings

_POSITIVE = (
    "training.steps", "training.batch", "training.accumulate", "training.learning_rate",
    "training.predictor_learning_rate", "training.validate_every", "training.checkpoint_every", "training.log_every",
    "training.picture_every", "restorer.width", "restorer.depth", "predictor.width", "predictor.blocks",
    "predictor.stem", "max_megapixels", "cache_gigabytes", "shards.window", "shards.draws",
    *strategy_settings.POSITIVE,
)  # fmt: skip
_SHARES = ("training.ema", "predictor.dropout", *strategy_settings.SHARES)
_NOT_NEGATIVE = (
    "objective.weight", "objective.ramp", "objective.margin", "training.clip", "training.forgetting",
    "training.snapshot_every", "training.workers", "seed", "look_alikes", *strategy_settings.NOT_NEGATIVE,
)  # fmt: skip

LARGEST = 1e15
"""The largest number that any setting takes, and the smallest below zero."""

MOST = 1_000_000_000
"""The largest whole number that a setting takes which :data:`HIGHEST` does not list."""

HIGHEST = {
    "accumulate": 65_536,
    "batch": 65_536,
    "bins": 4096,
    "blocks": 64,
    "curve_images": 1_000_000,
    "depth": 64,
    "discriminator": 4096,
    "draws": 1_000_000,
    "grid": 4096,
    "kernels": 64,
    "look_alikes": 100_000,
    "multipliers": 64,
    "noise": 4096,
    "parallel": 1024,
    "patch": 16_384,
    "photographs": 1_000_000,
    "refinements": 1024,
    "scale": 64,
    "seed": 2**63 - 1,
    "seeds": 2**63 - 1,
    "signal_images": 1_000_000,
    "size": 65_536,
    "stem": 64,
    "threads": 4096,
    "width": 4096,
    "window": 1_000_000,
    "workers": 1024,
}
"""Last part of a setting's name -> the largest whole number it takes: more than anyone needs, and what can be built."""

_LONGEST_LIST = 64
"""Numbers in a list, such as the blocks of each stage; a seed has its own run, and so may be one of more."""


def check_numbers(settings: object) -> None:
    """Check that every number is one that can be used at all: finite, and no larger than anyone needs.

    Args:
        settings: a dataclass, or what the command line gave, a dictionary.

    Raises:
        UserError: naming the setting, what was given and what was expected.
    """
    for name, value in _numbers(settings, ""):
        last = name.rpartition(".")[2]
        highest = HIGHEST.get(last, MOST) if isinstance(value, int) else LARGEST
        shown = f"--{name.replace('_', '-') if isinstance(settings, dict) and '.' not in name else name}"
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{shown} must be a finite number, not {value}")
        if value > highest or -value > LARGEST:
            few = f"{value}" if abs(value) < 10**20 else f"about 1e{math.log10(abs(value)):.0f}"
            raise UserError(f"{shown} must be at most {highest:{'g' if highest == LARGEST else ',d'}}, not {few}")


def _numbers(value: object, name: str) -> Iterator[tuple[str, int | float]]:
    """Every number of a tree of settings, with its dotted name."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        if len(value) > _LONGEST_LIST and name != "seeds" and not isinstance(value[0], str):
            raise UserError(f"--{name} must have at most {_LONGEST_LIST} numbers, not {len(value):,}")
        for inner in value:
            yield from _numbers(inner, name)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield name, value


def check_limits(settings: AdaptSettings) -> None:
    """Check every number against its limits.

    Raises:
        UserError: naming the flag, what was given and what was expected.
    """
    check_numbers(settings)
    for flag in _POSITIVE:
        value = attrgetter(flag)(settings)
        if value is not None and not value > 0:
            raise UserError(f"--{flag} must be greater than 0, not {value}")
    for flag in _NOT_NEGATIVE:
        value = attrgetter(flag)(settings)
        if value is not None and not value >= 0:
            raise UserError(f"--{flag} must not be negative, but is {value}")
    for flag in _SHARES:
        value = attrgetter(flag)(settings)
        if not 0 <= value < 1:
            raise UserError(f"--{flag} must be at least 0 and less than 1, not {value}")
    if settings.white_level is not None and not 1 <= settings.white_level <= 65535:
        raise UserError(f"--white_level must be a whole number from 1 to 65535, not {settings.white_level}")
    smoothed = settings.degradation.smoothed
    if not 1 <= smoothed < float("inf"):
        raise UserError(f"--degradation.smoothed must be at least 1, not {smoothed}")
    for flag in ("objective.levels", *strategy_settings.LEVELS):
        low, high = attrgetter(flag)(settings)
        if not 1 <= low <= high <= 999:
            raise UserError(f"--{flag} must satisfy 1 <= low <= high <= 999, not {low}, {high}")
    for flag in strategy_settings.RANGES:
        low, high = attrgetter(flag)(settings)
        if not 0 < low <= high:
            raise UserError(f"--{flag} must satisfy 0 < low <= high, not {low}, {high}")
    for flag in strategy_settings.HALVES:
        value = attrgetter(flag)(settings)
        if value > max(16, settings.training.patch) // 2:  # a patch below 16 is refused for what it is
            raise UserError(f"--{flag} must be at most half of --training.patch {settings.training.patch}, not {value}")
