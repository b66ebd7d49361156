"""What a network knew before it was adapted, and how much of it to give up.

Between the weights before the adaptation and those after it lies a line, and networks along it forget less than they
gain (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022). What was known has its truth: clean
photographs under the degradation that the network was trained on. So the weights to ship can be taken as far along that
line as ``--training.max_regression_db`` allows.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor, nn

from noiseda.assessment.proxy_pairs import SIDE, proxy_pairs, restored_by
from noiseda.assessment.witness import Pairs
from noiseda.config import AdaptSettings, Precision
from noiseda.data.batches import generator
from noiseda.data.degradations import Degradation, degradation, kinds
from noiseda.data.noise import White
from noiseda.data.validation import load_validation
from noiseda.estimation.noise_looks import middles
from noiseda.evaluation.label_free import centre
from noiseda.evaluation.metrics import best_shift_psnr, psnr
from noiseda.precision import FULL
from noiseda.restoration import Restorer
from noiseda.tasks import MATCHED, PAIRS, TASKS

SHIFT = 5
"""Largest shift, in pixels, of a photograph that was blurred (as the ``deblur`` protocol has it)."""

LEVELS = (15.0, 25.0, 50.0)
"""Sigma (of 255) of the white noise that what is known of it is measured at: those that denoisers are compared at.

Over all of [0, 75] nearly clean pairs would decide, whose PSNR is high and swings by decibels (docs/results.md)."""

LEAST = 8
"""Smallest side of a synthetic pair, in pixels."""

STEPS = 10
"""Steps from one network to the next."""


@dataclass(frozen=True)
class Kept:
    """What became of a network's knowledge.

    Attributes:
        share: how far the shipped weights lie on the way from the earliest (0) to the last (1).
        before: mean PSNR on synthetic pairs before the adaptation, in dB; of two earlier networks, that of the better.
        after: that of the shipped weights.
        last: that of the last weights.
        measure: what these three are; of several, the one by which the last weights have lost most.
    """

    share: float
    before: float
    after: float
    last: float
    measure: str = "PSNR"

    def __str__(self) -> str:
        """In a sentence, for the end of a run."""
        text = f"on what it knew before: {self.after - self.before:+.2f} dB"
        text += "" if self.measure == "PSNR" else f" ({self.measure})"
        if self.share < 1:
            text += f", at {self.share:.0%} of the way to the last weights (theirs: {self.last - self.before:+.2f} dB)"
        return text


def earlier_weights(out: Path) -> Path:
    """Where a run keeps the weights before the real images began to be learnt from.

    >>> earlier_weights(Path("runs/adapt")).as_posix()
    'runs/adapt/before.safetensors'
    """
    return out / "before.safetensors"


def first_step(begins: float, steps: int) -> int:
    """The number of steps done when the share ``begins`` of a run is.

    >>> first_step(0.67, 1000), first_step(0.0, 1000)
    (670, 0)
    """
    return math.ceil(round(begins * steps, 6))


def earlier_files(settings: AdaptSettings, begins: float) -> list[Path]:
    """Weights of a run from before it learnt from real images, the first of them first; none where it has none.

    Args:
        settings: the run's settings.
        begins: where the real images begin to be learnt from.
    """
    files = (settings.restorer.origin, earlier_weights(settings.out) if begins > 0 else None)
    return [path for path in files if path is not None] if settings.looks else []


def known_pairs(
    settings: AdaptSettings, clean: Sequence[Path], pairs: Sequence[tuple[Path, ...]], white: int = FULL
) -> Pairs:
    """Synthetic pairs of the kind that a run trains on, leaving out what is made to look like the real images.

    Of a run that starts from ready weights, pairs of all that these are good at. White noise is measured at those of
    :data:`LEVELS` that lie in the range trained on.

    Args:
        settings: the run's settings.
        clean: files of clean photographs, to be degraded.
        pairs: (input, target) files, in place of these.
        white: the white level of those of 16 bits (:mod:`noiseda.data.depth`).

    Returns:
        Pairs (C, S, S), S at most 128, in [0, 1]; none where there is nothing to make them of.
    """
    task = TASKS[settings.task]
    count = task.retention.pairs
    if pairs:
        chosen = [pairs[index * len(pairs) // count] for index in range(min(count, len(pairs)))]
        return [(centre(x, SIDE), centre(y, SIDE)) for x, y in load_validation(settings, chosen, white)[0]]
    levels = [level for degrade in known_degradations(settings) for level in _levels(degrade)]
    least = 2 * max(level.margin for level in levels) + LEAST
    images = [image for image in middles(clean, count, white) if min(image.shape[-2:]) >= least]
    if not images:
        return []
    found: Pairs = []
    for index in range(count):  # each photograph once, where there are enough
        draws = generator(settings.seed, "known pairs", index)
        found += proxy_pairs(levels[index % len(levels)], [images[index % len(images)]], 1, draws)
    return found


def keep(
    earlier: Sequence[Restorer],
    last: Restorer,
    pairs: Pairs,
    allowed: float,
    precision: Precision,
    *,
    shifted: bool = False,
) -> tuple[Restorer, Kept]:
    """Go from one network to another as far as what the earlier ones knew allows.

    Args:
        earlier: networks that the adapted one came from, the first of them first: the start of the run, and what it was
            before the real images were learnt from.
        last: the adapted one, of the same architecture.
        pairs: synthetic pairs, from :func:`known_pairs`.
        allowed: largest loss of mean PSNR on them, in dB, from the best of the earlier ones.
        precision: arithmetic in which they are restored.
        shifted: hold the PSNR at the best shift to the same. Blur is known only up to a shift, and a network can gain
            by the one what it loses by the other.

    Returns:
        The network with weights between those of two neighbours on that way, on the device of ``last``; and what it
        keeps.

    Raises:
        UserError: what one of them makes of a pair is not a number somewhere.
    """
    measures = MEASURES if shifted else MEASURES[:1]

    def known(network: Restorer) -> list[float]:
        restored = [restored_by(network, x, precision) for x, _ in pairs]
        # At most 100 dB, so that images that are equal have a difference too.
        return [
            fmean(min(100.0, measure(own, y)) for own, (_, y) in zip(restored, pairs, strict=True))
            for _, measure in measures
        ]

    def lost(after: list[float]) -> list[float]:
        return [old - new for old, new in zip(before, after, strict=True)]

    def fits(after: list[float]) -> bool:
        return max(lost(after)) <= allowed

    way, figures = [*earlier, last], [known(network) for network in earlier]
    before = [max(each) for each in zip(*figures, strict=True)]
    after = adapted = known(last)
    mixed, far = copy.deepcopy(last), STEPS * len(earlier)
    if not fits(adapted):
        leg = next((leg for leg in reversed(range(len(earlier))) if fits(figures[leg])), 0)
        step, beyond, after = 0, STEPS, figures[leg]
        while beyond - step > 1:  # on the way, more and more is lost: each time half of what is in question is left
            middle = (step + beyond) // 2
            blend(way[leg], way[leg + 1], middle / STEPS, into=mixed)
            found = known(mixed)
            step, beyond, after = (middle, beyond, found) if fits(found) else (step, middle, after)
        blend(way[leg], way[leg + 1], step / STEPS, into=mixed)
        far = leg * STEPS + step
    most = lost(adapted).index(max(lost(adapted)))
    share = far / (STEPS * len(earlier))
    return mixed, Kept(share, before[most], after[most], adapted[most], measures[most][0])


def _best_shift(restored: Tensor, target: Tensor) -> float:
    """PSNR at the best shift, of images of any size."""
    return best_shift_psnr(restored[None], target[None], min(SHIFT, *(side - 1 for side in target.shape[-2:]))).item()


MEASURES: tuple[tuple[str, Callable[[Tensor, Tensor], float]], ...] = (
    ("PSNR", lambda restored, target: psnr(restored[None], target[None]).item()),
    ("PSNR at the best shift", _best_shift),
)
"""By what something known is measured: names, and functions of two images (C, H, W) in [0, 1]; in dB."""


def known_degradations(settings: AdaptSettings, *, jpeg: bool = True) -> list[Degradation]:
    """What a network was trained on before, or is beside what is like the real images; one or more.

    Args:
        settings: the run's settings.
        jpeg: whether cameras compress: files of more than 8 bits were not.
    """
    task, asked = TASKS[settings.task], settings.degradation
    if settings.restorer.is_ready(task.ready):
        return [degradation(settings.task, name, jpeg=jpeg) for name in kinds(settings.task, task.retention.general)]
    usual = task.beside_matched if settings.matches else task.usual
    names = [name for name in kinds(settings.task, asked.kind or usual) if name not in (MATCHED, PAIRS)]
    return [degradation(settings.task, "+".join(names) or usual, asked.strength, jpeg=jpeg)]


def _levels(degrade: Degradation) -> list[Degradation]:
    """White noise at those of :data:`LEVELS` that lie in its range, in place of the range; others as they are."""
    if not isinstance(degrade, White):
        return [degrade]
    weakest, strongest = degrade.strength
    return [replace(degrade, strength=(s, s)) for s in LEVELS if weakest <= s <= strongest] or [degrade]


@torch.no_grad()
def blend(old: nn.Module, new: nn.Module, share: float, *, into: nn.Module) -> None:
    """Write (1 - share) * old + share * new, parameters and floating-point buffers, into a third network."""
    theirs, own = old.state_dict(), new.state_dict()
    into.load_state_dict(
        {
            name: torch.lerp(theirs[name].to(value.device), value, share) if value.is_floating_point() else value
            for name, value in own.items()
        }
    )
