"""The command line: one table, command -> function. A flag is a parameter or a setting, documented where it lives."""

from __future__ import annotations

import difflib
import logging
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jsonargparse

from noiseda.config import AdaptSettings
from noiseda.data.check import check_folder
from noiseda.errors import UserError
from noiseda.evaluation.report import evaluate
from noiseda.inference import RestoreReport, restore_files
from noiseda.quickstart import quickstart
from noiseda.training import Interrupted, adapt

Parser = jsonargparse.ArgumentParser

COMMANDS: dict[str, Callable[..., object]] = {
    "adapt": adapt,
    "restore": restore_files,
    "evaluate": evaluate,
    "data check": check_folder,
    "quickstart": quickstart,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the words after ``noiseda``; by default those of this process.

    Returns:
        The exit status: 0 done, 1 a check failed, 2 something the user can put right, 130 stopped by Ctrl-C.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser, leaves = build_parser()
    try:
        given = parser.parse_args(_spell(words, leaves))
        command = " ".join(_path(given))
        result = _call(command, leaves[command], given)
    except jsonargparse.ArgumentError as error:
        return _refuse(_explain(str(error), words, leaves))
    except UserError as error:
        return _refuse(str(error))
    except Interrupted as stopped:
        return 128 + stopped.signal_number
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    if isinstance(result, str):
        print(result)
    return 0 if getattr(result, "ok", True) else 1


def build_parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser of the whole command line, and those of the single commands by name."""
    parser = Parser(prog="noiseda", description="Adapt image restoration to your own photographs.", exit_on_error=False)
    commands = parser.add_subcommands(dest="command", metavar="COMMAND")
    groups: dict[str, Any] = {}
    leaves: dict[str, Parser] = {}
    for name, function in COMMANDS.items():
        *group, last = name.split()
        leaf = leaves[name] = Parser(exit_on_error=False, description=_first_line(function))
        if function is adapt:
            leaf.add_argument("--config", action="config", help="YAML file of settings; later flags win.")
            leaf.add_class_arguments(AdaptSettings, as_group=False)
        else:
            leaf.add_function_arguments(function, as_group=False, as_positional=True)
        if not group:
            commands.add_subcommand(last, leaf, help=_first_line(function))
            continue
        if group[0] not in groups:
            middle = Parser(exit_on_error=False, description=f"noiseda {group[0]}")
            commands.add_subcommand(group[0], middle, help=f"commands on {group[0]}")
            groups[group[0]] = middle.add_subcommands(dest="subcommand", metavar="COMMAND")
        groups[group[0]].add_subcommand(last, leaf, help=_first_line(function))
    return parser, leaves


def _call(command: str, leaf: Parser, given: jsonargparse.Namespace) -> object:
    for name in command.split():
        given = given[name]
    values = leaf.instantiate_classes(given).as_dict()
    values.pop("config", None)
    if command == "adapt":
        summary = adapt(AdaptSettings(**values))
        return f"adapted network: {summary.weights}\nsummary: {summary.weights.parent / 'summary.json'}"
    result = COMMANDS[command](**values)
    return str(result) if isinstance(result, RestoreReport) else result


def _path(given: jsonargparse.Namespace) -> list[str]:
    names = [given.command]
    inner = given[given.command]
    return names + ([inner.subcommand] if "subcommand" in inner else [])


def _spell(words: list[str], leaves: dict[str, Parser]) -> list[str]:
    """Take ``--max-megapixels`` for ``--max_megapixels``, and a switch without a value for ``true``."""
    leaf = leaves.get(words[0] if words else "") or leaves.get(" ".join(words[:2]))
    switches = _switches(leaf) if leaf else set()
    spelled: list[str] = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if not re.match(r"--\w", word):
            spelled.append(word)
            continue
        name, equals, value = word.partition("=")
        name = name.replace("-", "_").replace("__", "--", 1)
        if name in switches and not equals and following.lower() not in ("true", "false"):
            equals, value = "=", "true"
        spelled.append(name + equals + value)
    return spelled


def _actions(leaf: Parser) -> dict[str, Any]:
    return {option: action for action in leaf._actions for option in action.option_strings}


def _switches(leaf: Parser) -> set[str]:
    return {option for option, action in _actions(leaf).items() if getattr(action, "_typehint", None) is bool}


def _explain(message: str, words: list[str], leaves: dict[str, Parser]) -> str:
    """Add the nearest flag to what the parser says of one it does not know."""
    leaf = leaves.get(words[0] if words else "") or leaves.get(" ".join(words[:2]))
    unknown = re.search(r"unrecognized arguments: --([\w.]+)|Option '([\w.]+)'|option '([\w.]+)'", message)
    if leaf is None or unknown is None:
        return message
    group = re.search(r"Group '([\w.]+)'", message)
    name = (f"{group[1]}." if group else "") + next(filter(None, unknown.groups()))
    known = [option.removeprefix("--") for option in _actions(leaf)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return message + (f"; did you mean {near[0]}?" if near else "")


def _first_line(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").split("\n")[0]


def _refuse(message: str) -> int:
    print(f"noiseda: error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
