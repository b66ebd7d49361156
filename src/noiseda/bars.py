"""How far something is that takes a while: a bar on a terminal, and nothing elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")


def bar(
    items: Iterable[Item], doing: str, *, total: float | None = None, console: Console | None = None
) -> Iterable[Item]:
    """Go through things beside a bar, which is gone afterwards. Of several processes, the first alone shows one.

    Args:
        items: the things.
        doing: what is done with them, in a word or two.
        total: how many they are, where that cannot be asked of them.
        console: where to; by default the error stream.
    """
    console = console or Console(stderr=True)
    silent = not console.is_terminal or os.environ.get("RANK", "0") != "0"
    return track(items, doing, total=total, console=console, disable=silent, transient=True)
