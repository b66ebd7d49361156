"""What ``noiseda judge`` found, and its page: the verdict, and some photographs restored by both networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from noiseda.assessment.pictures import PHOTOGRAPHS, Restored, restored, scores_of, sentence, tone
from noiseda.assessment.sure import Risk
from noiseda.assessment.verdict import Verdict
from noiseda.config import Task
from noiseda.data.batches import generator
from noiseda.data.degradations import Degradation
from noiseda.data.depth import Depth, shown
from noiseda.data.folders import spread
from noiseda.estimation.finding import finding
from noiseda.evaluation.interval import interval
from noiseda.images import read
from noiseda.provenance import provenance
from noiseda.report import Report, Table
from noiseda.restoration import Restorer

_LOOKING = (
    "Some of your photographs, of large ones the part with the most structure. Before is what the network is compared "
    "with. Drag the line, or show all side by side; + and - zoom."
)
_RISKS = (
    "Estimated without truth: the noise of the photograph as it is, and the root of the squared error that each "
    "network leaves. An estimate below zero is shown as 0."
)


@dataclass(frozen=True)
class Estimates:
    """What was estimated of two networks on the same photographs.

    Attributes:
        adapted: the risk of the network in question.
        baseline: that of the one it is compared with.
    """

    adapted: Risk
    baseline: Risk

    @property
    def gain(self) -> tuple[float, float, float]:
        """How much lower the squared error is, as a share of the baseline's: mean, and 95% interval over photographs.

        Photographs with much noise and with little count alike: each difference is divided by the deviation of the
        noise in it.
        """
        rows = list(zip(self.baseline.restored, self.adapted.restored, self.baseline.noise, strict=True))
        scale = fmean(max(base, 0.0) / math.sqrt(noise) for base, _, noise in rows)
        mean, low, high = interval([(base - own) / math.sqrt(noise) for base, own, noise in rows])
        scale = max(scale, 1e-9)
        return mean / scale, low / scale, high / scale

    @property
    def better(self) -> bool:
        """Whether the whole interval lies above 0.

        There is no verdict "worse": of cameras that smooth flat places, too little noise is found, and a network that
        rightly removes much of it looks worse than one that does not (docs/results.md counts both).
        """
        return self.gain[1] > 0

    @property
    def word(self) -> str:
        """The verdict."""
        return "better" if self.better else "not shown to be better"

    @property
    def lower(self) -> str:
        """By how much the squared error is lower, in words."""
        mean, low, high = self.gain
        return f"lower by {100 * mean:.0f}% (95%: {100 * low:.0f} to {100 * high:.0f})"

    @property
    def doubt(self) -> str:
        """What to keep in mind where the whole interval lies below 0; nothing elsewhere."""
        if self.gain[2] >= 0:
            return ""
        return (
            "It may still be: where a camera smooths flat places, less noise is found than there is, and networks that "
            "remove much look worse than they are. Look at the pictures."
        )


@dataclass(frozen=True)
class Judged:
    """What is judged.

    Attributes:
        task: what the networks restore.
        adapted: weights file of the network in question.
        baseline: that of the one it is compared with.
        real: files of the photographs.
        networks: the two, in this order.
        deep: how deep the photographs are.
        seed: of every draw.
    """

    task: Task
    adapted: Path
    baseline: Path
    real: list[Path]
    networks: list[Restorer]
    deep: Depth
    seed: int


def verdict_page(case: Judged, verdict: Verdict, like: Degradation) -> Report:
    """The page of a verdict that clean photographs were needed for.

    Args:
        case: what was judged.
        verdict: how.
        like: what the photographs look like they went through.
    """
    photographs = _photographs(case)
    return Report(
        title=_title(case),
        verdict=sentence(verdict),
        tone=tone(verdict.word),
        because=f"{verdict.because}.",
        facts={"gain": f"{verdict.gain[0]:+.2f} dB", "photographs": str(len(case.real))},
        found=finding(like, generator(case.seed, "report")),
        comparisons=[each.comparison() for each in photographs],
        looking=_LOOKING,
        table=scores_of(photographs, case.deep.levels),
        made_by=_made_by(case),
    )


def estimates_page(case: Judged, found: Estimates, names: Sequence[str]) -> Report:
    """The page of estimates from the photographs alone.

    Args:
        case: what was judged.
        found: the estimates.
        names: of the photographs, one an estimate.
    """
    noise, baseline, adapted = (
        [255 * math.sqrt(max(0.0, value)) for value in values]
        for values in (found.baseline.noise, found.baseline.restored, found.adapted.restored)
    )
    rows = [(name, list(row)) for name, *row in zip(names, noise, baseline, adapted, strict=True)]
    return Report(
        title=_title(case),
        verdict=f"The adapted network is {found.word} than {case.baseline}: its squared error is {found.lower}.",
        tone=tone(found.word),
        because=found.doubt,
        facts={"squared error": f"{-100 * found.gain[0]:+.0f}%", "photographs": str(len(names))},
        comparisons=[each.comparison() for each in _photographs(case)],
        looking=_LOOKING,
        table=Table(
            ["noise, of 255", "error before, of 255", "error adapted, of 255"],
            rows,
            [2, 2, 2],
            (f"mean of {len(rows)}", [fmean(column) for column in (noise, baseline, adapted)]),
            _RISKS,
        ),
        made_by=_made_by(case),
    )


def _photographs(case: Judged) -> list[Restored]:
    networks = {"before": case.networks[1], "adapted": case.networks[0]}
    chosen = [case.real[index] for index in spread(len(case.real), PHOTOGRAPHS)]
    pixels = [shown([read(path, say=False)], case.deep.white)[0] for path in chosen]
    return [restored(path.name, x, None, networks) for path, x in zip(chosen, pixels, strict=True)]


def _title(case: Judged) -> str:
    return f"noiseda judge: {case.task}"


def _made_by(case: Judged) -> dict[str, str]:
    return {"adapted": str(case.adapted), "compared with": str(case.baseline), **provenance()}
