"""The figures of a comparison: PSNR over the run, and the pictures side by side."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noiseda import read_image
from noiseda.evaluation import Row, before_after_sheet

Curves = dict[str, dict[int, list[dict[str, Any]]]]
"""Strategy -> seed -> points: step and PSNR."""

STYLES = ("-", "--", ":", "-.")
"""How the lines of strategies are drawn, ten of each kind."""


def draw_curves(curves: Curves, path: Path, *, title: str) -> None:
    """Draw PSNR against steps, a line for each strategy: the mean over the seeds, and their range as a band.

    Args:
        curves: those to draw.
        path: PNG file.
        title: what stands above.
    """
    import matplotlib  # slow to load, and for this alone

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(10, 4.5 + 0.16 * max(0, len(curves) - 20)), constrained_layout=True)
    for number, (name, of) in enumerate(curves.items()):
        style = STYLES[number // 10 % len(STYLES)]  # there are ten colours
        steps = sorted(set.intersection(*({point["step"] for point in points} for points in of.values())))
        if not steps:
            continue
        values = [[p["psnr"] for points in of.values() for p in points if p["step"] == step] for step in steps]
        (drawn,) = axis.plot(steps, [statistics.fmean(v) for v in values], linestyle=style, marker=".", label=name)
        axis.fill_between(
            steps, [min(v) for v in values], [max(v) for v in values], alpha=0.15, color=drawn.get_color()
        )
    axis.set(xlabel="steps", ylabel="PSNR (dB)", title=title)
    axis.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside right upper")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def draw_sheet(columns: Mapping[str, Path], targets: Path, path: Path, *, title: str) -> None:
    """Draw some images of a test in all versions side by side, and their truth.

    Args:
        columns: label -> folder of the restored images; those that are not there yet are left out.
        targets: folder of the truth, of any suffix.
        path: PNG file.
        title: what stands above.
    """
    present = {label: folder for label, folder in columns.items() if folder.is_dir()}
    if not present:
        return
    names = sorted(file.stem for file in next(iter(present.values())).glob("*.png"))
    truth = {file.stem: file for file in targets.iterdir()}
    rows = []
    for name in names:
        target = read_image(truth[name]).pixels
        images = {label: read_image(folder / f"{name}.png").pixels for label, folder in present.items()}
        rows.append(Row(name, images | {"target": target}, target))
    footer = "PSNR in dB, all channels, 8 bits, not aligned"
    before_after_sheet(rows, path, title=title, footer=footer, width=320 if len(present) < 6 else 220)
