"""Two processes that each try one case after another, by way of a worker of their own."""

from __future__ import annotations

import atexit
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from fuzz.cases import Case, Outcome
from fuzz.kills import try_here
from fuzz.kinds import prepare, run
from fuzz.worker import SPAWNED, Worker, keep

LANES = 2


def try_all(cases: list[Case], kept: Path, *, until: float, keep_all: bool = False) -> Iterator[Outcome]:
    """Try cases on two processes, and keep the folders of those that are wrong.

    Args:
        cases: what to try.
        kept: where folders are kept.
        until: when to begin no more of them; see :func:`time.time`.
        keep_all: keep the folders of all.

    Yields:
        The outcome of every case that was tried, in their order.
    """
    lanes = min(LANES, len(cases))
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as folder,
        ProcessPoolExecutor(lanes, SPAWNED, _begin, (folder, kept, until, keep_all)) as pool,
    ):
        yield from (outcome for outcome in pool.map(_try, cases) if outcome is not None)


class _Lane:
    """What a process has to try cases with."""

    def __init__(self, folder: str, kept: Path, until: float, keep_all: bool) -> None:
        self.kept, self.until, self.keep_all = kept, until, keep_all
        self.folder = Path(tempfile.mkdtemp(dir=folder)) / "cases"
        self.folder.mkdir()
        self.forks = multiprocessing.get_context("forkserver")
        # A process begins with these imported, which take seconds; with nothing of noiseda's, whose reading of images
        # must not be forked.
        self.forks.set_forkserver_preload(["torch", "torch._dynamo", "scipy.stats", "skimage.data"])
        self.worker = Worker(run, ready=prepare, context=self.forks)
        atexit.register(self.worker.close)

    def __call__(self, case: Case) -> Outcome | None:
        """Try a case, unless time is over."""
        if time.time() > self.until:
            return None
        place = self.folder / f"{case.kind}-{case.number}"
        outcome = try_here(case, place, self.forks) if case.kind == "kills" else self.worker(case, place)
        if outcome.verdict == "wrong" or self.keep_all:
            outcome.kept = keep(outcome, place, self.kept)
        shutil.rmtree(place, ignore_errors=True)
        return outcome


_lanes: list[_Lane] = []


def _begin(folder: str, kept: Path, until: float, keep_all: bool) -> None:
    _lanes.append(_Lane(folder, kept, until, keep_all))


def _try(case: Case) -> Outcome | None:
    return _lanes[0](case)
