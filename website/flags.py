"""The flags of the commands, made when the site is built: the same settings and docstrings that ``--help-all`` shows.

A page has ``<!-- flags: adapt -->`` where those of a command shall stand.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from noiseda import cli
from noiseda.config import AdaptSettings
from noiseda.help_pages import SHORT
from noiseda.help_text import Help
from noiseda.strategy_flags import BELONGS
from website.docstrings import plain

MARK = re.compile(r"<!-- flags: ([a-z -]+) -->")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ANN401 (mkdocs's signature)
    """Put the flags of a command where a page asks for them."""
    return MARK.sub(lambda found: listed(found[1]), markdown)


def listed(command: str) -> str:
    """The flags of a command in Markdown; those of ``adapt`` by section.

    Args:
        command: its name on the command line.
    """
    leaf = cli.build_parser(command)
    actions = [one for one in leaf._actions if one.help != argparse.SUPPRESS and one.dest != "help"]
    anchors = {flag: anchor(command, action) for action in actions for flag in action.option_strings}
    sections = dict.fromkeys(action.dest.partition(".")[0] for action in actions if "." in action.dest)
    lines = [*_entries(command, [one for one in actions if "." not in one.dest], anchors)]
    for section in sections:
        lines += [f"### {section}", "", *_about(section, anchors)]
        lines += _entries(command, [one for one in actions if one.dest.startswith(f"{section}.")], anchors)
    return "\n".join(lines)


def anchor(command: str, action: argparse.Action) -> str:
    """What a link to a flag names: ``flag-training-steps``, of other commands than adapt ``restore-tile``."""
    name = re.sub(r"[._]", "-", action.dest)
    return f"flag-{name}" if command == "adapt" else f"{command.replace(' ', '-')}-{name}"


def _about(section: str, anchors: Mapping[str, str]) -> Iterator[str]:
    """What a section of the settings is for, and whose it is."""
    hints = typing.get_type_hints(AdaptSettings)
    if not dataclasses.is_dataclass(hints.get(section)):
        return
    if "--strategy" in anchors and (strategies := BELONGS.get(section)):
        names = ", ".join(f"`{name}`" for name in strategies)
        yield f"For [`--strategy`](#{anchors['--strategy']}) {names} alone.\n"
    for paragraph in (inspect.getdoc(hints[section]) or "").split("\n\n"):
        yield readable(paragraph, anchors) + "\n"


def _entries(command: str, actions: Sequence[argparse.Action], anchors: Mapping[str, str]) -> Iterator[str]:
    """A flag and its default; beneath, what it does."""
    show = Help(f"noiseda {command}")._format_action_invocation
    for action in actions:
        short = f", `{SHORT[action.dest]}`" if action.dest in SHORT else ""
        usual = f" — default `{_default(action)}`" if action.option_strings and action.dest != "config" else ""
        others = {flag: name for flag, name in anchors.items() if flag not in action.option_strings}
        yield f"`{show(action)}`{short}{usual} {{ #{anchor(command, action)} .flag }}"
        yield f"\n:   {readable(action.help or '', others)}\n"


def _default(action: argparse.Action) -> str:
    """The default of a flag as it would be given; the terminal's help leaves out what goes without saying."""
    shown = Help.default_of(action).removeprefix(" (default: ").removesuffix(")")
    return shown or {"None": "null", "False": "false"}.get(str(action.default), str(action.default))


def readable(text: str, anchors: Mapping[str, str]) -> str:
    r"""A docstring as Markdown: nothing of it is taken for a mark; flags and pages become links.

    >>> readable("L_res * 2: see --out (docs/results.md), ``x_1``.", {"--out": "flag-out"})
    'L\\_res \\* 2: see [`--out`](#flag-out) ([results](../results.md)), `x_1`.'

    Args:
        text: the docstring.
        anchors: flags, and what links to them name.
    """
    words = re.split(r"(``[^`]+``|`[^`]+`|--\w[\w.]*\w|docs/[\w/-]+\.md)", " ".join(plain(text).split()))
    return "".join(_word(word, anchors) for word in words)


def _word(word: str, anchors: Mapping[str, str]) -> str:
    if word.startswith("`"):
        return f"`{word.strip('`')}`"
    if word.startswith("--"):
        return f"[`{word}`](#{anchors[word]})" if word in anchors else f"`{word}`"
    if word.startswith("docs/"):
        name = word.rpartition("/")[2].removesuffix(".md").replace("-", " ")
        return f"[{name}](../{word.removeprefix('docs/')})"
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", word)
