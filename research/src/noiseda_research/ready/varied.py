"""Clean photographs made more various: few of them are freely licensed, and a network learns their looks by heart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.data import Images, gaussian, log_uniform, uniform
from noiseda.estimation import sharpened

_AROUND = 3  # pixels that are cut off around what was enlarged


@dataclass(frozen=True, kw_only=True)
class Varied:
    """Images whose patches change their size, light, colours and sharpness, and now and then lie over one another.

    A camera's own pixels show little: an edge here, a leaf there. Photographs that were shrunk to be clean show ten
    times as much of a scene to a patch, and a network that sees those alone leaves noise in photographs that nobody
    shrank. So part of them are enlarged again.

    Attributes:
        images: clean photographs.
        enlarged: share that is enlarged (bicubic).
        factors: range of how much.
        swapped: share whose channels change places.
        bent: share that gets another gamma, and less or more light.
        faded: share whose colours become weaker, down to grey.
        doubled: share that is a mean of two photographs.
        soft: share that is seen through a Gaussian, as through a lens and a demosaicing at full resolution, and then
            sharpened, as a camera does.
        scales: range of that Gaussian's standard deviation, in pixels.
    """

    images: Images
    enlarged: float = 0.35
    factors: tuple[float, float] = (1.5, 3.5)
    swapped: float = 0.5
    bent: float = 0.5
    faded: float = 0.3
    doubled: float = 0.12
    soft: float = 0.45
    scales: tuple[float, float] = (0.4, 1.6)

    @property
    def levels(self) -> float:
        """Those of the images."""
        return self.images.levels

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.images)

    def draw(
        self, sample: int, size: int, generator: torch.Generator, channels: int = 3
    ) -> tuple[tuple[str, ...], tuple[Tensor, ...]]:
        """The names and a random patch, as :class:`noiseda.data.Images` gives them."""

        def happens(share: float) -> bool:
            return float(torch.rand((), generator=generator)) < share

        factor = log_uniform(self.factors, generator) if happens(self.enlarged) else 1.0
        names, clean = self._patch(sample, size, factor, generator, channels)
        if happens(self.doubled):
            _, other = self._patch(sample + 1, size, factor, generator, channels)
            clean = torch.lerp(clean, other, uniform((0.3, 0.7), generator))
        if happens(self.soft):
            clean = sharpened(gaussian(clean, uniform(self.scales, generator)), generator).clamp(0, 1)
        if happens(self.swapped):
            clean = clean[torch.randperm(channels, generator=generator)]
        if happens(self.bent):
            gamma, light = math.exp(uniform((-0.5, 0.5), generator)), uniform((0.5, 1.0), generator)
            clean = light * clean**gamma
        if happens(self.faded):
            clean = torch.lerp(clean.mean(0, keepdim=True), clean, uniform((0.0, 1.0), generator))
        return names, (clean,)

    def _patch(
        self, sample: int, size: int, factor: float, generator: torch.Generator, channels: int
    ) -> tuple[tuple[str, ...], Tensor]:
        if factor == 1:
            names, (clean,) = self.images.draw(sample, size, generator, channels)
            return names, clean
        names, (small,) = self.images.draw(sample, math.ceil(size / factor) + 2 * _AROUND, generator, channels)
        large = F.interpolate(small[None], scale_factor=factor, mode="bicubic")[0].clamp(0, 1)
        top, left = ((side - size) // 2 for side in large.shape[1:])
        return names, large[:, top : top + size, left : left + size].clone()
