"""Which settings have choices: the command line keeps to them, Python does not."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args, get_origin, get_type_hints

SHORT = {"restorer.network": "--network", "restorer.weights": "--weights"}
"""Settings that have a short flag."""


def flag_of(setting: str) -> str:
    """The flag of a setting, as one writes it.

    >>> flag_of("restorer.network"), flag_of("restorer.width")
    ('--network', '--restorer.width')
    """
    return SHORT.get(setting, f"--{setting}")


def choices_of(settings: object, prefix: str = "") -> dict[str, tuple[object, tuple[object, ...]]]:
    """Name, value and choices of every setting of a tree of dataclasses that has choices."""
    found: dict[str, tuple[object, tuple[object, ...]]] = {}
    for name, kind in get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        if get_origin(kind) is Literal:
            found[prefix + name] = (value, get_args(kind))
        elif get_origin(kind) is list and get_origin(get_args(kind)[0]) is Literal:
            allowed = get_args(get_args(kind)[0])
            found |= dict.fromkeys(() if set(value) <= set(allowed) else [prefix + name], (", ".join(value), allowed))
        elif dataclasses.is_dataclass(value):
            found |= choices_of(value, f"{name}.")
    return found
