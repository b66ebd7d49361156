"""The flags of the commands, made when the site is built: the same settings and docstrings that ``--help-all`` shows.

A page has ``<!-- flags: adapt -->`` where those of a command shall stand.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import typing
from collections.abc import Iterable, Iterator
from typing import Any

from noiseda import cli
from noiseda.config import AdaptSettings
from noiseda.help_pages import SHORT
from noiseda.help_text import Help, Parser
from noiseda.strategy_flags import BELONGS
from website.docstrings import plain

MARK = re.compile(r"<!-- flags: ([a-z ]+) -->")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ANN401 (mkdocs's signature)
    """Put the flags of a command where a page asks for them."""
    return MARK.sub(lambda found: listed(found[1]), markdown)


def listed(command: str) -> str:
    """The flags of a command in Markdown; those of ``adapt`` by section.

    Args:
        command: its name on the command line.
    """
    leaf = cli.build_parser(command)
    actions = [action for action in leaf._actions if action.help != argparse.SUPPRESS]
    known = {flag for action in actions for flag in action.option_strings}
    sections = dict.fromkeys(action.dest.partition(".")[0] for action in actions if "." in action.dest)
    lines = [*_entries((action for action in actions if "." not in action.dest), leaf, known)]
    for section in sections:
        lines += [f"## {section}", "", *_about(section, known)]
        lines += _entries((action for action in actions if action.dest.startswith(f"{section}.")), leaf, known)
    return "\n".join(lines)


def _about(section: str, known: set[str]) -> Iterator[str]:
    """What a section of the settings is for, and whose it is."""
    hints = typing.get_type_hints(AdaptSettings)
    if not dataclasses.is_dataclass(hints.get(section)):
        return
    if strategies := BELONGS.get(section):
        names = ", ".join(f"`{name}`" for name in strategies)
        yield f"For [`--strategy`](#flag-strategy) {names} alone.\n"
    for paragraph in (inspect.getdoc(hints[section]) or "").split("\n\n"):
        yield readable(paragraph, known) + "\n"


def _entries(actions: Iterable[argparse.Action], leaf: Parser, known: set[str]) -> Iterator[str]:
    """A flag and its default; beneath, what it does."""
    show = Help(leaf.prog)._format_action_invocation
    for action in actions:
        short = f", `{SHORT[action.dest]}`" if action.dest in SHORT else ""
        default = Help.default_of(action).removeprefix(" (default: ").removesuffix(")")
        usual = f" — default `{default}`" if default else ""
        anchor = f"flag-{action.dest.replace('_', '-').replace('.', '-')}"
        yield f"`{show(action)}`{short}{usual} {{ #{anchor} .flag }}"
        yield f"\n:   {readable(action.help or '', known - set(action.option_strings))}\n"


def readable(text: str, known: Iterable[str] = ()) -> str:
    r"""A docstring as Markdown: nothing of it is taken for a mark; flags and pages become links.

    >>> readable("L_res * 2: see --out (docs/results.md), ``x_1``.", ["--out"])
    'L\\_res \\* 2: see [`--out`](#flag-out) ([results](../results.md)), `x_1`.'
    """
    known = {*known}
    words = re.split(r"(``[^`]+``|`[^`]+`|--\w[\w.]*\w|docs/[\w/-]+\.md)", " ".join(plain(text).split()))
    return "".join(_word(word, known) for word in words)


def _word(word: str, known: set[str]) -> str:
    if word.startswith("`"):
        return f"`{word.strip('`')}`"
    if word.startswith("--"):
        anchor = word[2:].replace("_", "-").replace(".", "-")
        return f"[`{word}`](#flag-{anchor})" if word in known else f"`{word}`"
    if word.startswith("docs/"):
        name = word.rpartition("/")[2].removesuffix(".md").replace("-", " ")
        return f"[{name}](../{word.removeprefix('docs/')})"
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", word)
