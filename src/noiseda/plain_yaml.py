"""YAML as settings need it: plain values, no name twice, nothing that grows when it is read."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from typing import Any

import yaml

MOST = 20_000
"""Values of a tree of settings, those counted again that aliases repeat."""

DEEPEST = 32
"""Levels of a tree of settings."""

# YAML 1.1 takes 1e-3 for a text, and 2024-01-01 for a date.
_FLOAT = re.compile(
    r"(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+|\.[0-9_]+(?:[eE][-+]?[0-9]+)?"
    r"|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN))\Z"
)


class Text(str):
    """A text that was read already, never to be read as YAML again: ``null``, ``#x`` and ``[a]`` are names too."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """PyYAML's own, in Python: the one in C refuses the escapes that names of other bytes than UTF-8 are kept in."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, form) for tag, form in forms if not tag.endswith((":float", ":timestamp"))]
    for letter, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """Puts what the loader would take for a number in quotes."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def load(text: str) -> Any:  # noqa: ANN401 (a tree of plain values)
    """The tree of plain values that a text of YAML (or JSON) holds.

    >>> load("{a: 1e-3, b: [null, '#x'], c: 2024-01-01}")
    {'a': 0.001, 'b': [None, '#x'], 'c': '2024-01-01'}

    Raises:
        yaml.YAMLError: where it is none, names something twice, is deeper than :data:`DEEPEST`, or holds more than
            :data:`MOST` values.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, {}, ())
        return loader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError(f"it is deeper than {DEEPEST} levels") from None
    except ValueError as error:  # a number of thousands of digits, bytes that are no base64
        raise yaml.YAMLError(f"it holds a value that cannot be read ({str(error).partition(';')[0]})") from error
    finally:
        loader.dispose()


def dump(tree: Any) -> str:  # noqa: ANN401 (a tree of plain values)
    """YAML that :func:`load` reads back as it was; other readers too, but for names that are no UTF-8.

    >>> print(dump({"a": "1e3", "b": 0.001, "c": "~"}), end="")
    a: '1e3'
    b: 0.001
    c: '~'
    """
    return str(yaml.dump(tree, Dumper=_Dumper, sort_keys=False))


def load_once(text: str) -> Any:  # noqa: ANN401 (a tree of plain values)
    """The same, where texts inside a tree shall not be read again by who is given them; for jsonargparse."""
    found = load(text)
    return as_read(found) if isinstance(found, (dict, list)) else found


def as_read(tree: Any) -> Any:  # noqa: ANN401 (a tree of plain values)
    """A tree whose texts are marked as read, where reading them again would make something else of them.

    >>> [type(text).__name__ for text in as_read({"a": ["~", "photos"]})["a"]]
    ['Text', 'str']
    """
    if isinstance(tree, dict):
        return {name: as_read(value) for name, value in tree.items()}
    if isinstance(tree, list):
        return [as_read(value) for value in tree]
    return Text(tree) if isinstance(tree, str) and _misread(tree) else tree


def _misread(text: str) -> bool:
    try:
        return not isinstance(load(text), str)
    except yaml.YAMLError:
        return True


def unmarked(tree: Any) -> Any:  # noqa: ANN401 (a tree of plain values and settings)
    """A tree whose texts are texts like others again, in dataclasses too."""
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        return dataclasses.replace(tree, **{f.name: unmarked(getattr(tree, f.name)) for f in dataclasses.fields(tree)})
    if isinstance(tree, dict):
        return {unmarked(name): unmarked(value) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(unmarked(value) for value in tree)
    return str(tree) if isinstance(tree, Text) else tree


def reason(error: Exception) -> str:
    """What is wrong with a text, in one line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        problem = "a tab stands where there must be blanks" if "'\\t'" in str(error.problem) else error.problem
        return f"line {error.problem_mark.line + 1}: {problem or error.context}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"it holds a character that no text does ({error.character!r})"
    return str(error).splitlines()[0]


def _check(node: yaml.Node, sizes: dict[int, int], inside: tuple[int, ...]) -> int:
    """Count the values below a node, those again that aliases repeat; refuse a name that stands twice."""
    line = node.start_mark.line + 1
    if id(node) in inside:
        raise yaml.YAMLError(f"line {line}: an alias stands inside of what it stands for")
    if len(inside) > DEEPEST:
        raise yaml.YAMLError(f"line {line}: it is deeper than {DEEPEST} levels")
    if id(node) not in sizes:
        if isinstance(node, yaml.MappingNode):
            names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            if twice := [name for name, count in names.items() if count > 1]:
                raise yaml.YAMLError(f"{twice[0]!r} stands {names[twice[0]]} times among the names from line {line} on")
        children = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
        sizes[id(node)] = 1 + sum(_check(part, sizes, (*inside, id(node))) for part in parts)
    if sizes[id(node)] > MOST:
        raise yaml.YAMLError(f"it holds more than {MOST:,} values")
    return sizes[id(node)]
