"""A comparison as one page: which strategy is best on each set, pictures in all versions, curves, a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from noiseda import read_image
from noiseda.evaluation import compared
from noiseda.report import Chart, Comparison, Report, Score, Table
from noiseda.report import Line as Curve
from noiseda_research.comparison.figures import Curves
from noiseda_research.comparison.table import Line

_LOOKING = "Images of each set, of the first seed. Drag the line, or show all side by side; + and - zoom."
_SIDE = 320
_NOTE = (
    "Means over images and seeds. gain: PSNR minus that of {reference}, image by image, in dB; low and high are the "
    "ends of its 95% interval. closed: share of the gap to {ceiling} in percent. Seconds and steps are those of a run."
)


@dataclass(frozen=True)
class SetOfImages:
    """What a comparison found on one set.

    Attributes:
        name: of the set.
        lines: a line a strategy, in their order.
        costs: strategy -> mean ``seconds`` and ``steps`` of a run.
        curves: strategy -> seed -> PSNR by step; none where none were asked for.
        columns: label -> folder of a few restored images; those that are not there are left out.
        targets: folder of the truth.
    """

    name: str
    lines: Sequence[Line]
    costs: Mapping[str, Mapping[str, float]]
    curves: Curves
    columns: Mapping[str, Path]
    targets: Path


def comparison_page(
    sets: Sequence[SetOfImages],
    *,
    reference: str,
    ceiling: str,
    failed: Mapping[str, str],
    settings: str,
    made_by: Mapping[str, str],
) -> Report:
    """What the page shows.

    Args:
        sets: what was found on each.
        reference: the strategy that others are compared with.
        ceiling: the strategy that closes all of the gap: no rival, since it has seen the truth.
        failed: run -> why it failed.
        settings: those of the comparison, as text.
        made_by: name -> version, commit, machine.
    """
    kept_out = {"input", reference, ceiling}
    return Report(
        title="noiseda compare",
        verdict=" ".join(best(one, reference, ceiling) for one in sets) or "Nothing was scored.",
        tone="bad" if failed else "plain",
        because="The strategy with the highest mean PSNR on each set; it does not say by how much chance decided.",
        facts={f"{one.name}: {line.strategy}": _decibels(line) for one in sets for line in one.lines[:1]}
        | {"runs that failed": str(len(failed))},
        comparisons=[shown for one in sets for shown in _shown(one, reference, kept_out)],
        looking=_LOOKING,
        charts=[_chart(one) for one in sets if one.curves],
        table=Table(
            ["PSNR", "± seeds", "SSIM", "gain", "low", "high", "closed", "steps", "seconds"],
            [(f"{one.name}: {line.strategy}", _row(line, one.costs)) for one in sets for line in one.lines],
            [2, 2, 4, 2, 2, 2, 0, 0, 0],
            note=_NOTE.format(reference=reference, ceiling=ceiling),
        ),
        notes=[f"{run} failed: {why}" for run, why in failed.items()],
        settings=settings,
        made_by=made_by,
    )


def best(one: SetOfImages, reference: str, ceiling: str) -> str:
    """The strategy with the highest mean PSNR, in a sentence.

    >>> line = Line("default", (0,), (30.0,), (0.9,), {}, (0.5, 0.1, 0.9), 0.8)
    >>> best(SetOfImages("polyu", [line], {}, {}, {}, Path()), "synthetic", "oracle")
    'polyu: default is best with 30.00 dB, 0.50 dB above synthetic (95% interval +0.10 to +0.90).'
    """
    rivals = [line for line in one.lines if line.strategy not in ("input", ceiling)]
    if not rivals:
        return f"{one.name}: no run was scored."
    first = max(rivals, key=lambda line: statistics.fmean(line.psnr))
    said = f"{one.name}: {first.strategy} is best with {_decibels(first)}"
    if first.gain is None:
        return f"{said}."
    gain, low, high = first.gain
    where = "above" if gain >= 0 else "below"
    return f"{said}, {abs(gain):.2f} dB {where} {reference} (95% interval {low:+.2f} to {high:+.2f})."


def _decibels(line: Line) -> str:
    return f"{statistics.fmean(line.psnr):.2f} dB"


def _row(line: Line, costs: Mapping[str, Mapping[str, float]]) -> list[Score]:
    spread = statistics.stdev(line.psnr) if len(line.psnr) > 1 else ""
    gain: Sequence[Score] = ("", "", "") if line.gain is None else line.gain
    closed = "" if line.closed is None else 100 * line.closed
    spent = [costs.get(line.strategy, {}).get(key, "") for key in ("steps", "seconds")]
    return [statistics.fmean(line.psnr), spread, statistics.fmean(line.ssim), *gain, closed, *spent]


def _chart(one: SetOfImages) -> Chart:
    """PSNR over the run: the mean over the seeds, and their range as a band."""
    drawn = []
    for strategy, of in one.curves.items():
        by_step = [{point["step"]: point["psnr"] for point in points} for points in of.values()]
        steps = sorted(set.intersection(*(set(points) for points in by_step)))
        values = [[points[step] for points in by_step] for step in steps]
        means = [(step, statistics.fmean(here)) for step, here in zip(steps, values, strict=True)]
        drawn.append(Curve(strategy, means, [min(here) for here in values], [max(here) for here in values]))
    return Chart(f"{one.name}: PSNR", drawn, y="dB", note="Bands: the range over the seeds.")


def _shown(one: SetOfImages, reference: str, kept_out: set[str]) -> list[Comparison]:
    present = {label: folder for label, folder in one.columns.items() if folder.is_dir()}
    if not present:
        return []
    truth = {file.stem: file for file in one.targets.iterdir()}
    rivals = [line for line in one.lines if line.strategy in present and line.strategy not in kept_out]
    first = max(rivals, key=lambda line: statistics.fmean(line.psnr)).strategy if rivals else list(present)[-1]
    opens = (reference if reference in present and first != reference else next(iter(present)), first)
    shown = []
    for name in sorted(file.stem for file in next(iter(present.values())).glob("*.png")):
        images = {label: read_image(folder / f"{name}.png").pixels for label, folder in present.items()}
        target = read_image(truth[name]).pixels
        shown.append(compared(f"{one.name}: {name}", images | {"target": target}, target, opens=opens, side=_SIDE))
    return shown
