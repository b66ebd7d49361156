"""Some photographs, restored by networks that are compared: to be looked at, and a row of figures each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from noiseda.assessment.verdict import Verdict
from noiseda.estimation.noise_looks import middle, noise_statistics
from noiseda.evaluation.comparisons import compared
from noiseda.evaluation.sheet import Row, structured_part, versions_psnr
from noiseda.inference import restore_tensor
from noiseda.report import Comparison, Score, Table, Tone
from noiseda.restoration import Restorer

PHOTOGRAPHS = 4
"""Photographs that are shown, evenly spread."""

SIDE = 384
"""Side of the part of a photograph that is restored and shown, in pixels, at most: restoring more would take long."""

SEARCHED = 2048
"""Side of the middle of a photograph in which that part is looked for: of large ones, all would take memory."""

_SCORES = "Of the parts above: PSNR over all channels at 8 bits, and the root mean square of what was taken away."
_NOISE = (
    "Of the parts above: the deviation of the noise of brightness in flat places, and the root mean square of what was "
    "taken away, over all colours."
)
_TONES: Mapping[str, Tone] = {"better": "good", "worse": "bad"}


@dataclass(frozen=True)
class Restored:
    """A part of a photograph.

    Attributes:
        name: of its file.
        whole: height and width of the photograph.
        images: label -> (C, H, W) in [0, 1]: ``input``, perhaps ``before``, ``adapted``.
        target: (C, H, W), where there is one.
    """

    name: str
    whole: tuple[int, int]
    images: dict[str, Tensor]
    target: Tensor | None

    @property
    def taken(self) -> float:
        """Root mean square of what was taken away, in steps of 1/255."""
        return 255 * float((self.images["input"] - self.images["adapted"]).square().mean().sqrt())

    def comparison(self) -> Comparison:
        """The same for people to look at."""
        images = self.images if self.target is None else {**self.images, "target": self.target}
        pair = ("input", "adapted")
        found = compared(self.name, images, self.target, opens=pair, differs=pair, taken=True, side=SIDE)
        (height, width), (high, wide) = self.whole, self.images["input"].shape[-2:]
        cut = (high, wide) != (height, width)
        return replace(found, note=f"{wide} × {high} of {width} × {height} pixels" if cut else "")

    def scores(self, levels: float) -> list[Score]:
        """PSNR of each version where there is a target, else how strong the noise is; and what was taken away."""
        if self.target is not None:
            row = Row(self.name, self.images, self.target)
            return [*(value for value in versions_psnr(row) if value is not None), self.taken]
        look = noise_statistics(self.images["input"], levels)
        return ["–" if look is None else 255 * math.exp(float(look[0])), self.taken]


def restored(name: str, x: Tensor, y: Tensor | None, networks: Mapping[str, Restorer]) -> Restored:
    """Restore the most structured part of a photograph by each network.

    Args:
        name: of its file.
        x: (C, H, W) in [0, 1].
        y: its truth, where there is one.
        networks: label -> network; one of them is ``adapted``.
    """
    whole = (x.shape[-2], x.shape[-1])
    x, target = middle(x, SEARCHED), None if y is None else middle(y, SEARCHED)
    rows, columns = structured_part(x if target is None else target, SIDE)
    part = x[:, rows, columns]
    target = None if target is None else target[:, rows, columns]
    images = {"input": part} | {label: restore_tensor(network, part) for label, network in networks.items()}
    return Restored(name, whole, images, target)


def scores_of(photographs: Sequence[Restored], levels: float = 255.0) -> Table | None:
    """The figures of each; None where there is no photograph.

    Args:
        photographs: all of them with a target, or none.
        levels: steps from black to white in their files.
    """
    if not photographs:
        return None
    first = photographs[0]
    columns = [f"{label} dB" for label in first.images] if first.target is not None else ["noise, of 255"]
    return Table(
        [*columns, "taken away, of 255"],
        [(each.name, each.scores(levels)) for each in photographs],
        [2] * (len(columns) + 1),
        note=_SCORES if first.target is not None else _NOISE,
    )


def sentence(verdict: Verdict) -> str:
    """A verdict in a sentence without its reason."""
    mean, low, high = verdict.gain
    figures = f"{mean:+.2f} dB (95%: {low:+.2f} to {high:+.2f})"
    return f"The adapted network is {verdict.word} than {verdict.than}: {figures}."


def tone(word: str) -> Tone:
    """Whether the word of a verdict is good news.

    >>> tone("better"), tone("not shown to be better")
    ('good', 'plain')
    """
    return _TONES.get(word, "plain")
