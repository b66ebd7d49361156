"""The tables of docs/explanation/performance.md, in Markdown, from what ``make bench`` wrote.

python -m bench.tables [bench/results.json]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

TRAINING = ("samples_per_s", "peak_gib", "tflop_per_sample", "tflops", "share_of_matmul", "waiting_for_data")
RESTORATION = ("megapixels_per_s", "speed_ratio", "peak_gib", "prepared_in_s")


def table(figures: dict[str, float], prefix: str, columns: tuple[str, ...], base: str | None = None) -> str:
    """The figures ``prefix.ROW.COLUMN``, a row each; with ``base``, the ratio of the first column to that row's too."""
    names = dict.fromkeys(name.removeprefix(prefix).rpartition(".")[0] for name in figures if name.startswith(prefix))
    rows = [name for name in names if f"{prefix}{name}.{columns[0]}" in figures]
    more = ("ratio",) if base else ()
    lines = ["| | " + " | ".join([*columns, *more]) + " |", "|---" * (1 + len(columns) + len(more)) + "|"]
    for row in rows:
        cells = [f"{figures[f'{prefix}{row}.{column}']:.3g}" for column in columns]
        if base:
            cells.append(f"{figures[f'{prefix}{row}.{columns[0]}'] / figures[f'{prefix}{base}.{columns[0]}']:.2f}")
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print all tables."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "bench/results.json")
    document = json.loads(path.read_text())
    figures = document["figures"]
    print(json.dumps(document["machine"], indent=2), document["seconds"], sep="\n")
    for size in ("paper", "small"):
        print(table(figures, f"training.{size}.", TRAINING, base="plain"), end="\n\n")
    print(table(figures, "growth.growth.", ("samples_per_s",), base="batch 6"), end="\n\n")
    for width in (24, 64):
        print(table(figures, f"restoration.width {width}.", RESTORATION), end="\n\n")
    shown = ("training", "growth", "restoration")
    print("\n".join(f"{name}: {value:.4g}" for name, value in figures.items() if not name.startswith(shown)))
    print("\n".join(document["targets"]))


if __name__ == "__main__":
    main()
