"""Try all cases on two processes, and say what came of them."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import queue
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

# Before torch is loaded: the networks are tiny, and two processes share two cores.
os.environ["OMP_NUM_THREADS"] = "1"

from fuzz.cases import COUNTS, Case, Outcome
from fuzz.kills import try_here
from fuzz.kinds import prepare, run
from fuzz.worker import Worker, keep

PROCESSES = 2
FORKS = multiprocessing.get_context("forkserver")
# A process begins with these imported, which take seconds; with nothing of noiseda's, whose reading of images must not
# be forked.
FORKS.set_forkserver_preload(["torch", "torch._dynamo", "scipy.stats", "skimage.data"])


def main(words: list[str] | None = None) -> int:
    """Run the command line; returns 0 where nothing is wrong, 1 where something is."""
    arguments = _arguments(words)
    kinds = [arguments.only] if arguments.only else list(COUNTS)
    if arguments.number is not None:
        cases = [Case(arguments.only, arguments.number, arguments.seed)]
    else:
        cases = _mixed([[Case(kind, number, arguments.seed) for number in range(COUNTS[kind])] for kind in kinds])
    began = time.monotonic()
    outcomes = try_all(cases, arguments.keep, until=began + 60 * arguments.minutes, keep_all=len(cases) == 1)
    left = len(cases) - len(outcomes)
    print(table(outcomes, kinds))
    print(f"{len(outcomes)} cases in {time.monotonic() - began:.0f} s, seed {arguments.seed}")
    if left:
        print(f"WRONG: {left} cases were not tried: {arguments.minutes:g} minutes are over (--minutes)")
    return 1 if left or any(outcome.verdict == "wrong" for outcome in outcomes) else 0


def try_all(cases: list[Case], kept: Path, *, until: float, keep_all: bool = False) -> list[Outcome]:
    """Try cases until a time; each that is wrong is printed at once, and kept."""
    waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
    for case in cases:
        waiting.put(case)
    found: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as text:

        def work(lane: int) -> None:
            folder = Path(text, f"{lane}")
            folder.mkdir()
            worker = Worker(run, ready=prepare, context=FORKS)
            try:
                while time.monotonic() < until:
                    try:
                        case = waiting.get_nowait()
                    except queue.Empty:
                        return
                    place = folder / f"{case.kind}-{case.number}"
                    outcome = try_here(case, place, FORKS) if case.kind == "kills" else worker(case, place)
                    _note(outcome, place, kept, keep_all)
                    found.append(outcome)
            finally:
                worker.close()

        lanes = [
            threading.Thread(target=work, args=(lane,), daemon=True)  # Ctrl-C ends all
            for lane in range(min(PROCESSES, len(cases)))
        ]
        for thread in lanes:
            thread.start()
        for thread in lanes:
            thread.join()
    return found


def _note(outcome: Outcome, place: Path, kept: Path, keep_all: bool) -> None:
    if outcome.verdict != "wrong" and not keep_all:
        shutil.rmtree(place, ignore_errors=True)
        return
    where = keep(outcome, place, kept)
    case = f"{outcome.case.kind} {outcome.case.number}"
    lines = [f"{outcome.verdict.upper()}: {case} ({outcome.what}): {outcome.why}", f"  in {where}"]
    if not keep_all:
        lines.append(f"  again: {outcome.case.command}")
    elif (trace := where / "traceback.txt").exists():
        lines.append(trace.read_text())
    print(*(line.encode(errors="backslashreplace").decode() for line in lines), sep="\n", flush=True)


def table(outcomes: Iterable[Outcome], kinds: list[str]) -> str:
    """What became of each kind."""
    lines = [
        f"{'kind':8} {'cases':>6} {'accepted':>9} {'refused':>8} {'wrong':>6} {'work (s)':>9} {'slowest (s)':>12} {'peak (MB)':>10}"
    ]
    found = list(outcomes)
    for kind in kinds:
        of = [outcome for outcome in found if outcome.case.kind == kind]
        counts = [sum(outcome.verdict == verdict for outcome in of) for verdict in ("accepted", "refused", "wrong")]
        work = sum(outcome.work for outcome in of)
        slowest = max((outcome.seconds for outcome in of), default=0)
        peak = max((outcome.megabytes for outcome in of), default=0)
        lines.append(
            f"{kind:8} {len(of):6} {counts[0]:9} {counts[1]:8} {counts[2]:6} {work:9.0f} {slowest:12.1f} {peak:10.0f}"
        )
    return "\n".join(lines)


def _mixed(kinds: list[list[Case]]) -> list[Case]:
    """All cases, those of every kind spread evenly."""
    placed = [((index + 0.5) / len(cases), case) for cases in kinds for index, case in enumerate(cases)]
    return [case for _, case in sorted(placed, key=lambda one: (one[0], one[1].kind))]


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m fuzz", description=sys.modules["fuzz"].__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seed", type=int, default=0, help="another seed, other cases")
    parser.add_argument("--minutes", type=float, default=5.0, help="time for all; what is not tried then is wrong")
    parser.add_argument("--only", choices=list(COUNTS), help="one kind alone")
    parser.add_argument("--number", type=int, help="one case alone (with --only); its folder is kept")
    parser.add_argument("--keep", type=Path, default=Path("runs/fuzz"), help="where wrong cases are kept")
    found = parser.parse_args(words)
    if found.number is not None and not found.only:
        parser.error("--number needs --only")
    return found


if __name__ == "__main__":
    sys.exit(main())
