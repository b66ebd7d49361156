"""Flags that name a value inside of a tree: ``--settings.training.steps 300`` changes that one alone.

The parser knows the first level of a tree whose names are free, and would put {steps: 300} in the place of all of
``training``.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from noiseda.errors import UserError
from noiseda.plain_yaml import load_once, reason

Inside = list[tuple[str, tuple[str, ...], str]]
"""Flags that were given: the name of a tree, the names below it, and the value as it was written."""


def is_tree(hint: object) -> bool:
    """Whether the names below a setting are free.

    >>> is_tree(dict[str, float]), is_tree(dict[str, int] | None), is_tree(list[str])
    (True, True, False)
    """
    return dict in (typing.get_origin(hint), *map(typing.get_origin, typing.get_args(hint)))


def taken_out(words: Sequence[str], trees: Sequence[str]) -> tuple[list[str], Inside]:
    """Words without those flags that name a value two levels below a tree or deeper, and these.

    >>> taken_out(["--seeds", "[0]", "--settings.training.steps", "3"], ["settings"])
    (['--seeds', '[0]'], [('settings', ('training', 'steps'), '3')])

    Args:
        words: as the parser takes them.
        trees: names of the trees.

    Raises:
        UserError: a flag without a value.
    """
    rest, found = list[str](), Inside()
    given: Iterator[str] = iter(words)
    for word in given:
        flag, equals, value = word.partition("=")
        tree, *names = flag.removeprefix("--").split(".")
        if word == "--":
            return [*rest, word, *given], found
        if not flag.startswith("--") or tree not in trees or len(names) < 2 or not all(names):
            rest.append(word)
            continue
        value = value if equals else next(given, "--")
        if not equals and value.startswith("--"):
            raise UserError(f"{flag} needs a value")
        found.append((tree, tuple(names), value))
    return rest, found


def put(tree: dict[str, Any], inside: Inside) -> dict[str, Any]:
    """A tree of plain values in which flags have changed some.

    >>> put({"settings": {"training": {"steps": 9, "batch": 4}}}, [("settings", ("training", "steps"), "3")])
    {'settings': {'training': {'steps': 3, 'batch': 4}}}

    Raises:
        UserError: naming a flag whose value cannot be read, or that stands below a single value.
    """
    changed = tree
    for top, names, text in inside:
        flag = "--" + ".".join((top, *names))
        try:
            value = load_once(text)
        except yaml.YAMLError as error:
            raise UserError(f"{flag} cannot be read: {reason(error)}") from error
        changed = _with(changed, (top, *names), value, flag)
    return changed


def _with(tree: object, names: tuple[str, ...], value: object, flag: str) -> dict[str, Any]:
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise UserError(f"{flag} names a value inside of {tree!r}, which is no group of settings")
    first, *rest = names
    return {**tree, first: _with(tree.get(first), tuple(rest), value, flag) if rest else value}
