"""How far a restorer is from a truth nobody knows: its squared error on photographs, estimated from them alone.

Stein's unbiased risk estimate (Stein 1981; by random probes: Ramani, Blu and Unser 2008), of any finished restorer and
on photographs as a whole: |f(x) - x|^2 - |n|^2 + 2 n . (f(x + e n) - f(x)) / e. The noise n comes from flat patches of
the photographs, under random phases, as strong in every place as a judge finds it there. How well it ranks restorers is
measured by ``noiseda compare`` (docs/results.md).

The estimate asks for noise that is Gaussian, adds to the image and does not depend on it. A camera's is none of that:
on simulated phones the estimate finds a network 18% worse that is 14% better. On look-alikes, whose truth is known, it
is as wrong; so half of what it is off by there is taken from it (:class:`Calibrated`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.errors import UserError
from noiseda.estimation.real_noise import Picks, RealNoise

Restore = Callable[[Tensor], Tensor]
"""(C, H, W) degraded, in [0, 1] -> (C, H, W) restored."""

TILE = 64
"""Side, in pixels, of the tiles that noise is measured in and laid out in."""

SIDE = 256
"""Largest side, in pixels, of the part of a photograph that is looked at."""

FLAT = 0.05
"""Share of the tiles that show what noise is, where nothing else is said."""

TAKEN = 0.5
"""Share of what an estimate is off by on look-alikes that is taken from it. From the ready weights all of it is right,
beside networks that leave much noise none is (research/results/2026-11-30-noise.md)."""

STEP = 0.2
"""How much more noise the photographs are probed with, as a share of what they have."""


@dataclass(frozen=True)
class Risk:
    """Estimated mean squared errors, photograph by photograph, for values in [0, 1].

    Attributes:
        restored: of the restored photographs; an estimate, which may be negative.
        noise: of the photographs as they are: the power of their noise, or what blur does to them once more.
    """

    restored: tuple[float, ...]
    noise: tuple[float, ...]

    @property
    def deviations(self) -> tuple[float, ...]:
        """Of the noise of each photograph, at least a millionth."""
        return tuple(math.sqrt(max(power, 1e-12)) for power in self.noise)

    @property
    def mean(self) -> float:
        """Mean estimated squared error of the restored photographs."""
        return sum(self.restored) / len(self.restored)


class RiskEstimate:
    """The estimated squared error of restorers on some photographs; the same probes for all of them.

    Args:
        photographs: degraded images (C, H, W) in [0, 1], grey ones among coloured ones too; of each, the middle, at
            most 256 x 256 pixels, is used.
        judge: a restorer that was not adapted to them, which estimates how strong noise is where.
        generator: source of every draw.
        flat: share of the tiles, the flattest relative to their noise, that show what noise is.
        levels: steps from black to white in the files.

    Raises:
        UserError: where none has a side of at least 64 pixels, or no flat place shows what their noise is.
    """

    def __init__(
        self,
        photographs: Sequence[Tensor],
        judge: Restore,
        generator: torch.Generator,
        *,
        flat: float = FLAT,
        levels: float = 255.0,
    ) -> None:
        used = [_middle(image) for image in _coloured(photographs) if min(image.shape[-2:]) >= TILE]
        if not used:
            raise UserError(f"no photograph is at least {TILE} x {TILE} pixels: the noise in them cannot be measured")
        tiles = [_tiles(image) for image in used]
        together = torch.cat(tiles)
        noise = RealNoise(channels=len(used[0]), patch=TILE, share=flat, levels=levels)
        with torch.no_grad():
            estimate = torch.cat([_tiles(judge(image)) for image in used])
            found, _ = noise.observe(together, estimate)
            noise.settle()
            if not found.any():
                raise UserError(
                    "no flat place with noise in it was found: there is nothing to estimate their noise from"
                )
            _, strength = noise.observe(together, estimate)
            probes, _ = noise.draw(together, Picks.draw(together, generator, random_phases=True), strength)
        counts = [len(part) for part in tiles]
        self._probed = [
            (image, _image(part, image.shape)) for image, part in zip(used, torch.split(probes, counts), strict=True)
        ]

    def __call__(self, restore: Restore) -> Risk:
        """Estimate the squared error of a restorer."""
        return self._probe(restore)[0]

    def off(self, restore: Restore, truths: Sequence[Tensor]) -> float:
        """How far the estimate is from the squared error, where that is known.

        Args:
            restore: the restorer.
            truths: of the photographs that are used, (C, H, W) each.

        Returns:
            The mean over the photographs, each divided by the deviation of its noise.
        """
        risk, restored = self._probe(restore)
        errors = [float((one - _middle(truth)).square().mean()) for one, truth in zip(restored, truths, strict=True)]
        gaps = zip(risk.restored, errors, risk.deviations, strict=True)
        return fmean((estimate - error) / deviation for estimate, error, deviation in gaps)

    @torch.no_grad()
    def _probe(self, restore: Restore) -> tuple[Risk, list[Tensor]]:
        """The estimate, and the restored photographs."""
        found, floor, images = [], [], []
        for image, noise in self._probed:
            restored = restore(image)
            spread = (noise * (restore(image + STEP * noise) - restored)).mean() / STEP
            power = noise.square().mean()
            found.append(float((restored - image).square().mean() - power + 2 * spread))
            floor.append(float(power))
            images.append(restored)
        return Risk(tuple(found), tuple(floor)), images


class Calibrated:
    """An estimate of squared errors, less a share of what it is off by on pairs whose truth is known.

    A control variate, whose coefficient is :data:`TAKEN`.

    Args:
        estimate: of photographs without truth.
        known: of the degraded images of the pairs, by the same judge.
        truths: of those.
    """

    def __init__(self, estimate: RiskEstimate, known: RiskEstimate, truths: Sequence[Tensor]) -> None:
        self._estimate, self._known, self._truths = estimate, known, truths

    def __call__(self, restore: Restore) -> Risk:
        """Estimate the squared error of a restorer."""
        risk, off = self._estimate(restore), TAKEN * self._known.off(restore, self._truths)
        pairs = zip(risk.restored, risk.deviations, strict=True)
        return Risk(tuple(error - off * deviation for error, deviation in pairs), risk.noise)


def _coloured(images: Sequence[Tensor]) -> list[Tensor]:
    """Images (C, H, W), grey ones among coloured ones in as many channels."""
    channels = max((len(image) for image in images), default=3)
    return [image.expand(channels, -1, -1) for image in images]


def _middle(image: Tensor) -> Tensor:
    """The middle of an image, whose sides are multiples of ``TILE`` and at most ``SIDE``."""
    height, width = (min(side, SIDE) // TILE * TILE for side in image.shape[-2:])
    top, left = (image.shape[-2] - height) // 2, (image.shape[-1] - width) // 2
    return image[:, top : top + height, left : left + width]


def _tiles(image: Tensor) -> Tensor:
    """(C, H, W) -> (N, C, TILE, TILE)."""
    cut = F.unfold(image[None], TILE, stride=TILE)[0].T
    return cut.reshape(-1, len(image), TILE, TILE)


def _image(tiles: Tensor, shape: torch.Size) -> Tensor:
    """The other way: (N, C, TILE, TILE) -> (C, H, W)."""
    image: Tensor = F.fold(tiles.flatten(1).T[None], shape[-2:], TILE, stride=TILE)[0]
    return image
