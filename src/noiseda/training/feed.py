"""The steps of a run, one after another: waiting for one hears signals, and notices when a data worker dies."""

from __future__ import annotations

import multiprocessing
import os
import queue
import re
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from types import FrameType, TracebackType
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from noiseda.data.download import Stopped
from noiseda.data.prefetch import Ahead
from noiseda.errors import UserError
from noiseda.training.interrupt import StopRequest, leave_signals
from noiseda.training.parcel import SHARED, SPARE, Sent, free_bytes, opened, size_of
from noiseda.training.steps import Step, Steps

PATIENCE = 3.0
"""Seconds that a run which was asked to stop still waits for its next step."""

_PAUSE = 0.1  # seconds between two looks at signals and workers
_FULL = 16 * 2**20  # free bytes below which shared memory counts as used up


class Starved(Exception):  # noqa: N818 (the run decides what it makes of it)
    """There is no next step.

    Args:
        error: why; None where the run was asked to stop and none came in time.

    Attributes:
        between_steps: the weights are those of a whole number of optimiser steps.
    """

    def __init__(self, error: UserError | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.between_steps = True


class _Gone:
    """Takes the place of a step: a worker has died."""


class Feed:
    """The steps of a run, prepared by data workers (or none) and handed over by a thread.

    The thread does whatever may take long or never end: downloads, batches, what a dead worker has left half sent. The
    training process itself never waits longer than a moment without a look at its signals and workers.

    Args:
        steps: the steps by number.
        ahead: their numbers in order, which fetches the shards they need.
        workers: number of data workers; 0 prepares steps when they are asked for.
        pinned: hand them over in page-locked memory.
        stop: remembers signals.
        processes: how many processes of this machine train together, and share its memory.
        say: shows one line to the user.
    """

    def __init__(
        self,
        steps: Steps,
        ahead: Ahead,
        *,
        workers: int,
        pinned: bool,
        stop: StopRequest,
        processes: int = 1,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._ahead, self._workers, self._pinned, self._stop, self._say = ahead, workers, pinned, stop, say
        self._threads = torch.get_num_threads()
        self._sent = Sent(steps, shared=_fits(steps, workers, processes, say))
        self._children: list[BaseProcess] = []
        self._ready: queue.SimpleQueue[Step | _Gone | BaseException] = queue.SimpleQueue()
        self._asked = threading.Semaphore(1 if workers else 0)
        self._begun = threading.Event()
        self._closed = False
        self._handler: Callable[[int, FrameType | None], Any] | None = None
        # A daemon: when a worker is killed while it sends, who reads waits for the rest for ever.
        self._thread = threading.Thread(target=self._work, name="noiseda feed", daemon=True)

    def __enter__(self) -> Feed:
        """Start the workers; they are forked before any other thread of the run begins."""
        self._handler = _without_torchs_handler()
        self._thread.start()
        while not self._begun.wait(_PAUSE) and self._thread.is_alive():
            pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Call off what is under way, and leave no worker behind."""
        self._closed = True
        self._ahead.call_off()
        for child in self._children:
            child.kill()  # SIGTERM they ignore
        for child in self._children:
            child.join(PATIENCE)
        self._asked.release()
        self._thread.join(PATIENCE)
        if self._handler is not None:
            signal.signal(signal.SIGCHLD, self._handler)

    def take(self) -> Step:
        """The next step.

        Raises:
            Starved: a worker has died, a step cannot be made, or none has come after a signal.
        """
        self._asked.release()
        asked_to_stop: float | None = None
        while True:
            try:
                found = self._ready.get(timeout=_PAUSE)
            except queue.Empty:
                if self._dead() and self._ready.empty():  # in this order: at the end of a run, they go
                    raise Starved(self._loss()) from None
                if self._stop.signal_number is not None:
                    asked_to_stop = asked_to_stop or time.monotonic()
                    if time.monotonic() - asked_to_stop > PATIENCE:
                        raise Starved(None) from None
                continue
            if isinstance(found, _Gone):
                raise Starved(self._loss())
            if isinstance(found, UserError):
                raise Starved(found)
            if isinstance(found, BaseException):
                raise found
            return found

    def _work(self) -> None:
        """What the thread does."""
        torch.set_num_threads(self._threads)  # each thread has a number of its own
        try:
            before = multiprocessing.active_children()
            try:
                if self._workers:
                    multiprocessing.Lock()  # a loader whose making fails here complains when it is collected
                stream = self._stream(before)
            except OSError as error:
                if self._begun.is_set():  # it comes from the numbers
                    raise
                self._go_alone(before, error)
                stream = self._stream(before)
            self._begun.set()  # without workers, no number has been asked for
            while True:
                self._asked.acquire()
                if self._closed:
                    return
                step = opened(next(stream))
                self._ready.put(step.pin_memory() if self._pinned else step)
        except (Stopped, StopIteration):
            return
        except BaseException as error:  # it is raised where the step is taken
            self._ready.put(_Gone() if not isinstance(error, UserError) and self._dying() else _named(error))

    def _stream(self, before: list[BaseProcess]) -> Iterator[Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its opinion on the number of workers
            loader = DataLoader(
                self._sent,
                batch_size=None,
                sampler=_Noted(self._ahead, lambda: self._note(before)),
                num_workers=self._workers,
                worker_init_fn=_settle,
            )
            return iter(loader)

    def _go_alone(self, before: list[BaseProcess], error: OSError) -> None:
        """Do without workers where they cannot be started: their locks lie in shared memory, too."""
        for child in multiprocessing.active_children():
            if child not in before:
                child.kill()
        self._workers = 0
        self._say(
            f"data workers cannot be started ({error.strerror or error}; {SHARED} has {free_bytes() / 1e6:.0f} MB "
            "free): the run prepares its batches by itself"
        )

    def _note(self, before: list[BaseProcess]) -> None:
        if not self._begun.is_set():
            self._children = [child for child in multiprocessing.active_children() if child not in before]
            self._begun.set()

    def _dead(self) -> list[BaseProcess]:
        return [child for child in self._children if child.exitcode is not None]

    def _dying(self) -> bool:
        """Whether a worker is dead or about to be: a torn connection may be seen first."""
        until = time.monotonic() + 1.0
        while self._children and not self._dead() and not self._closed and time.monotonic() < until:
            time.sleep(0.01)
        return bool(self._dead())

    def _loss(self) -> UserError:
        """What became of the worker that died first, as far as one can see."""
        codes = [child.exitcode or 0 for child in self._dead()]
        return lost(min(codes, default=0), self._workers, free_bytes())


class _Noted(Sampler[int]):
    """The numbers of steps; notes when the first is asked for, which is after the workers were started."""

    def __init__(self, ahead: Ahead, begun: Callable[[], None]) -> None:
        self._ahead, self._begun = ahead, begun

    def __len__(self) -> int:
        return len(self._ahead)

    def __iter__(self) -> Iterator[int]:
        self._begun()
        yield from self._ahead


def _settle(worker: int) -> None:
    """Let a worker leave signals to the run, and go when the run has gone."""
    leave_signals(worker)
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    """End this process when its parent has died: nobody would read what it has begun to send."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _without_torchs_handler() -> Callable[[int, FrameType | None], Any] | None:
    """Take away the handler that torch leaves where the process had a data loader before.

    It raises an error wherever the run happens to be when a worker dies, such as halfway through a checkpoint.

    Returns:
        The handler, which is to be put back.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    if not callable(handler) or not getattr(handler, "__module__", "").startswith("torch."):
        return None
    if threading.current_thread() is not threading.main_thread():
        return None  # signals are of no concern here
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return handler


def lost(exitcode: int, workers: int, free: float) -> UserError:
    """Why a data worker has died, and what helps.

    Args:
        exitcode: its status, or the negative number of the signal that ended it.
        workers: how many there were.
        free: free shared memory in bytes.
    """
    fewer = f"fewer --training.workers than {workers} (0 does without)"
    how = f"ended with status {exitcode}" if exitcode >= 0 else f"was ended by {signal.Signals(-exitcode).name}"
    if exitcode == -signal.SIGBUS or (exitcode < 0 and free < _FULL):
        return UserError(
            f"a data worker {how}: shared memory is used up ({SHARED} has {free / 1e6:.0f} MB left). Give {fewer}, or "
            "more shared memory (docker run --shm-size=2g)"
        )
    if exitcode == -signal.SIGKILL:
        return UserError(
            f"a data worker {how}, as the system does when memory is short. Give {fewer}, or a smaller --training.batch"
        )
    return UserError(f"a data worker {how}. Where this happens again, give {fewer}")


def _named(error: BaseException) -> BaseException:
    """What the user can mend in words of ours, such as too many open files; any other error as it is."""
    if isinstance(error, MemoryError):
        return UserError("not enough memory for a batch: give a smaller --training.batch or fewer --training.workers")
    if isinstance(error, (OSError, RuntimeError)) and re.search("Too many open files|items of ancdata", str(error)):
        return UserError(
            "too many files are open for batches of data workers. Give fewer --training.workers (0 does without), or "
            "allow more (ulimit -n 4096)"
        )
    return error


def _fits(steps: Steps, workers: int, processes: int, say: Callable[[str], None]) -> bool:
    """Whether shared memory has room for all steps that are under way at a time."""
    if not workers:
        return False
    needed = size_of(steps) * (2 * workers + 2) * processes  # a loader prepares two steps a worker
    free = free_bytes()
    if needed <= SPARE * free:
        return True
    say(
        f"shared memory is small ({SHARED} has {free / 1e6:.0f} MB free; {workers} workers could fill "
        f"{needed / 1e6:.0f} MB): batches come through pipes instead, which takes a little longer"
    )
    return False
