"""Values on the command line: a path or a name is taken as it is written, all else must be short and spelt in UTF-8."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

from noiseda.errors import UserError
from noiseda.plain_yaml import DEEPEST, Text

LONGEST = 4000
"""Characters of a value that is no path."""

_SHOWN = 60


def is_path(hint: Any) -> bool:  # noqa: ANN401 (any type hint)
    """Whether a path is among what a type takes."""
    return Path in (hint, *typing.get_args(hint))


def take(value: str, hint: Any, flag: str, expected: str) -> str:  # noqa: ANN401 (any type hint)
    """Make a value ready for the parser, which reads YAML unless it is kept from it.

    ``null`` stays what it is where there may be none: a folder of that name is ``./null``.

    Args:
        value: as it was given.
        hint: type of the flag or argument.
        flag: its name, for messages.
        expected: its type in words, likewise.

    Raises:
        UserError: an empty path; a value that is too long, or no text.
    """
    optional = type(None) in typing.get_args(hint)
    in_a_list = typing.get_origin(hint) in (list, tuple, dict)
    named = is_path(hint) or (not in_a_list and str in (hint, *typing.get_args(hint)))
    if is_path(hint) and (not value or "\0" in value):
        raise UserError(f"{flag} must be {expected}, not {shortened(value)}")
    if value == "null" and optional:
        return value
    if named and (is_path(hint) or not flag.startswith("-")):
        return Text(f"./{value}" if value.startswith("-") and is_path(hint) else value)
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise UserError(f"{flag} must be {expected}, not {shortened(value)}")
    if named:
        return Text(value)
    if len(value) > LONGEST or _depth(value) > DEEPEST:
        raise UserError(f"{flag} must be {expected}, not {shortened(value)}")
    return value


def shortened(value: object) -> str:
    """A value in quotes, of a long one its beginning."""
    text = str(value)
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}… ({len(text):,} characters)"


def _depth(text: str) -> int:
    """How deep brackets stand in one another."""
    depth = deepest = 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        deepest = max(deepest, depth)
    return deepest
