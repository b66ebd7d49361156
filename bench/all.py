"""Everything that is fast or large, measured in one run: ``make bench``.

    python -m bench.all [--device cuda] [--parts training,restoration] [--out bench/results.json]

Prints a table as it goes, then the targets and whether this machine meets them, and writes every figure by name with
the machine and the versions. Ratios compare what ran in this very run; figures of different runs do not compare.
Give it an idle machine: what else runs is measured too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch

from bench import data, large_photograph, restoration, seams, sharding, training
from noiseda.precision import computes_bf16
from noiseda.provenance import provenance

PARTS: dict[str, Callable[[str], dict[str, float]]] = {
    "training": training.measure,
    "growth": training.growth,
    "data": lambda device: data.measure(),
    "sharding": lambda device: sharding.measure(),
    "restoration": restoration.measure,
    "large": lambda device: large_photograph.measure(kinds=("jpg",), folder=4),
    "seams": lambda device: seams.measure(),
}
"""Name -> what measures it on a device; each returns its figures by name."""


def targets(gpu: bool) -> dict[str, tuple[str, float]]:
    """Figure -> (at least or at most, limit): what the project set itself for two cores, and for one H100."""
    return {
        "training.paper.speed_ratio": ("at least", 5.0 if gpu else 3.0),
        "training.paper.memory_ratio": ("at most", 0.5),
        "training.paper.ours.waiting_for_data": ("at most", 0.02),
        "training.small.ours.waiting_for_data": ("at most", 0.02),
        "restoration.default.speed_ratio": ("at least", 3.0),
        "large.jpg.peak_gib": ("at most", 2.0),
        "seams.difference": ("at most", 1.0),
    } | ({"training.paper.compiled.share_of_matmul": ("at least", 0.45)} if gpu else {})


def machine(device: str) -> dict[str, object]:
    """What the figures were measured on and with."""
    packages = ("torch", "accelerate", "onnxruntime", "numpy", "pyvips")
    return provenance() | {
        "device": device,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bf16 in hardware": computes_bf16(torch.device(device)),
        "system": platform.platform(),
        "load before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": {name: version(name) for name in packages},
    }


def verdicts(found: dict[str, float], gpu: bool) -> list[str]:
    """A line for each target: the figure, the limit, met or not."""
    lines = []
    for name, (side, limit) in targets(gpu).items():
        if name in found:
            met = found[name] >= limit if side == "at least" else found[name] <= limit
            lines.append(f"{name:45} {found[name]:8.3g}   {side} {limit:g}: {'met' if met else 'NOT met'}")
    return lines


def main() -> None:
    """Measure the parts one after the other; what is measured is kept though a later part fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--parts", default=",".join(PARTS), help="parts to measure, separated by commas")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.json")
    arguments = parser.parse_args()
    document = {"machine": machine(arguments.device), "seconds": {}, "figures": {}}
    for part in arguments.parts.split(","):
        began = time.perf_counter()
        figures = {f"{part}.{name}": value for name, value in PARTS[part](arguments.device).items()}
        document["seconds"][part] = round(time.perf_counter() - began, 1)
        document["figures"] |= figures
        for name, value in figures.items():
            print(f"{name:60} {value:10.4g}")
        print(f"-- {part}: {document['seconds'][part]:.0f} s", flush=True)
        document["targets"] = verdicts(document["figures"], arguments.device != "cpu")
        arguments.out.write_text(json.dumps(document, indent=2))
    print("\n".join(document["targets"]))
    print(f"{sum(document['seconds'].values()):.0f} s in all; every figure is in {arguments.out}")


if __name__ == "__main__":
    main()
