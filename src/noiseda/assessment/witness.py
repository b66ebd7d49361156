"""What the user's own photographs show of a restorer: Stein's estimate of its error, or photographs blurred again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from noiseda.assessment.reblur import BlurredAgain
from noiseda.assessment.sure import FLAT, TILE, Calibrated, Restore, Risk, RiskEstimate
from noiseda.data.batches import generator
from noiseda.data.degradations import Degradation
from noiseda.data.depth import EIGHT_BITS, Depth
from noiseda.errors import UserError
from noiseda.estimation.blur_kernel import MatchedBlur
from noiseda.estimation.noise import Matched
from noiseda.estimation.noise_looks import middles
from noiseda.inference import restore_tensor
from noiseda.precision import FULL

PHOTOGRAPHS = 12
"""The user's photographs on which the error is estimated, at most; evenly spread."""

LOOK_ALIKES = 16
"""Look-alikes on which it is found out what such an estimate is off by, at most."""

Pairs = list[tuple[Tensor, Tensor]]
"""Degraded and clean images, (C, H, W) each."""


@dataclass(frozen=True)
class Witness:
    """What the user's own photographs show.

    Attributes:
        error: of a restorer, the squared error on them, as far as they show it.
        says: what is said of two errors, after the gain in dB, with places for the ``change`` and the ``count`` of
            photographs.
        weight: how much it counts beside the look-alikes, of 1.
        late: whether weights are chosen by it among those alone that have begun to learn from the photographs.
        restores: how many images it has restored, about.
    """

    error: Callable[[Restore], Risk]
    says: str = "on {count} of yours (an estimated squared error {change})"
    weight: float = 0.5
    late: bool = False
    restores: int = 0


def witness_of(
    like: Degradation,
    real: Sequence[Path],
    judge: nn.Module | None,
    seed: int,
    photographs: int = PHOTOGRAPHS,
    *,
    deep: Depth = EIGHT_BITS,
    pairs: Sequence[tuple[Tensor, Tensor]] = (),
) -> Witness | None:
    """What some real photographs show of blur, or of noise where a network estimates how strong it is; of rain nothing.

    Args:
        like: what they look like they went through.
        real: their files.
        judge: a network that was not adapted to them.
        seed: seed of the probes.
        photographs: how many of them are looked at, evenly spread.
        deep: how deep they are.
        pairs: look-alikes of theirs.
    """
    if isinstance(like, MatchedBlur):
        return reblur(real, like, photographs, white=deep.white)
    if isinstance(like, Matched) and judge is not None:
        return estimate(real, judge, seed, photographs, deep=deep, pairs=pairs)
    return None


def estimate(
    real: Sequence[Path],
    judge: nn.Module,
    seed: int,
    photographs: int = PHOTOGRAPHS,
    *,
    flat: float = FLAT,
    deep: Depth = EIGHT_BITS,
    pairs: Sequence[tuple[Tensor, Tensor]] = (),
) -> Witness | None:
    """Stein's estimate of the error of networks on some real photographs; None where they show no noise.

    Args:
        real: files of real photographs.
        judge: a network that was not adapted to them, which estimates how strong their noise is.
        seed: seed of the probes.
        photographs: how many of them are looked at, evenly spread.
        flat: share of their tiles, the flattest relative to their noise, that show what noise is.
        deep: how deep they are.
        pairs: look-alikes of theirs; half of what the estimate is off by on these is taken from it.
    """
    known = [pair for pair in pairs if min(pair[0].shape[-2:]) >= TILE][:LOOK_ALIKES]

    def of(images: Sequence[Tensor], name: str) -> RiskEstimate:
        random = generator(seed, name)
        return RiskEstimate(images, lambda x: restore_tensor(judge, x), random, flat=flat, levels=deep.levels)

    try:
        found = of(middles(real, photographs, deep.white), "estimated error")
    except UserError:
        return None
    asked = 2 * min(len(real), photographs)  # as they are, and with a little noise
    try:
        calibrated = Calibrated(found, of([x for x, _ in known], "what it is off by"), [y for _, y in known])
        return Witness(calibrated, restores=asked + 2 * len(known))
    except UserError:  # no look-alikes, or none that shows its noise
        return Witness(found, restores=asked)


def reblur(
    real: Sequence[Path], like: MatchedBlur, photographs: int = PHOTOGRAPHS, *, white: int = FULL
) -> Witness | None:
    """Some real photographs, to be restored and blurred again; None where their blur cannot be found.

    It counts a quarter: a squared error that is blurred changes by more decibels than the error itself. And it does not
    see what a teacher takes away that blur would have: by it, weights from before are the best too often.

    Args:
        real: files of real photographs.
        like: what they look like they were blurred by.
        photographs: how many of them are looked at, evenly spread.
        white: the white level of those of 16 bits.
    """
    says = "on {count} of yours, restored and blurred again (which match with a squared error {change})"
    try:
        again = BlurredAgain(middles(real, photographs, white), linear=like.linear)
        return Witness(again, says, weight=0.25, late=True, restores=min(len(real), photographs))
    except UserError:
        return None
