"""Processes that try one case after another, and are watched: their time, their memory, and whether they live."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from fuzz.cases import Case, Outcome, Run, was_tried
from fuzz.oracle import judge

SPAWNED = multiprocessing.get_context("spawn")
"""How processes are started, where nobody says it better."""

MEMORY = 1000.0
"""Most memory of a process, in 1e6 bytes."""

SECONDS = 10.0
"""Most processor time of a case; what a machine with other work to do takes on the clock is no hang."""

IDLE = 20.0
"""Seconds without any work after which a process hangs."""

PATIENCE = 120.0
"""Seconds on the clock after which it does in any case, so that one that only looks busy is found too."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Worker:
    """A process that tries cases.

    Args:
        run: what tries a case, a function of a module.
        seconds: most processor time of a case.
        idle: seconds without any work after which it hangs.
        memory: most memory of the process, in 1e6 bytes.
        ready: called once in the process, so that no case's time counts it.
        context: how the process is started.
    """

    def __init__(
        self,
        run: Run,
        *,
        seconds: float = SECONDS,
        idle: float = IDLE,
        memory: float = MEMORY,
        ready: Callable[[], object] | None = None,
        context: BaseContext = SPAWNED,
    ) -> None:
        self.run, self.ready, self.context = run, ready, context
        self.seconds, self.idle, self.memory = seconds, idle, memory
        self._process: Any = None
        self._line: Connection

    def __call__(self, case: Case, place: Path) -> Outcome:
        """Try a case; a process that hangs, grows or dies is replaced."""
        place.mkdir(parents=True)
        try:
            self._start()
        except (EOFError, OSError) as error:
            self.close()
            return Outcome(case, "wrong", why=f"crash: the process that was to try it did not start ({error!r})")
        began, most = time.monotonic(), 0.0
        self._line.send((case, place))
        problem = ""
        watch = Watch(self._process.pid)
        while not problem and not self._line.poll(0.02):
            most = max(most, resident(self._process.pid))
            if most > self.memory:
                problem = f"memory: more than {self.memory:.0f} MB"
            elif watch.worked() > self.seconds:
                problem = f"hang: {watch.worked():.0f} s of work without an end"
            elif watch.idle() > self.idle or time.monotonic() - began > PATIENCE:
                problem = f"hang: nothing came in {time.monotonic() - began:.0f} s"
        try:
            outcome = None if problem else self._line.recv()
        except (EOFError, OSError):
            self._process.join()
            problem = f"crash: the process ended with {_ending(self._process.exitcode)}"
        if problem:
            watch.spent()
            self.close()
            outcome = Outcome(case, "wrong", was_tried(place), problem, megabytes=most)
        if outcome.megabytes > self.memory and outcome.verdict != "wrong":
            outcome.verdict, outcome.why = "wrong", f"memory: {outcome.megabytes:.0f} MB"
        outcome.seconds, outcome.work = time.monotonic() - began, watch.spent()
        return outcome

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                if self._process.is_alive():  # else its number may be another's by now
                    os.killpg(self._process.pid, signal.SIGKILL)  # and what it started
            self._process.kill()
            self._process.join()
            self._line.close()
            self._process = None

    def _start(self) -> None:
        if self._process is not None:
            return
        self._line, other = self.context.Pipe()
        self._process = self.context.Process(target=_serve, args=(self.run, self.ready, other), daemon=True)
        self._process.start()
        other.close()
        self._line.recv()  # ready: what it imports does not count


def _serve(run: Run, ready: Callable[[], object] | None, line: Connection) -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that watches
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")  # as the command line does
    if ready is not None:
        ready()
    home = os.getcwd()
    line.send("ready")
    while True:
        try:
            case, place = line.recv()
        except EOFError:
            return
        Path("/proc/self/clear_refs").write_text("5")  # the peak of this case alone
        with _Said(place / "said.txt") as said:
            outcome = judge(run, case, place, said.text)
        os.chdir(home)
        outcome.megabytes = peak(os.getpid())
        line.send(outcome)


class _Said:
    """All that is written to the terminal inside the block goes to a file, whoever writes it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> _Said:
        self._kept = os.dup(1), os.dup(2)
        with self._path.open("wb") as file:
            for number in (1, 2):
                os.dup2(file.fileno(), number)
        return self

    def text(self) -> str:
        sys.stdout.flush()
        sys.stderr.flush()
        return self._path.read_text(errors="replace")

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, kept in zip((1, 2), self._kept, strict=True):
            os.dup2(kept, number)
            os.close(kept)


def keep(outcome: Outcome, place: Path, folder: Path) -> Path:
    """Move what a case was made of to where it is kept."""
    target = folder / f"{outcome.case.kind}-{outcome.case.number:03d}"
    shutil.rmtree(target, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.move(place, target)
    (target / "command.txt").write_text(f"{outcome.case.command}\n{outcome.what}\n{outcome.why}\n", errors="replace")
    return target


class Watch:
    """How much a process works from now on.

    Args:
        process: its number.
    """

    def __init__(self, process: int) -> None:
        self._process = process
        self._first, self._start, self._since = busy(process), total(process), time.monotonic()
        self._all = self._start

    def worked(self) -> float:
        """Seconds that the process itself has worked."""
        return busy(self._process) - self._first

    def spent(self) -> float:
        """Seconds that it and what it started have worked, as far as they still live."""
        self._all = max(self._all, total(self._process))
        return self._all - self._start

    def idle(self) -> float:
        """Seconds on the clock since it, or a process that it started, last did anything."""
        now = total(self._process)
        if now != self._all:
            self._all, self._since = now, time.monotonic()
        return time.monotonic() - self._since


def busy(process: int) -> float:
    """Seconds that a process has worked; 0 where it has ended."""
    with suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return 0.0


def total(process: int) -> float:
    """Seconds that a process and those that it started have worked; 0 where it has ended."""
    with suppress(OSError):
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ended = (int(fields[13]) + int(fields[14])) / _TICKS
        return busy(process) + ended + sum(total(int(child)) for child in children)
    return 0.0


def resident(process: int) -> float:
    """Memory of a process now, in 1e6 bytes; 0 where it has ended."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE / 1e6
    return 0.0


def peak(process: int) -> float:
    """Most memory that a process had, in 1e6 bytes; 0 where it has ended."""
    with suppress(OSError):
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return max((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), default=0) * 1024 / 1e6
    return 0.0


def _ending(status: int | None) -> str:
    return signal.Signals(-status).name if status is not None and status < 0 else f"status {status}"
