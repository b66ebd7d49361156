"""How far a restorer is from a truth nobody knows: its squared error on photographs, estimated from them alone.

Stein's unbiased risk estimate (Stein 1981; by random probes: Ramani, Blu and Unser 2008), of any finished restorer and
on photographs as a whole: |f(x) - x|^2 - |n|^2 + 2 n . (f(x + e n) - f(x)) / e. The noise n comes from flat patches of
the photographs, under random phases, as strong in every place as a judge finds it there. How well it ranks restorers is
measured by ``noiseda compare`` (docs/results.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
    def mean(self) -> float:
        """Mean estimated squared error of the restored photographs."""
        return sum(self.restored) / len(self.restored)


class RiskEstimate:
    """The estimated squared error of restorers on some photographs; the same probes for all of them.

    Args:
        photographs: degraded images (C, H, W) in [0, 1]; of each, the middle, at most 256 x 256 pixels, is used.
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
        used = [_middle(image) for image in photographs if min(image.shape[-2:]) >= TILE]
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

    @torch.no_grad()
    def __call__(self, restore: Restore) -> Risk:
        """Estimate the squared error of a restorer."""
        found, floor = [], []
        for image, noise in self._probed:
            restored = restore(image)
            spread = (noise * (restore(image + STEP * noise) - restored)).mean() / STEP
            power = noise.square().mean()
            found.append(float((restored - image).square().mean() - power + 2 * spread))
            floor.append(float(power))
        return Risk(tuple(found), tuple(floor))


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
