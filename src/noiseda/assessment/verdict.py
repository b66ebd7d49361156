"""Which weights to ship and whether to use them, estimated without the truth of the photographs they were adapted to.

Two witnesses, each blind where the other sees (docs/results.md has how often they were right):

- *look-alikes*: clean photographs degraded as the user's look. Their truth is known; but their scenes are others. Rain
  and JPEG have this witness alone.
- *the user's own photographs*, whose scenes are right. For noise it is Stein's estimate of the error
  (:mod:`noiseda.assessment.sure`), less half of what it is off by on look-alikes. It takes noise to average to zero,
  and must not judge a network that learnt from it. For blur it is how well they match themselves, restored and blurred
  again (:mod:`noiseda.assessment.reblur`), which says nothing of what the blur has taken away.

A gain is the mean of both in dB: of PSNR on the first, and of 10 log10 of the squared error on the second, which counts
half for noise, a quarter for blur.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch import Tensor, nn

from noiseda import extensions
from noiseda.assessment.proxy_pairs import proxy_pairs, restored_by
from noiseda.assessment.sure import Risk
from noiseda.assessment.witness import PHOTOGRAPHS, Pairs, Witness, estimate, witness_of
from noiseda.bars import bar
from noiseda.config import AdaptSettings, Precision
from noiseda.data.batches import generator
from noiseda.data.degradations import Degradation, degradation
from noiseda.data.depth import EIGHT_BITS, Depth
from noiseda.estimation.blur_kernel import MatchedBlur
from noiseda.estimation.jpeg_quality import MatchedJpeg
from noiseda.estimation.noise import Matched, as_grey
from noiseda.estimation.noise_looks import middles
from noiseda.estimation.rain import MatchedRain
from noiseda.evaluation.metrics import psnr
from noiseda.restoration.as_trained import load_as_trained
from noiseda.tasks import TASKS

SMALLEST = 64
"""Smallest side, in pixels, of the clean photographs that look-alikes are cut from."""

APART = 0.05
"""Gain, in dB, that counts as none."""

DRAWS = 10_000
"""Resamples that an interval is estimated from."""


@dataclass(frozen=True)
class Trial:
    """What networks are tried on.

    Attributes:
        choosing: pairs by which a run's weights are chosen; none where the last are taken.
        judging: pairs by which they are compared with others.
        of: what the pairs are, in words.
        witness: the user's own photographs; None where they show nothing.
        deep: how deep these are.
    """

    choosing: Pairs
    judging: Pairs
    of: str
    witness: Witness | None = None
    deep: Depth = EIGHT_BITS

    def __str__(self) -> str:
        """What networks are judged on, in words."""
        photographs = "" if self.witness is None else f", and on up to {PHOTOGRAPHS} of your photographs"
        return f"{len(self.judging)} {self.of}{photographs}"


@dataclass(frozen=True)
class Standing:
    """How a network does.

    Attributes:
        psnr: on each pair, in dB.
        error: on the user's photographs, as far as they show it.
        witness: what showed it.
    """

    psnr: list[float]
    error: Risk | None = None
    witness: Witness | None = None

    @property
    def score(self) -> float:
        """One figure in dB, of use beside that of another network on the same trial."""
        if self.error is None or self.witness is None:
            return fmean(self.psnr)
        error = 10 * math.log10(max(float(_error(self.error).mean()), _least(self.error)))
        return fmean(self.psnr) - error * self.witness.weight / (1 - self.witness.weight)


@dataclass(frozen=True)
class Verdict:
    """Whether to use a network.

    Attributes:
        word: ``better``, ``not shown to be better`` or ``worse`` than what it is compared with: whether the interval of
            the gain lies above 0, holds it, or lies below; of a gain of less than 0.05 dB, nothing is shown.
        than: what it is compared with.
        gain: estimated, in dB, and the interval that holds 95% of its resamples over pairs and photographs.
        because: the figures that the gain is made of, in words.
    """

    word: str
    than: str
    gain: tuple[float, float, float]
    because: str

    def __str__(self) -> str:
        """The verdict and its reason, in a sentence."""
        mean, low, high = self.gain
        figures = f"by {mean:+.2f} dB (95%: {low:+.2f} to {high:+.2f})"
        return f"{self.word} than {self.than}: {figures}, which is {self.because}"


def trial(
    settings: AdaptSettings,
    validation: Pairs,
    like: Degradation | None,
    clean: Sequence[Path],
    real: Sequence[Path],
    deep: Depth = EIGHT_BITS,
) -> Trial | None:
    """What a run is tried on: the user's validation pairs, else look-alikes, other ones for choosing and for judging.

    Args:
        settings: the run's settings.
        validation: pairs of ``--validation``.
        like: what the real photographs went through, where that is known.
        clean: files of clean photographs.
        real: files of real ones.
        deep: how deep the latter are.

    Returns:
        None where there are no pairs of either kind.
    """
    if validation:
        return Trial(validation, validation, "pairs of --validation")
    if not settings.is_tried:
        return None
    task = TASKS[settings.task]
    if task.estimator is None:
        like = degradation(settings.task)
    if like is None:
        return None
    known = baseline_of(settings)
    estimator = load_as_trained(known) if known is not None and _estimates(settings) else None
    tried = trial_of(like, clean, settings.proxy_pairs, settings.seed, None, deep)
    witness = witness_of(like, real, estimator, settings.seed, deep=deep, pairs=tried.choosing)
    return replace(tried, witness=witness) if tried.judging else None


def with_estimate(tried: Trial, settings: AdaptSettings, real: Sequence[Path], network: nn.Module) -> Trial:
    """The same trial with the second witness, where it lacked a network to estimate how strong the noise is.

    Args:
        tried: from :func:`trial`.
        settings: the run's settings.
        real: files of real photographs.
        network: what the run has come to before it learns from these.
    """
    if tried.witness is not None or settings.validation is not None or not _estimates(settings):
        return tried
    return replace(tried, witness=estimate(real, network, settings.seed, deep=tried.deep, pairs=tried.choosing))


def _estimates(settings: AdaptSettings) -> bool:
    """Whether the error may be estimated: that of noise, and not of what learns from the estimate."""
    kinds = extensions.strategies()
    lowered = any(getattr(kinds.get(name), "LOWERS_RISK", False) for name in (settings.strategy, *settings.also))
    return TASKS[settings.task].estimates_risk and not lowered


def trial_of(
    like: Degradation,
    clean: Sequence[Path],
    count: int,
    seed: int,
    witness: Witness | None,
    deep: Depth = EIGHT_BITS,
) -> Trial:
    """Look-alikes for choosing, as many others for judging, and perhaps the user's own photographs.

    What is not made to look like the user's chooses nothing: by it, weights that have not learnt from the photographs
    are best.
    """
    least = max(SMALLEST, 2 * like.margin + SMALLEST // 2)
    large = [image for image in middles(clean, 2 * count, deep.white) if min(image.shape[-2:]) >= least]
    draws = generator(seed, "look-alikes")
    made = proxy_pairs(as_grey(like, like), large, 2 * count, draws, deep.levels) if large else []
    if isinstance(like, Matched | MatchedBlur | MatchedJpeg | MatchedRain):
        return Trial(made[::2], made[1::2], "clean photographs degraded as yours look", witness, deep)
    return Trial([], made[1::2], "clean photographs, degraded as is usual", witness, deep)


def baseline_of(settings: AdaptSettings) -> Path | None:
    """The weights that a run is compared with."""
    return settings.baseline or settings.restorer.origin


def standing(
    network: nn.Module | None,
    pairs: Pairs,
    witness: Witness | None,
    precision: Precision,
    *,
    beside: Callable[[Pairs], Iterable[tuple[Tensor, Tensor]]] = iter,
) -> Standing:
    """How a network does on some pairs and photographs.

    Args:
        network: None: how they stand as they are.
        pairs: the pairs.
        witness: the photographs.
        precision: of the network's arithmetic.
        beside: what goes through the pairs: a bar, say.

    Raises:
        UserError: what the network makes of one is not a number somewhere.
    """

    def restore(x: Tensor) -> Tensor:
        return x.clamp(0, 1) if network is None else restored_by(network, x, precision)

    def known(x: Tensor) -> Tensor:
        found = restored.get(_place(x))
        return restore(x) if found is None else found

    restored, scores = dict[_Place, Tensor](), list[float]()
    for x, y in beside(pairs):
        own = restored[_place(x)] = restore(x)
        scores.append(min(100.0, float(psnr(own[None], y[None]))))  # so that equal images have a difference, too
    return Standing(scores, None if witness is None else witness.error(known), witness)


_Place = tuple[int, torch.Size, tuple[int, ...]]


def _place(x: Tensor) -> _Place:
    """Where an image lies in memory: a witness may ask for images of the pairs."""
    return x.data_ptr(), x.shape, x.stride()


def judge(network: nn.Module, tried: Trial, settings: AdaptSettings) -> Verdict:
    """Compare a network with ``--baseline``, else with the one it started from, else with the images as they are.

    Args:
        network: the network to ship.
        tried: from :func:`trial`.
        settings: the run's settings.
    """
    known, other, than = baseline_of(settings), None, "the photographs as they are"
    if known is not None:
        other = load_as_trained(known).to(next(network.parameters()).device)
        than = "the network that it started from" if settings.baseline is None else str(known)
    precision, shown = settings.training.precision, partial(bar, doing="judging")
    own, theirs = (standing(each, tried.judging, tried.witness, precision, beside=shown) for each in (network, other))
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
    if own.witness is not None and own.error is not None and theirs.error is not None:
        mine, before = (
            np.maximum(each, _least(own.error)) for each in resampled(_error(own.error), _error(theirs.error))
        )
        ratio = mine / before
        weight, shown = own.witness.weight, -10 * np.log10(ratio)
        change = f"{100 * abs(1 - ratio[0]):.0f}% {'smaller' if ratio[0] < 1 else 'larger'}"
        pairs = f"{gain[0]:+.2f} dB on {len(own.psnr)} {of} ({fmean(own.psnr):.2f} against {fmean(theirs.psnr):.2f})"
        photographs = f"{shown[0]:+.2f} dB {own.witness.says.format(change=change, count=len(own.error.noise))}"
        because = _weighted(pairs, photographs, weight)
        gain = (1 - weight) * gain + weight * shown
    low, high = np.percentile(gain[1:], (2.5, 97.5))
    shown = abs(gain[0]) >= APART and low * high > 0
    word = "not shown to be better" if not shown else "better" if low > 0 else "worse"
    return Verdict(word, than, (float(gain[0]), float(low), float(high)), because)


def _weighted(first: str, second: str, weight: float) -> str:
    """A mean of two things in words, of which the second counts so much.

    >>> _weighted("-0.03 dB", "-0.29 dB", 0.5), _weighted("1 dB", "2 dB", 0.25)
    ('the mean of -0.03 dB and -0.29 dB', '75% of 1 dB and 25% of 2 dB')
    """
    return (
        f"the mean of {first} and {second}"
        if weight == 0.5
        else f"{1 - weight:.0%} of {first} and {weight:.0%} of {second}"
    )


def _error(error: Risk) -> np.ndarray:
    """Estimated errors, each divided by the deviation of its photograph's noise: much noise and little count alike."""
    scaled: np.ndarray = np.asarray(error.restored) / np.asarray(error.deviations)
    return scaled


def _least(error: Risk) -> float:
    """What such an error is at least, since an estimate may be negative: a hundredth of that of the noise."""
    return 0.01 * fmean(error.deviations)
