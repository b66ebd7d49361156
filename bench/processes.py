"""Measurements in processes of their own, so that neither memory nor warmed caches of one reach another; their figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def in_a_process(script: str, case: Any, *, processes: int = 0) -> dict[str, float]:
    """Measure a case (a dataclass) with a script that ends in :func:`main_of_a_case`.

    Args:
        script: the script's ``__file__``.
        case: what to measure.
        processes: number of processes under torchrun, of one thread each; 0 for one process without it.
    """
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes else []
    with tempfile.TemporaryDirectory() as place:
        out = Path(place, "found.json")
        command = [sys.executable, *launcher, script, "--case", json.dumps(asdict(case)), str(out)]
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {"GOMP_SPINCOUNT": "10000", **os.environ, "PYTHONPATH": paths}  # as the command has it
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise SystemExit(f"{case}: {done.stderr[-2000:]}")
        return json.loads(out.read_text())


def show(found: dict[str, float], out: Path | None) -> None:
    """Print the figures, one a line, and keep them in a file where one is named."""
    for name, value in found.items():
        print(f"{name:60} {value:.4g}")
    if out:
        out.write_text(json.dumps(found, indent=2))


def main_of_a_case(one: Callable[[dict[str, Any]], dict[str, float]], main: Callable[[], None]) -> None:
    """Be the process that measures one case, where the words say so; else run ``main``."""
    if sys.argv[1:2] != ["--case"]:
        main()
        return
    found = one(json.loads(sys.argv[2]))
    if os.environ.get("RANK", "0") == "0":
        Path(sys.argv[3]).write_text(json.dumps(found))
