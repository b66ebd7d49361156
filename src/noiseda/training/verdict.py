"""Which weights to ship and whether to use them, told without the truth of the photographs they were adapted to.

Two witnesses, each blind where the other sees (docs/results.md has how often they were right):

- *look-alikes*: clean photographs degraded as the user's look. Their truth is known; but their scenes are others. Rain
  has this witness alone, and is not made to look like the user's: it is the streaks of :mod:`noiseda.data.rain`.
- *estimated error*: Stein's estimate on the user's own photographs (:mod:`noiseda.adaptation.risk`). The scenes are
  right; but it takes noise to average to zero, and must not judge a network that learnt from it.

A gain is the mean of both in dB: of PSNR on the first, and of 10 log10 of the estimated squared error on the second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
from torch import Tensor, nn

from noiseda.adaptation.risk import FLAT, Risk, RiskEstimate
from noiseda.config import AdaptSettings, Precision
from noiseda.data.batches import generator
from noiseda.data.degradations import Degradation, degradation
from noiseda.data.look_alikes import look_alikes
from noiseda.data.matching import some
from noiseda.errors import UserError
from noiseda.evaluation.metrics import psnr
from noiseda.inference import restore_tensor
from noiseda.restoration import load

Pairs = list[tuple[Tensor, Tensor]]
"""Degraded and clean images, (C, H, W) each."""

PHOTOGRAPHS = 12
"""The user's photographs on which the error is estimated, at most; evenly spread."""

SMALLEST = 64
"""Smallest side, in pixels, of the clean photographs that look-alikes are cut from."""

DRAWS = 10_000
"""Resamples that an interval is told by."""


@dataclass(frozen=True)
class Trial:
    """What networks are tried on.

    Attributes:
        choosing: pairs by which a run's weights are chosen.
        judging: pairs by which they are told from others.
        of: what the pairs are, in words.
        error: estimates the error on the user's own photographs; None where there is nothing to estimate it by.
    """

    choosing: Pairs
    judging: Pairs
    of: str
    error: RiskEstimate | None = None


@dataclass(frozen=True)
class Standing:
    """How a network does.

    Attributes:
        psnr: on each pair, in dB.
        error: estimated on the user's photographs.
    """

    psnr: list[float]
    error: Risk | None

    @property
    def score(self) -> float:
        """One figure in dB, of use beside that of another network on the same trial."""
        if self.error is None:
            return fmean(self.psnr)
        return fmean(self.psnr) - 10 * math.log10(max(float(_error(self.error).mean()), _least(self.error)))


@dataclass(frozen=True)
class Verdict:
    """Whether to use a network.

    Attributes:
        word: ``better``, ``not shown to be better`` or ``worse`` than what it is compared with: whether the interval of
            the gain lies above 0, holds it, or lies below.
        than: what it is compared with.
        gain: estimated, in dB, and the interval that holds 95% of its resamples over pairs and photographs.
        because: the figures behind it, in words.
    """

    word: str
    than: str
    gain: tuple[float, float, float]
    because: str

    def __str__(self) -> str:
        """The verdict and its reason, in a sentence."""
        mean, low, high = self.gain
        return f"{self.word} than {self.than}: by {mean:+.2f} dB (95%: {low:+.2f} to {high:+.2f}), since {self.because}"


def trial(
    settings: AdaptSettings, validation: Pairs, like: Degradation | None, clean: Sequence[Path], real: Sequence[Path]
) -> Trial | None:
    """What a run is tried on: the user's validation pairs, else look-alikes, other ones for choosing and for judging.

    Args:
        settings: the run's settings.
        validation: pairs of ``--validation``.
        like: what the real photographs went through, where that is known.
        clean: files of clean photographs.
        real: files of real ones.

    Returns:
        None where there are no pairs of either kind.
    """
    if validation:
        return Trial(validation, validation, "pairs of --validation")
    of = "clean photographs degraded as yours look"
    if not settings.is_tried:
        return None
    if settings.task == "derain":
        like, of = degradation("derain"), "clean photographs under rain of our own"
    if like is None:
        return None
    known = baseline_of(settings)
    error = None if known is None or not _estimates(settings) else estimate(real, load(known), settings.seed)
    tried = replace(trial_of(like, clean, settings.look_alikes, settings.seed, error), of=of)
    return tried if tried.judging else None


def with_estimate(tried: Trial, settings: AdaptSettings, real: Sequence[Path], network: nn.Module) -> Trial:
    """The same trial with the second witness, where it lacked a network to tell by how strong the noise is.

    Args:
        tried: from :func:`trial`.
        settings: the run's settings.
        real: files of real photographs.
        network: what the run has come to before it learns from these.
    """
    if tried.error is not None or settings.validation is not None or not _estimates(settings):
        return tried
    return replace(tried, error=estimate(real, network, settings.seed))


def _estimates(settings: AdaptSettings) -> bool:
    """Whether the error may be estimated: that of noise, and not of what learns from the estimate."""
    return settings.task == "denoise" and "sure" not in (settings.strategy, *settings.also)


def trial_of(like: Degradation, clean: Sequence[Path], count: int, seed: int, error: RiskEstimate | None) -> Trial:
    """Look-alikes for choosing, as many others for judging, and perhaps an estimate of the error."""
    least = max(SMALLEST, 2 * like.margin + SMALLEST // 2)
    large = [image for image in some(clean, 2 * count) if min(image.shape[-2:]) >= least]
    made = look_alikes(like, large, 2 * count, generator(seed, "look-alikes")) if large else []
    return Trial(made[::2], made[1::2], "clean photographs degraded as yours look", error)


def estimate(
    real: Sequence[Path], judge: nn.Module, seed: int, photographs: int = PHOTOGRAPHS, *, flat: float = FLAT
) -> RiskEstimate | None:
    """What estimates the error of networks on some real photographs; None where they show no noise.

    Args:
        real: files of real photographs.
        judge: a network that was not adapted to them, which tells how strong their noise is.
        seed: seed of the probes.
        photographs: how many of them are looked at, evenly spread.
        flat: share of their tiles, the flattest relative to their noise, that show what noise is.
    """
    chosen = some(real, photographs)
    channels = max((len(image) for image in chosen), default=3)
    chosen = [image.expand(channels, -1, -1) for image in chosen]  # grey ones among others
    try:
        return RiskEstimate(chosen, lambda x: restore_tensor(judge, x), generator(seed, "estimated error"), flat=flat)
    except UserError:
        return None


def baseline_of(settings: AdaptSettings) -> Path | None:
    """The weights that a run is compared with."""
    return settings.baseline or settings.restorer.origin


def standing(network: nn.Module | None, pairs: Pairs, error: RiskEstimate | None, precision: Precision) -> Standing:
    """How a network does on some pairs and photographs; or how they stand as they are (None)."""

    def restore(x: Tensor) -> Tensor:
        return x.clamp(0, 1) if network is None else restore_tensor(network, x, precision=precision)

    # At most 100 dB, so that images that are equal have a difference too.
    found = [min(100.0, float(psnr(restore(x)[None], y[None]))) for x, y in pairs]
    return Standing(found, None if error is None else error(restore))


def judge(network: nn.Module, tried: Trial, settings: AdaptSettings) -> Verdict:
    """Compare a network with ``--baseline``, else with the one it started from, else with the images as they are.

    Args:
        network: the network to ship.
        tried: from :func:`trial`.
        settings: the run's settings.
    """
    known, other, than = baseline_of(settings), None, "the photographs as they are"
    if known is not None:
        other = load(known).to(next(network.parameters()).device)
        than = "the network that it started from" if settings.baseline is None else str(known)
    own, theirs = (standing(each, tried.judging, tried.error, settings.training.precision) for each in (network, other))
    return verdict(own, theirs, than, tried.of)


def verdict(own: Standing, theirs: Standing, than: str, of: str) -> Verdict:
    """Tell from two standings on the same trial whether the first is better.

    Args:
        own: of the network in question.
        theirs: of what it is compared with.
        than: the latter's name.
        of: what the pairs are, in words.
    """
    random = np.random.default_rng(0)

    def resampled(*values: np.ndarray) -> list[np.ndarray]:
        """Means over the things themselves, then over resamples of them: (1 + DRAWS,) each."""
        count = len(values[0])
        picks = np.vstack([np.arange(count), random.integers(0, count, (DRAWS, count))])
        return [value[picks].mean(axis=1) for value in values]

    (gain,) = resampled(np.subtract(own.psnr, theirs.psnr))
    because = f"{fmean(own.psnr):.2f} dB against {fmean(theirs.psnr):.2f} on {len(own.psnr)} {of}"
    if own.error is not None and theirs.error is not None:
        mine, before = (
            np.maximum(each, _least(own.error)) for each in resampled(_error(own.error), _error(theirs.error))
        )
        ratio = mine / before
        gain = (gain - 10 * np.log10(ratio)) / 2
        because += (
            f", and an estimated squared error {100 * abs(1 - ratio[0]):.0f}% {'smaller' if ratio[0] < 1 else 'larger'}"
            f" on {len(own.error.noise)} of yours"
        )
    low, high = np.percentile(gain[1:], (2.5, 97.5))
    word = "better" if low > 0 else "worse" if high < 0 else "not shown to be better"
    return Verdict(word, than, (float(gain[0]), float(low), float(high)), because)


def _error(error: Risk) -> np.ndarray:
    """Estimated errors, each divided by the deviation of its photograph's noise: much noise and little count alike."""
    return np.asarray(error.restored) / np.sqrt(np.maximum(error.noise, 1e-9))


def _least(error: Risk) -> float:
    """What such an error is at least, since an estimate may be negative: a hundredth of that of the noise."""
    return 0.01 * float(np.sqrt(np.maximum(error.noise, 1e-9)).mean())
