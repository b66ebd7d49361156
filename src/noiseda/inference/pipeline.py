"""Reading, restoring and writing side by side: one image is restored while the next is read and the last is written."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias

from noiseda import raster
from noiseda.errors import ImageError, UserError
from noiseda.raster import Raster

Job: TypeAlias = tuple[Path, Path]
"""(input, output)."""

Settle: TypeAlias = Callable[[bool], None]
"""Reports the last image if it is written (or, given True, waits until it is)."""

Restore: TypeAlias = Callable[[Job, Raster, Settle], Raster]
"""What was read -> what is to be written. Calls settle(False) now and then, for the sake of early news."""

_IN_FLIGHT = 64_000_000
"""Pixels: the next image is not read yet where more would be held between reading and writing; one that is larger by
itself is held alone."""


@dataclass(frozen=True)
class Written:
    """What is reported of an image once it is written."""

    pixels: int
    notes: tuple[str, ...] = ()
    """What was odd about the image, and what of it the new file cannot hold: plain sentences."""


Done: TypeAlias = Callable[[Job, Written | ImageError], object]
"""Told of each job, in their order: it is written, or why it was skipped."""


class Account(Protocol):
    """Keeps account of outputs, in the thread that writes them."""

    def begun(self, job: Job) -> None:
        """An output will be written."""

    def sealed(self, job: Job, file: BinaryIO) -> None:
        """The whole file of an output is on the disk, and is about to take its name; an OSError keeps it from that."""


def run_pipeline(
    jobs: Sequence[Job],
    restore: Restore,
    done: Done,
    *,
    max_megapixels: float,
    aside: bool = True,
    account: Account | None = None,
    scale: int = 1,
) -> None:
    """Read, restore and write images.

    Restoring happens in this thread. Results, messages and their order are those of one step after the other.

    Args:
        jobs: Inputs and outputs.
        restore: What becomes of an image; an ImageError skips it.
        done: Told of each job.
        max_megapixels: Larger images are skipped, be it before or after they are restored.
        aside: Read the next image and write the last one meanwhile, in threads of their own. Without it, one step comes
            after the other.
        account: Keeps account of the outputs.
        scale: How many times as high and wide an image becomes.

    Raises:
        UserError: An output cannot be written (no room, no right): the other outputs would fail just so.
    """
    with _Relay(restore, done, max_megapixels, account, scale).running() as stages:
        reads: deque[Future[Raster]] = deque()
        upcoming = iter(jobs)
        for job in jobs:
            for path, _ in islice(upcoming, 1 + aside - len(reads)):
                reads.append(stages.reader.submit(stages.read, path))
            stages.pass_on(job, reads.popleft())
            stages.settle(not aside)
        stages.settle(True)


class _Stopped(Exception):  # noqa: N818 (not an error: how the work of a thread ends whose run has ended)
    pass


class _Relay:
    def __init__(
        self, restore: Restore, done: Done, max_megapixels: float, account: Account | None, scale: int
    ) -> None:
        self.restore, self.done, self.max_megapixels, self.account = restore, done, max_megapixels, account
        self.scale = scale
        self.gate = _Gate(_IN_FLIGHT)
        self.reader, self.writer = ThreadPoolExecutor(1, "reader"), ThreadPoolExecutor(1, "writer")
        self.writing: tuple[Job, Future[Written]] | None = None

    @contextmanager
    def running(self) -> Iterator[_Relay]:
        """At the end, and on any error, what is restored is written; on Ctrl-C, both threads drop what they do."""
        try:
            yield self
        except Exception:
            self.settle(True)
            raise
        finally:
            self.gate.close()
            for stage in (self.reader, self.writer):
                stage.shutdown(cancel_futures=True)

    def pass_on(self, job: Job, reading: Future[Raster]) -> None:
        """Take an image from the reader, restore it, and hand it to the writer once that has nothing else to do."""
        try:
            while self.writing and not reading.done():
                either: list[Future[Any]] = [reading, self.writing[1]]
                wait(either, return_when=FIRST_COMPLETED)
                self.settle(False)
            restored = self.restore(job, reading.result(), self.settle)
        except ImageError as error:
            self.settle(True)
            self.gate.leave(job[0])
            self.done(job, error)
        else:
            self.settle(True)
            self.writing = job, self.writer.submit(self.write, job, restored)

    def settle(self, waits: bool) -> None:
        """Report the image in the writer's hands, if it is written."""
        if self.writing is None or not (waits or self.writing[1].done()):
            return
        (job, future), self.writing = self.writing, None
        outcome: Written | ImageError
        try:
            outcome = future.result()
        except ImageError as error:
            outcome = error
        self.done(job, outcome)

    def read(self, path: Path) -> Raster:
        """What the reader does."""
        height, width = raster.read_size(path)
        pixels = height * width
        if self.scale > 1:
            self._check_grown(path, pixels * self.scale**2)
            pixels += pixels * self.scale**2  # what is restored cannot take the place of what was read
        self.gate.enter(path, pixels)
        return raster.read(path, max_megapixels=self.max_megapixels, tick=self.gate.check)

    def _check_grown(self, path: Path, pixels: int) -> None:
        if pixels > self.max_megapixels * 1e6:
            raise ImageError(
                f"{path}: restored, {self.scale} times as high and wide, it has {pixels / 1e6:.1f} megapixels, more "
                f"than the {self.max_megapixels:g} that --max-megapixels allows"
            )

    def write(self, job: Job, restored: Raster) -> Written:
        """What the writer does."""
        path, target = job
        sealed = None if self.account is None else partial(self.account.sealed, job)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if self.account is not None:
                self.account.begun(job)
            lost = raster.write(restored, target, tick=self.gate.check, sealed=sealed)
        except OSError as error:
            raise UserError(f"{target.parent}: the folder cannot be made: {error.strerror or error}") from error
        except ImageError as error:
            if isinstance(error.__cause__, OSError):  # no room, no right: the other outputs would fail just so
                raise UserError(str(error)) from error
            raise
        finally:
            self.gate.leave(path)
        return Written(restored.pixels, (*restored.notes, *lost))


class _Gate:
    """Holds reading back while too many pixels are in flight, and ends both threads' work when the run ends."""

    def __init__(self, limit: int) -> None:
        self._limit, self._closed = limit, False
        self._in_flight: dict[Path, int] = {}
        self._changed = threading.Condition()

    def enter(self, path: Path, pixels: int) -> None:
        """Wait until there is room for an image, or no other."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or not self._in_flight or sum(self._in_flight.values()) + pixels <= self._limit
            )
            self._in_flight[path] = pixels
        self.check()

    def leave(self, path: Path) -> None:
        with self._changed:
            self._in_flight.pop(path, None)
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def check(self) -> None:
        if self._closed:
            raise _Stopped
