"""Try all cases, and say what came of them."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

# Before torch is loaded: the networks are tiny, and two processes share two cores.
os.environ["OMP_NUM_THREADS"] = "1"

from fuzz.cases import COUNTS, Case, Outcome
from fuzz.lanes import try_all


def main(words: list[str] | None = None) -> int:
    """Run the command line; returns 0 where nothing is wrong, 1 where something is."""
    arguments = _arguments(words)
    kinds = [arguments.only] if arguments.only else list(COUNTS)
    if arguments.number is not None:
        cases = [Case(arguments.only, arguments.number, arguments.seed)]
    else:
        cases = mixed([[Case(kind, number, arguments.seed) for number in range(COUNTS[kind])] for kind in kinds])
    began, found, alone = time.time(), [], len(cases) == 1
    for outcome in try_all(cases, arguments.keep, until=began + 60 * arguments.minutes, keep_all=alone):
        found.append(outcome)
        if outcome.verdict == "wrong" or alone:
            print(described(outcome, alone=alone), flush=True)
    left = len(cases) - len(found)
    print(table(found, kinds))
    print(f"{len(found)} cases in {time.time() - began:.0f} s, seed {arguments.seed}")
    if left:
        print(f"WRONG: {left} cases were not tried: {arguments.minutes:g} minutes are over (--minutes)")
    return 1 if left or any(outcome.verdict == "wrong" for outcome in found) else 0


def described(outcome: Outcome, *, alone: bool) -> str:
    """A few lines on what became of a case, with its traceback where it is the only one."""
    case = f"{outcome.case.kind} {outcome.case.number}"
    lines = [f"{outcome.verdict.upper()}: {case} ({outcome.what}): {outcome.why}", f"  in {outcome.kept}"]
    if not alone:
        lines.append(f"  again: {outcome.case.command}")
    elif outcome.kept is not None and (trace := outcome.kept / "traceback.txt").exists():
        lines.append(trace.read_text())
    return "\n".join(lines).encode(errors="backslashreplace").decode()


def table(outcomes: list[Outcome], kinds: list[str]) -> str:
    """What became of each kind."""
    heads = ("cases", "accepted", "refused", "wrong", "work (s)", "slowest (s)", "peak (MB)")
    lines = [f"{'kind':8}" + "".join(f"{head:>12}" for head in heads)]
    for kind in kinds:
        of = [outcome for outcome in outcomes if outcome.case.kind == kind]
        counts = [sum(outcome.verdict == verdict for outcome in of) for verdict in ("accepted", "refused", "wrong")]
        cost = [
            f"{sum(outcome.work for outcome in of):.0f}",
            f"{max((outcome.seconds for outcome in of), default=0):.1f}",
            f"{max((outcome.megabytes for outcome in of), default=0):.0f}",
        ]
        lines.append(f"{kind:8}" + "".join(f"{cell:>12}" for cell in (len(of), *counts, *cost)))
    return "\n".join(lines)


def mixed(kinds: list[list[Case]]) -> list[Case]:
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
