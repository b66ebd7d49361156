"""The help of ``noiseda adapt``, whose flags are too many for one page: the common ones, all, or those of a strategy.

Every text is the docstring of a setting or of a section of settings; what is shown of it here is a choice of length.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import textwrap
import typing
from collections.abc import Sequence
from itertools import pairwise

from noiseda.as_written import shortened
from noiseda.choices import SHORT
from noiseda.config import AdaptSettings
from noiseda.errors import UserError
from noiseda.help_text import Help, Parser
from noiseda.settings_file import presets
from noiseda.strategies import StrategyChoice
from noiseda.strategy_flags import sections_of
from noiseda.suggestions import nearest

COMMON = (
    ("what to adapt to", (
        "config", "task", "real", "clean", "pairs", "reference", "validation", "degradation.kind",
        "degradation.strength", "white_level",
    )),
    ("how to learn from it", ("strategy", "also", "training.max_regression_db")),
    ("the network", ("restorer.network", "restorer.weights", "restorer.start")),
    ("how long, how much", (
        "minutes", "training.steps", "training.batch", "training.patch", "training.learning_rate",
        "training.lr_schedule",
    )),
    ("the machine", ("training.device", "training.precision", "training.workers", "training.compile")),
    ("what comes out", (
        "out", "seed", "proxy_pairs", "baseline", "training.validate_every", "dry_run",
    )),
)  # fmt: skip
"""The flags that people use, as ``noiseda adapt --help`` lists them."""

_WIDTH = 100


class Brief(Help):
    """One line a flag: the first sentence, and the default."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_WIDTH, column=36)

    def _get_help_string(self, action: argparse.Action) -> str:
        text, default = first_sentence(action.help or ""), self.default_of(action)
        return textwrap.shorten(text, self._width - self._max_help_position - len(default), placeholder=" …") + default

    def _format_action_invocation(self, action: argparse.Action) -> str:
        flag = super()._format_action_invocation(action)
        name, _, value = flag.partition(" ")
        value = value if len(flag) < self._max_help_position - 3 else "NAME"
        return f"{SHORT.get(action.dest, name)} {value}".rstrip()


def page(words: Sequence[str], leaf: Parser) -> str | None:
    """The page of help that words ask for; None where they ask for none.

    Args:
        words: what comes after ``noiseda adapt``.
        leaf: its parser.

    Raises:
        UserError: help on a strategy that there is not; names the nearest.
    """
    for word, following in pairwise([*words, "-"]):
        flag, equals, value = word.partition("=")
        if flag == "--help-all":
            return leaf.format_help().rstrip()
        if flag in ("-h", "--help"):
            topic = value if equals else following
            return common(leaf) if topic.startswith("-") else about(topic, leaf)
    return None


def common(leaf: Parser) -> str:
    """The flags that people use, a line each, and how to see the rest.

    Args:
        leaf: the parser of ``noiseda adapt``.
    """
    formatter, flags = Brief(leaf.prog), {action.dest: action for action in leaf._actions}
    formatter.add_usage(leaf.usage, [], [])
    formatter.add_text(leaf.description)
    for title, names in COMMON:
        formatter.start_section(title)
        formatter.add_arguments([flags[name] for name in names])
        formatter.end_section()
    rest = [
        f"strategies: {', '.join(typing.get_args(StrategyChoice)[1:])}",
        f"presets: {', '.join(presets())}",
        f"{leaf.prog} --help STRATEGY says what a strategy does and lists its flags; --help SECTION says more about a "
        "section, such as training or restorer; --help-all lists every flag.",
    ]
    filled = (textwrap.fill(line, _WIDTH, subsequent_indent="  ", break_on_hyphens=False) for line in rest)
    return formatter.format_help() + "\n" + "\n".join(filled)


def about(topic: str, leaf: Parser) -> str:
    """What a strategy does, or what a section of the settings is for, and its flags with all that is to be known.

    Args:
        topic: the name of a strategy or section.
        leaf: the parser of ``noiseda adapt``.

    Raises:
        UserError: where there is none of that name; names the nearest.
    """
    hints = typing.get_type_hints(AdaptSettings)
    groups = [name for name, kind in hints.items() if dataclasses.is_dataclass(kind)]
    names = typing.get_args(hints["strategy"])
    strategy, section = topic.replace("_", "-"), topic.replace("-", "_")
    if strategy in names:
        sections, usage = sections_of(strategy), f"{leaf.prog} --strategy {strategy} [FLAGS]"
    elif section in groups:
        sections, usage = [section], f"{leaf.prog} [FLAGS]"
    else:
        known = ", ".join(names)
        raise UserError(
            f"--help: no strategy {shortened(topic)} (there are {known}){nearest(topic, [*names, *groups])}"
        )
    formatter = Help(leaf.prog)
    formatter.add_usage(usage, [], [])
    for name in sections:
        for paragraph in (inspect.getdoc(hints[name]) or "").split("\n\n"):
            formatter.add_text(paragraph)
        formatter.start_section("flags")
        formatter.add_arguments([action for action in leaf._actions if action.dest.startswith(f"{name}.")])
        formatter.end_section()
    if not sections:
        formatter.add_arguments([action for action in leaf._actions if action.dest == "strategy"])
        formatter.add_text(f"{strategy} has no flags of its own.")
    formatter.add_text(f"{leaf.prog} --help lists the flags that every run has.")
    return formatter.format_help().rstrip()


def first_sentence(text: str) -> str:
    """The first sentence of a docstring.

    >>> first_sentence("Range, in 1/255. By default all.")
    'Range, in 1/255.'
    """
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]
