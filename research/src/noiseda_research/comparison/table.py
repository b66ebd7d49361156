"""From scores to a table: means, spread over seeds, paired differences with an interval, share of the gap closed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from noiseda.evaluation import bootstrap_interval
from noiseda_research.comparison.scores import Scores

PARTS = ("bias", "noise", "texture", "other")


@dataclass(frozen=True)
class Line:
    """One strategy on one test.

    Attributes:
        strategy: its name.
        seeds: the seeds it was run with.
        psnr: mean PSNR (dB) over the images, of each seed.
        ssim: mean SSIM, of each seed.
        parts: mean squared error of each kind (bias, noise, texture, other), over images and seeds.
        gain: mean over the images of its PSNR minus the reference's (averaged over common seeds), and a 95% interval;
            None for the reference itself.
        closed: share of the gap between reference and ceiling that it closes; None where there is no gap.
    """

    strategy: str
    seeds: tuple[int, ...]
    psnr: tuple[float, ...]
    ssim: tuple[float, ...]
    parts: Mapping[str, float]
    gain: tuple[float, float, float] | None
    closed: float | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "strategy": self.strategy,
            "seeds": list(self.seeds),
            "psnr": list(self.psnr),
            "ssim": list(self.ssim),
            "squared_error": dict(self.parts),
            "gain": None if self.gain is None else list(self.gain),
            "closed": self.closed,
        }


def lines(
    scores: Mapping[str, Mapping[int, Scores]], *, reference: str, ceiling: str, measure: str = "psnr"
) -> list[Line]:
    """A line for each strategy.

    Args:
        scores: strategy -> seed -> scores.
        reference: the strategy that others are compared with.
        ceiling: the strategy that closes all of the gap.
        measure: the measure called PSNR: ``psnr``, or ``psnr_best_shift``.
    """
    base = scores.get(reference, {})
    found = []
    for strategy, by_seed in scores.items():
        of = dict(sorted(by_seed.items()))  # whichever run ended first
        common = [seed for seed in of if seed in base]
        gain = None
        if strategy != reference and common:
            gain = bootstrap_interval(_differences(of, base, common, measure))
        top = scores.get(ceiling, {})
        shared = [seed for seed in common if seed in top]
        closed = None
        if shared and strategy not in (reference, ceiling):
            low, mine, high = (_mean(one, shared, measure) for one in (base, of, top))
            closed = (mine - low) / (high - low) if high > low else None
        found.append(
            Line(
                strategy=strategy,
                seeds=tuple(of),
                psnr=tuple(_mean(of, [seed], measure) for seed in of),
                ssim=tuple(_mean(of, [seed], "ssim") for seed in of),
                parts={part: _mean(of, list(of), part) for part in PARTS},
                gain=gain,
                closed=closed,
            )
        )
    return found


def _differences(
    of: Mapping[int, Scores], base: Mapping[int, Scores], seeds: Sequence[int], measure: str
) -> list[float]:
    """Image by image, averaged over the seeds."""
    names = of[seeds[0]]
    return [statistics.fmean(of[seed][name][measure] - base[seed][name][measure] for seed in seeds) for name in names]


def _mean(of: Mapping[int, Scores], seeds: Sequence[int], measure: str) -> float:
    return statistics.fmean(image[measure] for seed in seeds for image in of[seed].values())


def markdown(
    found: Sequence[Line], costs: Mapping[str, Mapping[str, float]], also: Mapping[str, Sequence[Line]]
) -> str:
    """The table in Markdown.

    Args:
        found: lines of the set's own test.
        costs: strategy -> mean ``seconds``, ``steps`` and ``peak_gib``.
        also: further test -> its lines; their PSNR is shown.
    """
    heads = [
        "strategy",
        "seeds",
        "PSNR",
        "SSIM",
        "minus reference (95%)",
        "gap closed",
        "bias / noise / texture / other",
    ]
    heads += [f"{name}: PSNR" for name in also] + ["steps", "seconds", "GiB"]
    rows = [heads, ["---"] * len(heads)]
    others = {name: {line.strategy: line for line in their} for name, their in also.items()}
    for line in found:
        gain = "" if line.gain is None else "{:+.2f} ({:+.2f} to {:+.2f})".format(*line.gain)
        spent = costs.get(line.strategy)
        row = [
            line.strategy,
            ", ".join(map(str, line.seeds)) if spent else "",
            spread(line.psnr, 2),
            spread(line.ssim, 4),
            gain,
            "" if line.closed is None else f"{line.closed:.0%}",
            " / ".join(f"{1e5 * line.parts[part]:.1f}" for part in PARTS),
        ]
        row += [spread(their[line.strategy].psnr, 2) if line.strategy in their else "" for their in others.values()]
        for key, digits in (("steps", 0), ("seconds", 0), ("peak_gib", 2)):
            row.append(f"{spent[key]:.{digits}f}" if spent and key in spent else "")
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def spread(values: Sequence[float], digits: int) -> str:
    """Mean and standard deviation over the seeds.

    >>> spread([30.0, 31.0], 2), spread([30.0], 2)
    ('30.50 ± 0.71', '30.00')
    """
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(set(values)) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"
