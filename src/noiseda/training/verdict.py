"""Whether to use an adapted network, told without the truth of the photographs that it was adapted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from torch import Tensor, nn

from noiseda.config import AdaptSettings, Precision
from noiseda.data.batches import generator
from noiseda.data.look_alikes import look_alikes
from noiseda.data.matching import Matched, some
from noiseda.evaluation.interval import interval
from noiseda.evaluation.metrics import psnr
from noiseda.inference import restore_tensor
from noiseda.restoration import load

Pairs = list[tuple[Tensor, Tensor]]
"""Degraded and clean images, (C, H, W) each."""


@dataclass(frozen=True)
class Trial:
    """Pairs that a run is tried on.

    Attributes:
        choosing: by which its weights are chosen.
        judging: by which they are told from others.
        of: what they are, in words.
    """

    choosing: Pairs
    judging: Pairs
    of: str


def trial(settings: AdaptSettings, validation: Pairs, like: Matched | None, clean: Sequence[Path]) -> Trial | None:
    """What a run is tried on: the user's validation pairs, else look-alikes, other ones for choosing and for judging.

    Args:
        settings: the run's settings.
        validation: pairs of ``--validation``.
        like: what the real photographs went through, where that is known.
        clean: files of clean photographs.

    Returns:
        None where there are no pairs of either kind.
    """
    if validation:
        return Trial(validation, validation, "pairs of --validation")
    if like is None or not settings.look_alikes:
        return None
    count = settings.look_alikes
    made = look_alikes(like, some(clean, 2 * count), 2 * count, generator(settings.seed, "look-alikes"))
    return Trial(made[::2], made[1::2], "clean photographs degraded as yours look")


@dataclass(frozen=True)
class Verdict:
    """What was found of a network on pairs that are like the user's photographs, or theirs.

    Attributes:
        word: ``better``, ``no better`` or ``worse`` than what it is compared with: whether the interval of the gain
            lies above 0, holds it, or lies below.
        than: what it is compared with.
        psnr: its mean PSNR in dB.
        baseline: that of what it is compared with.
        gain: mean difference in dB, and the interval that holds 95% of its resamples over the pairs.
        pairs: their number, and what they are.
    """

    word: str
    than: str
    psnr: float
    baseline: float
    gain: tuple[float, float, float]
    pairs: str

    def __str__(self) -> str:
        """The verdict and its reason, in two sentences."""
        mean, low, high = self.gain
        return (
            f"{self.word} than {self.than}. On {self.pairs}: {self.psnr:.2f} dB, against {self.baseline:.2f} "
            f"({mean:+.2f}, 95%: {low:+.2f} to {high:+.2f})"
        )


def scores(network: nn.Module | None, pairs: Pairs, precision: Precision) -> list[float]:
    """PSNR (dB, at most 100) of each restored image, or of the degraded one as it is."""
    found = []
    for x, y in pairs:
        restored = x.clamp(0, 1) if network is None else restore_tensor(network, x, precision=precision)
        found.append(min(100.0, float(psnr(restored[None], y[None]))))
    return found


def judge(network: nn.Module, tried: Trial, settings: AdaptSettings) -> Verdict:
    """Compare a network with ``--baseline``, else with the one it started from, else with the images as they are.

    Args:
        network: the network to ship.
        tried: from :func:`trial`.
        settings: the run's settings.
    """
    baseline, than = settings.baseline or settings.restorer.start, "the photographs as they are"
    other: nn.Module | None = None
    if baseline is not None:
        device = next(network.parameters()).device
        other, than = load(baseline).to(device), f"{baseline}, which it is compared with"
        if baseline == settings.restorer.start:
            than = "the network that it started from"
    precision = settings.training.precision
    own, theirs = (scores(each, tried.judging, precision) for each in (network, other))
    gain = interval([mine - their for mine, their in zip(own, theirs, strict=True)])
    word = "better" if gain[1] > 0 else "worse" if gain[2] < 0 else "no better"
    return Verdict(word, than, fmean(own), fmean(theirs), gain, f"{len(own)} {tried.of}")
