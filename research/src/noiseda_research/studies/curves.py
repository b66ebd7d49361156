"""Draw the terms of the objective over the steps of one or more runs, from their ``log.jsonl``.

    python -m noiseda_research.studies.curves OUT.png RUN [RUN ...]

A RUN is a folder, or label=folder; runs of the same label share a colour.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

TERMS = {
    "restoration": "restoration: Charbonnier on synthetic pairs",
    "noise": "noise: MSE+ (right residuals)",
    "noise_swapped": "noise_swapped: MSE- (swapped residuals)",
    "contrast": "contrast: max(0, MSE+ - MSE- + margin)",
}


def main() -> None:
    """Draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs, or label=folder")
    arguments = parser.parse_args()
    figure, axes = pyplot.subplots(1, len(TERMS), figsize=(4 * len(TERMS), 3.2), constrained_layout=True)
    colours: dict[str, str] = {}
    for run in arguments.runs:
        label, _, folder = str(run).rpartition("=")
        label = label or Path(folder).name
        first = label not in colours
        colour = colours.setdefault(label, f"C{len(colours)}")
        lines = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
        for axis, term in zip(axes, TERMS, strict=True):
            # A run without adaptation logs its only term as the loss.
            key = term if any(term in line for line in lines) else "loss" if term == "restoration" else None
            points = [(line["step"], line[key]) for line in lines if key in line]
            if points:
                axis.plot(*zip(*points, strict=True), color=colour, lw=1, label=label if first else None)
    for axis, title in zip(axes, TERMS.values(), strict=True):
        axis.set(title=title, xlabel="step", yscale="linear" if title.startswith("contrast") else "log")
        axis.title.set_fontsize(9)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.savefig(arguments.out, dpi=110)


if __name__ == "__main__":
    main()
