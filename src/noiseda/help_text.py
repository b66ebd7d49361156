"""What the command line says: its help, and what is wrong with a word it does not understand.

Every sentence names the flag or setting, what was given and what was expected; nothing of Python shows.
"""

from __future__ import annotations

import argparse
import re
import shutil
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jsonargparse
import yaml

from noiseda import plain_yaml
from noiseda.address import Url
from noiseda.as_written import is_path, shortened, take
from noiseda.choices import SHORT
from noiseda.errors import UserError
from noiseda.inside import is_tree
from noiseda.old_names import settings_by_todays_names
from noiseda.signatures import summary
from noiseda.suggestions import nearest as nearest
from noiseda.suggestions import nearest_setting

Parser = jsonargparse.ArgumentParser
jsonargparse.typing.register_type(Url, str, Url)


def _load(text: str) -> Any:  # noqa: ANN401 (a tree of plain values)
    """A value, or a settings file, that may have names of before."""
    tree = plain_yaml.load_once(text)
    return settings_by_todays_names(tree) if isinstance(tree, dict) else tree


jsonargparse.set_loader("yaml", _load, exceptions=(yaml.YAMLError, RecursionError))
jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)

_PLAIN = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Path: "a path",
    Url: "an address",
}
_WIDEST = 60  # letters of choices that are shown beside a flag; more are listed in its text
_PATHS = (
    "Paths are taken as they are written. null is no path (./null is a file or folder of that name); one that begins "
    "with a dash follows an equals sign (--out=-x)."
)
_METAVARS = {int: "N", float: "X", str: "NAME", Path: "PATH", Url: "PATH"}


class Help(jsonargparse.DefaultHelpFormatter):
    """Flags in one column, what they do and their default in the other; no types of Python."""

    def __init__(self, prog: str, width: int | None = None, column: int = 38) -> None:
        width = width or min(shutil.get_terminal_size().columns, 120)
        super().__init__(prog, max_help_position=column, width=width)  # type: ignore[no-untyped-call]

    def _get_help_string(self, action: argparse.Action) -> str:
        return f"{action.help or ''}{self.default_of(action)}"

    @staticmethod
    def default_of(action: argparse.Action) -> str:
        """The default of a flag in brackets; nothing where there is none, or where it goes without saying."""
        default = action.default
        if not action.option_strings or default in (None, argparse.SUPPRESS, []) or default is False:
            return ""
        shown = str(default).lower() if isinstance(default, bool) else str(default).replace("(", "[").replace(")", "]")
        return f" (default: {shown})"

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return str(action.metavar)
        flags = [_displayed(flag) for flag in action.option_strings if not flag.endswith("+")]
        if action.nargs == 0 or (_hint(action) is bool and not action.default):
            return ", ".join(flags)
        return f"{', '.join(flags)} {self._format_args(action, self._get_default_metavar_for_optional(action))}"


def parser(prog: str, about: str) -> Parser:
    """An empty parser for a command: prints its own kind of help, raises instead of exiting.

    Args:
        prog: the words of the command.
        about: what it does.
    """
    return Parser(
        prog=prog,
        description=about,
        exit_on_error=False,
        allow_abbrev=False,
        print_config=None,
        formatter_class=Help,
    )


def polish(leaf: Parser, usage: str | None = None) -> Parser:
    """Give a filled parser its usage line and readable names for values; hide what nobody should use.

    Args:
        leaf: the parser of a command, all its flags added.
        usage: what follows the command's name; by default the flags and the positional arguments.
    """
    for action in leaf._actions:
        hint = _hint(action)
        if not action.option_strings:
            action.metavar = action.dest.upper()
        elif action.dest == "config":
            action.metavar = "FILE"
        elif action.dest == "help":
            action.help = "Show this help and stop."
        elif hint is None:
            action.help = argparse.SUPPRESS  # a whole group as one text
        elif sum(map(len, choices := _choices(hint))) > _WIDEST:
            action.metavar = "NAME"
            action.help = f"{action.help} One of {', '.join(choices)}."
        elif hint is not None and not choices and hint is not bool:
            action.metavar = _metavar(hint)
    if any(is_path(_hint(action)) and type(None) in typing.get_args(_hint(action)) for action in leaf._actions):
        leaf.epilog = _PATHS
    leaf.usage = f"{leaf.prog} {usage or ' '.join(['[FLAGS]', *_positionals(leaf)])}"
    return leaf


def overview(words: Sequence[str], commands: Mapping[str, Callable[[], object]]) -> str:
    """The list of commands, or of those that begin with the words given.

    Args:
        words: what was given: no command, part of one, or an unknown one.
        commands: name -> what imports its function.

    Raises:
        UserError: where no command does.
    """
    asked = [word for word in words if word not in ("-h", "--help")]
    group = " ".join(asked)
    listed = {name: load for name, load in commands.items() if name.split()[: len(asked)] == asked}
    if not listed:
        if group.startswith("-"):
            raise UserError(f"a command comes before {asked[0]}: one of {', '.join(commands)}")
        wrong = " ".join(asked[:2]) if any(name.startswith(f"{asked[0]} ") for name in commands) else asked[0]
        raise UserError(f"unknown command {wrong!r} (there are {', '.join(commands)}){nearest(wrong, commands)}")
    lines = [f"  {name:<12} {summary(load)}" for name, load in listed.items()]
    return "\n".join(
        [
            f"usage: noiseda {f'{group} ' if group else ''}COMMAND ...",
            "",
            "Adapt image restoration to your own photographs, without ground truth.",
            "",
            "commands:",
            *lines,
            "",
            "noiseda COMMAND --help says more about a command; noiseda --version is the version;",
            "noiseda --completion bash, zsh or fish prints a script that completes all of it.",
        ]
    )


def spell(words: Sequence[str], leaf: Parser) -> list[str]:
    """Make words ready for the parser: see :func:`noiseda.as_written.take`.

    ``--max-megapixels`` is taken for ``--max_megapixels``, and a switch without a value for ``true``.

    Raises:
        UserError: a value that cannot be one, or a flag below one that has a single value.
    """
    actions = _actions(leaf)
    positionals = iter([action for action in leaf._actions if not action.option_strings])
    spelled: list[str] = []
    for flag, value in _read(words, leaf):
        if (single := _single_above(flag, actions)) is not None:
            raise UserError(f"{_unknown(flag)}; did you mean {_shown(single)}?")
        if value is None:
            spelled.append(flag)
        elif not flag:
            action = next(positionals, None)
            spelled.append(value if action is None else _taken(value, action))
        elif flag not in actions or actions[flag].nargs == 0:
            spelled.append(f"{flag}={value}")
        else:
            value = _taken(value, actions[flag])
            spelled += [f"{flag}={value}"] if value.startswith("-") else [flag, value]
    return spelled


def places(words: Sequence[str], leaf: Parser) -> list[str]:
    """Those words that belong to no flag, wherever they stand.

    Args:
        words: what comes after a command.
        leaf: its parser.
    """
    return [value for flag, value in _read(words, leaf) if not flag and value is not None]


def _actions(leaf: Parser) -> dict[str, argparse.Action]:
    return {flag: action for action in leaf._actions for flag in action.option_strings}


def _read(words: Sequence[str], leaf: Parser) -> Iterator[tuple[str, str | None]]:
    """Each flag, as the parser names it, with its value or None; and "" with each word that belongs to none."""
    actions = _actions(leaf)
    rest, literal = list(words), False
    while rest:
        word = rest.pop(0)
        if literal or not word.startswith("-") or word == "-":
            yield "", word
        elif word == "--":
            literal = True
            yield word, None
        elif not re.match(r"--\w", word):
            yield word, None
        else:
            name, equals, value = word.partition("=")
            name = _by_the_parser(name, leaf)
            action = actions.get(name)
            if equals or action is None or action.nargs == 0:
                yield name, value if equals else None
            elif _hint(action) is bool and (not rest or rest[0].lower() not in ("true", "false")):
                yield name, "true"
            elif rest and not re.match(r"-\D\S*$", rest[0]):
                yield name, rest.pop(0)
            else:
                yield name, None


def trees(leaf: Parser) -> list[str]:
    """The names of those settings below which names are free."""
    return [action.dest for action in leaf._actions if is_tree(_hint(action))]


def _single_above(flag: str, actions: Mapping[str, argparse.Action]) -> argparse.Action | None:
    """The flag above a dotted one below which there is none: the parser takes all that stands there for its value."""
    dots = (found.start() for found in re.finditer(r"\.", flag))
    above = (actions.get(flag[:dot]) for dot in dots if flag not in actions)
    return next((one for one in above if one is not None and _hint(one) is not None and not is_tree(_hint(one))), None)


def _unknown(flag: str) -> str:
    return f"unknown flag {flag if len(flag) < 100 else shortened(flag)}"


def _by_the_parser(flag: str, leaf: Parser) -> str:
    """A flag with underscores for dashes; names that are free stay as they are."""
    tree, dot, names = flag[2:].partition(".")
    if dot and tree.replace("-", "_") in trees(leaf):
        return f"--{tree.replace('-', '_')}.{names}"
    return "--" + flag[2:].replace("-", "_")


def _taken(value: str, action: argparse.Action) -> str:
    hint = _hint(action)
    return value if action.dest == "config" else take(value, hint, _shown(action), _expected(hint))


def refusal(message: str, words: Sequence[str], leaf: Parser) -> str:
    """Say in a user's words what the parser found wrong.

    Args:
        message: the parser's own words.
        words: what was given to the command.
        leaf: the command's parser.
    """
    known = [flag.removeprefix("--") for flag in _flags(leaf)]
    if found := re.search(r"unrecognized arguments: ?(\S*)", message):
        name, _, _ = found[1].partition("=")
        if name.startswith("--"):
            return f"{_unknown(name)}{nearest_setting(name.removeprefix('--'), known, '--')}"
        return f"unexpected argument {shortened(found[1])}; usage: {leaf.usage}"
    if found := re.search(r"(?:Group '(?P<group>[^']+)' does not accept option|Option) '(?P<name>[^']+)'", message):
        name = ".".join(filter(None, (found["group"], found["name"])))
        return f"unknown setting {name!r}{_source(words)}{nearest_setting(name, known)}"
    if found := re.search(r"arguments are required: (.+)", message):
        return f"missing: {found[1].upper()}; usage: {leaf.usage}"
    if found := re.search(r"argument (--[\w.]+)\S*: expected one argument", message):
        asked = next(action for action in leaf._actions if found[1] in action.option_strings)
        dashed = f" (one that begins with a dash: {_shown(asked)}=-x)" if is_path(_hint(asked)) else ""
        return f"{_shown(asked)} needs a value: {_expected(_hint(asked))}{dashed}"
    if found := re.search(r"argument (\S+): ignored explicit argument", message):
        return f"{found[1].rpartition('/')[2]} takes no value"
    if found := re.search(r'Parser key "([\w.]+)"', message):
        action = next((action for action in leaf._actions if action.dest == found[1]), None)
        inside = [name for name in known if name.startswith(f"{found[1]}.") and not name.endswith(".help")]
        value = re.findall(r"(?:Got|Given) value: (.*)", message)
        if (inner := re.findall(r'Parser key "([\w.]+)"', message)[1:]) and value:
            kinds = [kind for kind in _PLAIN if f"Expected a <class '{kind.__name__}'>" in message]
            expected = " or ".join(_PLAIN[kind] for kind in kinds) or "something else"
            return f"{inner[-1]!r} in {found[1]!r}{_source(words)} must be {expected}, not {shortened(value[-1])}"
        if inside:
            return f"--{found[1]} is a group of settings; name one of them: --{', --'.join(inside)}"
        value = value or _given(found[1], words)
        if action is not None and _hint(action) is not None:
            given = f", not {shortened(value[-1])}" if value else _source(words)
            near = nearest(value[-1], _choices(_hint(action))) if value else ""
            return f"{_shown(action)} must be {_expected(_hint(action))}{given}{near}"
    return " ".join(message.split())


def _given(name: str, words: Sequence[str]) -> list[str]:
    """Values that the words give to a flag."""
    flags = [re.sub("-", "_", word.partition("=")[0][2:]) for word in words]
    return [
        word.partition("=")[2] if "=" in word else "".join(words[index + 1 : index + 2])
        for index, (word, flag) in enumerate(zip(words, flags, strict=True))
        if word.startswith("--") and flag == name
    ]


def path_names(leaf: Parser) -> set[str]:
    """The names of the settings that are paths."""
    return {action.dest for action in leaf._actions if is_path(_hint(action))}


def _source(words: Sequence[str]) -> str:
    """Where a setting stands that is no flag: in the file of ``--config``."""
    for index, word in enumerate(words):
        if word.startswith("--config"):
            file = word.partition("=")[2] or "".join(words[index + 1 : index + 2])
            return f" in {file}"
    return ""


def _displayed(flag: str) -> str:
    """A flag as the help shows it; settings of a group keep the name they have in YAML."""
    return flag if "." in flag else flag.replace("_", "-")


def _shown(action: argparse.Action) -> str:
    """The name of a flag, the short one where there is one, or of an argument."""
    if action.dest in SHORT:
        return SHORT[action.dest]
    return _displayed(action.option_strings[0]) if action.option_strings else action.dest.upper()


def _expected(hint: Any) -> str:  # noqa: ANN401 (any type hint)
    """A type in words.

    >>> _expected(int | None)
    'a whole number or null'
    """
    if choices := _choices(hint):
        return f"one of {', '.join(choices)}"
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("null" if kind is type(None) else _expected(kind) for kind in inner)
    if origin is list and (choices := _choices(inner[0])):
        return f"a list of {', '.join(choices)}, such as [{choices[0]}]"
    if origin in (list, tuple):
        if inner[0] is str:
            return "a list of names such as [a, b]"
        numbers = "whole numbers such as [1, 2]" if inner[0] is int else "numbers such as [0.5, 2]"
        return f"{'a list of' if origin is list else 'two'} {numbers}"
    return _PLAIN.get(hint, "a file of settings, or a preset")


def _metavar(hint: Any) -> str:  # noqa: ANN401 (any type hint)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _metavar(next(kind for kind in inner if kind is not type(None)))
    if origin in (list, tuple):
        letter = "NAME" if _choices(inner[0]) else _METAVARS[inner[0]]
        return f"[{letter}, ...]" if origin is list else f"[{letter}, {letter}]"
    return _METAVARS.get(hint, "VALUE")


def _choices(hint: Any) -> list[str]:  # noqa: ANN401 (any type hint)
    return [str(choice) for choice in typing.get_args(hint)] if typing.get_origin(hint) is Literal else []


def _hint(action: argparse.Action) -> Any:  # noqa: ANN401 (any type hint)
    return getattr(action, "_typehint", None)


def _flags(leaf: Parser) -> dict[str, argparse.Action]:
    """Flag -> action, those left out that the help hides."""
    return {
        flag: action for action in leaf._actions if action.help != argparse.SUPPRESS for flag in action.option_strings
    }


def _positionals(leaf: Parser) -> list[str]:
    return [str(action.metavar) for action in leaf._actions if not action.option_strings]
