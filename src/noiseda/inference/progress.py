"""What a run says while it lasts: on a terminal a progress bar with lines above it, elsewhere lines alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from noiseda.streams import one_line


class Progress:
    """Lines on the error stream, and how far the run is.

    Args:
        console: Where to.
        total: Number of images.
        bar: The progress bar, if there is one.
    """

    def __init__(self, console: Console, total: int, bar: Bar | None = None) -> None:
        self._console, self._total, self._bar = console, total, bar
        self._said, self._reached = 0, 0.0

    def say(self, line: str) -> None:
        """Say what became of one more image."""
        self._said += 1
        self.note(line if self._bar else f"[{self._said}/{self._total}] {line}")

    def note(self, line: str) -> None:
        """Say something else."""
        self._console.print(one_line(line))

    def reach(self, images: float) -> None:
        """Move the bar forward to a number of images, the part of the present one included."""
        self._reached = max(self._reached, images)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._reached)


@contextmanager
def progress(total: int) -> Iterator[Progress]:
    """A :class:`Progress` for a number of images."""
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        yield Progress(console, total)
        return
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Bar(TextColumn("restoring"), *columns, console=console, transient=True) as bar:
        bar.add_task("restoring", total=total)
        yield Progress(console, total, bar)
