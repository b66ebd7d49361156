"""Numbers that can be used at all: finite, and no larger than anyone needs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

from noiseda.errors import UserError

__all__ = ["check_numbers"]

LARGEST = 1e15
"""The largest number that any setting takes, and the smallest below zero."""

MOST = 1_000_000_000
"""The largest whole number that a setting takes which :data:`HIGHEST` does not list."""

HIGHEST = {
    "gradient_accumulation": 65_536,
    "batch": 65_536,
    "bins": 4096,
    "blocks": 64,
    "curve_images": 1_000_000,
    "depth": 64,
    "discriminator": 4096,
    "draws": 1_000_000,
    "grid": 4096,
    "kernels": 64,
    "proxy_pairs": 100_000,
    "channel_mults": 64,
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
    "patch_size": 64,
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
