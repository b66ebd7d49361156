"""Table of several quickstarts, from their ``summary.json``.

for seed in 0 1 2; do noiseda quickstart --out runs/quickstart-$seed --seed $seed; done
python -m noiseda_research.studies.quickstarts runs/quickstart-0 runs/quickstart-1 runs/quickstart-2
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path


def main(folders: list[str]) -> None:
    """Print the table: PSNR of every column, a line each quickstart, then mean and standard deviation."""
    summaries = [json.loads((Path(folder) / "summary.json").read_text()) for folder in folders]
    columns = list(summaries[0]["psnr"])
    print(f"| seed | {' | '.join(columns)} | adapted - ready | seconds |")
    print("|---" * (len(columns) + 3) + "|")
    rows = []
    for summary in summaries:
        psnr = summary["psnr"]
        row = [*(psnr[column] for column in columns), psnr["adapted"] - psnr["ready"]]
        rows.append(row)
        print(f"| {summary['seed']} | {_cells(row)} | {summary['seconds']['total']:.0f} |")
    if len(rows) > 1:
        figures = list(zip(*rows, strict=True))
        print(f"| **mean** | {_cells([statistics.mean(column) for column in figures])} | |")
        print(f"| standard deviation | {_cells([statistics.stdev(column) for column in figures])} | |")
    made_by = [
        f"{s['made_by']['commit']}, {s['made_by']['threads']} thread(s), torch {s['made_by']['torch']}"
        for s in summaries
    ]
    print("\n".join(dict.fromkeys(made_by)))


def _cells(values: list[float]) -> str:
    return " | ".join(f"{value:.2f}" for value in values)


if __name__ == "__main__":
    main(sys.argv[1:])
