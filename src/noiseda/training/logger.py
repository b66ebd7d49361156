"""What a run says while it goes: a progress bar or plain lines, ``log.jsonl``, and TensorBoard with pictures."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import fmean
from types import TracebackType

import torch
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from noiseda.errors import UserError
from noiseda.report.logged import Line, read_log
from noiseda.storage import atomic, utf8_named


class Bar(Progress):
    """A progress bar with the terms of the loss on a line below, where they have room.

    Attributes:
        terms: that line.
    """

    terms = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        """The bar, and the line below."""
        yield self.make_tasks_table(self.tasks)
        yield Text(self.terms, style="dim")


class _Board(SummaryWriter):
    """TensorBoard's writer, whose thread does not print what goes wrong: it is raised by the next call already."""

    def __init__(self, folder: str, *, purge_step: int) -> None:
        self._before = threading.excepthook
        threading.excepthook = self._pass_over
        try:
            super().__init__(folder, purge_step=purge_step)
        except BaseException:
            threading.excepthook = self._before
            raise

    def close(self) -> None:
        """Close every file, also where one of them cannot be written."""
        try:
            super().close()
        except OSError:
            # Else it would be tried again, and fail again, at the end of the process.
            self.file_writer = self.all_writers = None
            raise
        finally:
            threading.excepthook = self._before

    def _pass_over(self, failed: threading.ExceptHookArgs) -> None:
        ours = type(failed.thread).__module__.startswith("tensorboard.")
        if not (ours and isinstance(failed.exc_value, OSError)):
            self._before(failed)


class Journal:
    """The journal of one run; on processes other than the first it is silent.

    Args:
        folder: the run's folder.
        steps: number of steps of the run.
        start: number of steps done before; lines after it, left by a run that was cut off, are removed.
        samples: samples of each domain in a step, over all processes.
        silent: write and show nothing.
    """

    def __init__(self, folder: Path, *, steps: int, start: int, samples: int, silent: bool = False) -> None:
        self.silent = silent
        self.steps, self.samples = steps, samples
        self._path = folder / "log.jsonl"
        self._since, self._waited = time.perf_counter(), 0.0
        self._noted: dict[str, list[float]] = {}
        self._bar: Bar | None = None
        self._links = ExitStack()
        if silent:
            return
        kept = [line for line in read_log(self._path) if line["step"] <= start]
        with _naming(folder):
            with atomic(self._path) as file:
                file.write("".join(json.dumps(line) + "\n" for line in kept).encode())
            (folder / "tensorboard").mkdir(exist_ok=True)
            board = self._links.enter_context(utf8_named(folder / "tensorboard"))
            self._board = _Board(str(board), purge_step=start + 1)
        if sys.stderr.isatty():
            columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
            self._bar = Bar(*columns, TextColumn("{task.description}"), console=Console(stderr=True))
            self._task = self._bar.add_task("", total=steps, completed=start)

    def __enter__(self) -> Journal:
        """Show the progress bar."""
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything, whatever happened."""
        if self._bar:
            self._bar.stop()
        if not self.silent:
            with _naming(self._path.parent) if kind is None else suppress(OSError):
                self._board.close()
            self._links.close()

    def note(self, losses: Line) -> None:
        """Add the losses of one micro-batch to the averages of the next line."""
        for name, value in losses.items():
            self._noted.setdefault(name, []).append(value)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time spent inside as waiting for data."""
        began = time.perf_counter()
        yield
        self._waited += time.perf_counter() - began

    def advance(self, done: int) -> None:
        """Move the progress bar."""
        if self._bar:
            self._bar.update(self._task, completed=done)

    def line(self, done: int, steps: int, **more: float) -> None:
        """Write the averages since the last line.

        Args:
            done: number of steps done.
            steps: how many of them since the last line.
            more: further values of this step.
        """
        now = time.perf_counter()
        seconds = max(now - self._since, 1e-9)
        rate, waited = steps * self.samples / seconds, self._waited / seconds
        means = {name: fmean(values) for name, values in self._noted.items()}
        self._since, self._noted, self._waited = now, {}, 0.0
        if self.silent:
            return
        self._write({"step": done, **means, **more, "samples_per_second": rate, "waiting_for_data": waited})
        terms = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        if self._bar:
            self._bar.terms = terms
            self._bar.update(self._task, completed=done, description=f"{rate:.1f} samples/s")
        else:
            seconds = (self.steps - done) * self.samples / rate
            left = f"  {_clock(seconds)} left" if seconds else ""  # after the last step, there is still much to measure
            say(f"step {done}/{self.steps}  {terms}  {rate:.1f} samples/s{left}")

    def validation(self, done: int, psnr: float, score: float) -> None:
        """Write how the weights after ``done`` steps do.

        Args:
            done: number of steps done.
            psnr: mean over the pairs they are tried on, in dB.
            score: by which the best are chosen, in dB; the same where there are pairs alone.
        """
        if not self.silent:
            more = {} if score == psnr else {"score": score}
            self._write({"step": done, "validation_psnr": psnr, **more})
            shown = "".join(f"  {name} {value:.3f}" for name, value in more.items())
            self.say(f"step {done}/{self.steps}  validation {psnr:.3f} dB{shown}")

    def say(self, text: str) -> None:
        """Show one line, above the progress bar where there is one."""
        if not self.silent:
            say(text, bar=self._bar)

    def pictures(self, done: int, domain: str, images: list[Tensor]) -> None:
        """Show images (B, C, H, W) side by side in TensorBoard: input, restored, and the target where there is one.

        Signals of another rank are passed over.
        """
        if self.silent or any(column.ndim != 4 or column.shape[1] not in (1, 3) for column in images):
            return
        columns = [column[:4].detach().float().cpu().clamp(0, 1) for column in images]
        rows = [torch.cat(list(row), dim=2) for row in zip(*columns, strict=True)]
        with _naming(self._path.parent):
            self._board.add_image(domain, torch.cat(rows, dim=1), done)

    def table(self, done: int, name: str, markdown: str, means: Mapping[str, float]) -> None:
        """Show a table in TensorBoard, and its rows' means as curves.

        Args:
            done: number of steps done.
            name: of the table.
            markdown: the table.
            means: a figure for each row.
        """
        if self.silent:
            return
        with _naming(self._path.parent):
            self._board.add_text(name, markdown, done)
            for row, mean in means.items():
                self._board.add_scalar(f"{name}/{row}", mean, done)

    def _write(self, line: Line) -> None:
        with _naming(self._path.parent):
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            for name, value in line.items():
                if name != "step":
                    self._board.add_scalar(name, value, int(line["step"]))


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Report a full disk as what it is, not as a fault of the program."""
    try:
        yield
    except OSError as error:
        raise UserError(f"the log in --out {folder} cannot be written: {error.strerror or error}") from error


def say(text: str, *, bar: Progress | None = None) -> None:
    """Show one line to the user, above the progress bar where there is one."""
    if bar:
        bar.console.print(text, highlight=False, markup=False)
    else:
        print(text, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
