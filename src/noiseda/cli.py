"""The command line: one table, command -> function. A flag is a parameter or a setting, documented where it lives."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import jsonargparse

from noiseda import completion, extensions, help_pages, help_text, streams
from noiseda.as_written import shortened
from noiseda.config import AdaptSettings
from noiseda.errors import Interrupted, UserError
from noiseda.help_text import Parser
from noiseda.in_full import in_full, with_presets
from noiseda.inside import put, taken_out
from noiseda.numbers import check_numbers
from noiseda.plain_yaml import as_read, unmarked
from noiseda.pretrain_settings import PretrainSettings
from noiseda.settings_file import presets
from noiseda.signatures import outline, parameters, parameters_of, summary
from noiseda.signatures import presets as presets_read
from noiseda.strategies import StrategyChoice
from noiseda.strategy_flags import check_flags

__all__ = ["COMMANDS", "main", "parse"]

Command = Callable[..., object]


# Each command is imported when it is used: restoring starts without what trains, and works where that is missing.


def _adapt() -> Command:
    from noiseda.training import adapt

    return adapt


def _restore() -> Command:
    from noiseda.inference import restore_files

    return restore_files


def _evaluate() -> Command:
    from noiseda.evaluation.report import evaluate

    return evaluate


def _judge() -> Command:
    from noiseda.assessment.judge import judge

    return judge


def _export() -> Command:
    from noiseda.inference.export import export

    return export


def _networks() -> Command:
    from noiseda.inference.networks import networks

    return networks


def _hub_push() -> Command:
    from noiseda.inference.hub import push

    return push


def _hub_pull() -> Command:
    from noiseda.inference.hub import pull

    return pull


def _check() -> Command:
    from noiseda.data.check import check_folder

    return check_folder


def _pack() -> Command:
    from noiseda.data.pack import pack

    return pack


def _pretrain_predictor() -> Command:
    from noiseda.training.pretrain import pretrain_predictor

    return pretrain_predictor


def _sample() -> Command:
    from noiseda.training.sample import sample

    return sample


def _quickstart() -> Command:
    from noiseda.quickstart import quickstart

    return quickstart


def _web() -> Command:
    from noiseda.web.command import web

    return web


COMMANDS: dict[str, Callable[[], Command]] = {
    "adapt": _adapt,
    "restore": _restore,
    "export": _export,
    "networks": _networks,
    "judge": _judge,
    "evaluate": _evaluate,
    "hub push": _hub_push,
    "hub pull": _hub_pull,
    "data check": _check,
    "data pack": _pack,
    "pretrain-predictor": _pretrain_predictor,
    "sample": _sample,
    "quickstart": _quickstart,
    "web": _web,
}
COMMANDS |= {name: load for name, load in extensions.installed().items() if name not in COMMANDS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the words after ``noiseda``; by default those of this process.

    Returns:
        The exit status: 0 done, 1 a check failed or an image was skipped, 2 something the user can put right, 130
        stopped by Ctrl-C, 141 the output is a pipe that nobody reads any more.
    """
    # Before torch is loaded: threads that wait spin briefly, then sleep. On two idle cores that is as fast as spinning
    # (60 samples/s; always sleeping: 32), and beside a busy process about 10 times faster.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    streams.prepare()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        status = _carried_out(list(sys.argv[1:] if arguments is None else arguments))
        streams.flush()
        return status
    except (OSError, MemoryError, RuntimeError, SystemExit) as error:
        return _broken_off(error)


def _carried_out(words: list[str]) -> int:
    command = ""
    try:
        command, given = parse(words)
        result = _call(command, given)
    except Answer as answer:
        result = answer.text
    except UserError as error:
        print(streams.plain(f"noiseda: error: {error}"), file=sys.stderr)
        return 2
    except Interrupted as stopped:
        return 128 + stopped.signal_number
    except KeyboardInterrupt:
        print("stopped" + _GOES_ON * (command in ("adapt", "restore", "pretrain-predictor")), file=sys.stderr)
        return 128 + signal.SIGINT
    of_several = os.environ.get("RANK", "0") != "0"  # processes, of which one speaks
    if (isinstance(result, str) or command in _PRINTED) and not of_several:
        print(result)
    return 0 if getattr(result, "ok", True) else 1


def _broken_off(error: BaseException) -> int:
    """Say in a sentence what no command could foresee; what is a fault of ours is raised again."""
    lost = streams.lost()
    if isinstance(error, BrokenPipeError) and lost:
        return _NOBODY_READS
    if isinstance(error, SystemExit):
        if isinstance(error.__context__, BrokenPipeError):  # rich ends so
            return _NOBODY_READS
        raise error
    if isinstance(error, OSError) and (lost or error.filename is not None or error.errno in _OF_THE_MACHINE):
        name = lost or error.filename
        name = shortened(name) if isinstance(name, (str, bytes)) and len(name) > _LONG else name
        said = f"{name}: {error.strerror or error}" if name is not None else f"{error.strerror or error}"
    elif isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        said = "this machine's memory does not suffice (smaller images, tiles, patches, batches or networks need less)"
    else:
        raise error
    with suppress(OSError):
        print(streams.plain(f"noiseda: error: {said}"), file=sys.stderr)
    return 2


_PRINTED = ("restore", "export", "networks", "hub pull", "data pack", "pretrain-predictor")
"""Commands whose result is printed."""

_GOES_ON = "; the same command goes on with what is done"

_NOBODY_READS = 128 + 13
"""Exit status where the output was a pipe that was closed (``noiseda ... | head``): what a shell says of SIGPIPE."""

_LONG = 1000  # characters of a name from which on its beginning alone is shown

_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class Answer(Exception):  # noqa: N818 (what was asked for, not an error)
    """Something to print instead of running a command: help or the version.

    Args:
        text: what to print.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def parse(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Understand a command line.

    Args:
        words: what comes after ``noiseda``.

    Returns:
        The command's name in :data:`COMMANDS`, and the arguments of its function (of the settings, for ``adapt``).

    Raises:
        Answer: where help or the version was asked for.
        UserError: naming the word that is not understood, what was expected, and the nearest right one.
    """
    if len(words) == 2 and words[0] in ("-h", "--help"):  # noiseda --help TOPIC
        words = ["adapt", "--help", words[1]] if words[1] in get_args(StrategyChoice)[1:] else [words[1], "--help"]
    if list(words) == ["--version"]:
        raise Answer(f"noiseda {version('noiseda')}")
    if words and words[0].partition("=")[0] == "--completion":
        shell, strategies = " ".join(words).removeprefix("--completion")[1:], get_args(StrategyChoice)[1:]
        raise Answer(completion.script(shell, _completed(), strategies).rstrip())
    command = next((name for name in COMMANDS if list(words[: len(name.split())]) == name.split()), None)
    if command is None:
        extensions.refuse(words)
        raise Answer(help_text.overview(words, COMMANDS))
    leaf, rest = build_parser(command), words[len(command.split()) :]
    flags = rest[: rest.index("--")] if "--" in rest else rest
    if command == "adapt" and (page := help_pages.page(flags, leaf)) is not None:
        raise Answer(page)
    if not {"-h", "--help", "--help-all"}.isdisjoint(flags):
        raise Answer(leaf.format_help().rstrip())
    arguments = understand(in_full(with_presets(rest, _presets(command), leaf), command, leaf), leaf, rest)
    if command == "adapt":
        check_flags(flags, arguments)
    return command, arguments


def understand(words: Sequence[str], leaf: Parser, given: Sequence[str]) -> dict[str, Any]:
    """The arguments that words stand for.

    Args:
        words: flags with their own names.
        leaf: the parser of their command.
        given: the words as they were given, for messages.

    Raises:
        UserError: naming the word that is not understood, what was expected, and the nearest right one.
    """
    words, inside = taken_out(help_text.spell(words, leaf), help_text.trees(leaf))
    try:
        parsed = leaf.parse_args(words)
        if inside:
            parsed = leaf.parse_object(as_read(put(unmarked(parsed.as_dict()), inside)))
    except jsonargparse.ArgumentError as error:
        refusal = help_text.refusal(str(error), given, leaf)
        raise UserError(refusal + extensions.why_refused(refusal)) from error
    arguments: dict[str, Any] = unmarked(leaf.instantiate(parsed).as_dict())
    arguments.pop("config", None)
    check_numbers(arguments)
    return arguments


def build_parser(command: str) -> Parser:
    """The parser of one command; of ``adapt``, without importing what trains."""
    return _built(command, COMMANDS[command])


@cache
def _built(command: str, load: Callable[[], Command]) -> Parser:
    prog = f"noiseda {command}"
    if (settings := _settings_of(command)) is not None:
        leaf = help_text.parser(prog, summary(load))
        known = ", ".join(_presets(command))
        help = f"YAML file of settings, or a preset. The presets are {known}." if known else "YAML file of settings."
        leaf.add_argument("--config", action="config", help=help)
        leaf.add_class_arguments(settings, as_group=False)
        return help_text.polish(leaf, _USAGE.get(command, "--config FILE [FLAGS]"))
    function = outline(load)
    leaf = help_text.parser(prog, (function.__doc__ or "").split("\n")[0])
    leaf.add_function_arguments(function, as_group=False, as_positional=True)
    return help_text.polish(leaf, _USAGE.get(command))


_SETTINGS: dict[str, type[Any]] = {"adapt": AdaptSettings, "pretrain-predictor": PretrainSettings}
"""The commands whose flags are the fields of a class."""

_USAGE = {
    "adapt": "--real PATH [--clean PATH | --pairs PATH] [--config FILE] [FLAGS]",
    "restore": "[FLAGS] [WEIGHTS] SOURCE OUT",
    "pretrain-predictor": "[--clean PATH] [--out FILE] [FLAGS]",
}
"""How commands are used, where that is not by a file of settings, or by all of their arguments."""


def _settings_of(command: str) -> type[Any] | None:
    """The class whose fields are a command's flags; None where its parameters are."""
    if command in _SETTINGS:
        return _SETTINGS[command]
    load = COMMANDS[command]
    return extensions.settings_of(load()) if isinstance(load, extensions.Extension) else None


def _presets(command: str) -> dict[str, Path]:
    """What a name after ``--config`` stands for."""
    settings = _settings_of(command)
    return presets() if settings in (None, AdaptSettings) else extensions.presets_of(settings)


def _completed() -> dict[str, completion.Words]:
    """What may follow each command, for the completion of a shell."""
    found: dict[str, completion.Words] = {}
    for command, load in COMMANDS.items():
        more: dict[str, completion.Value | None] = {}
        taken = parameters_of(AdaptSettings) if command == "adapt" else parameters(load)
        if command == "pretrain-predictor":
            more |= {"--config": completion.Value(path=True)}
        if isinstance(load, extensions.Extension):
            more |= {"--config": completion.Value(tuple(presets_read(load)), path=True)}
        if command == "adapt":
            choices = {one.name: one.choices for one in taken}
            more |= {"--config": completion.Value(tuple(presets()), path=True)}
            more |= {"--help": completion.Value(choices["strategy"]), "--help-all": None}
            more |= {
                "--network": completion.Value(choices["restorer.network"]),
                "--weights": completion.Value(path=True),
            }
        found[command] = completion.words_of(taken, more)
    return found


def _call(command: str, arguments: dict[str, Any]) -> object:
    if command == "adapt":
        return _adapted(AdaptSettings(**arguments))
    if (settings := _settings_of(command)) is not None:
        return COMMANDS[command]()(settings(**arguments))
    return COMMANDS[command]()(**arguments)


def _adapted(settings: AdaptSettings) -> str:
    from noiseda import training

    if settings.dry_run:
        return str(training.describe(settings, timed=True))
    summary = training.adapt(settings)
    text = ""
    if summary.blew_up is not None:
        text += (
            f"the run blew up at step {summary.blew_up} and ended with {summary.rate:g} of its learning rate: "
            "try a smaller --training.learning_rate\n"
        )
    text += f"{summary.kept}\n" if summary.kept and summary.shipped == "trained" else ""
    text += f"verdict: {summary.verdict}\n" if summary.verdict else ""
    text += f"{summary.advice}\n" if summary.advice else ""
    shown = "adapted network" if summary.shipped == "trained" else "network"
    folder = summary.weights.parent
    text += f"{shown}: {summary.weights}\nsummary: {folder / 'summary.json'}"
    return text + (f"\nreport: {page}" if (page := folder / "report.html").exists() else "")


if __name__ == "__main__":
    sys.exit(main())
