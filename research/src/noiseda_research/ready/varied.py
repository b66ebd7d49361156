"""Clean photographs made more various: few of them are freely licensed, and a network learns their looks by heart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from noiseda.data import Images, gaussian, uniform
from noiseda.estimation import sharpened


@dataclass(frozen=True, kw_only=True)
class Varied:
    """Images whose patches change their light, colours and sharpness, and now and then lie over one another.

    Attributes:
        images: clean photographs.
        swapped: share whose channels change places.
        bent: share that gets another gamma, and less or more light.
        faded: share whose colours become weaker, down to grey.
        grey: share that is grey: microscopes, films and scanners of eyes show no colours.
        doubled: share that is a mean of two photographs.
        soft: share that is seen through a Gaussian, as through a lens and a demosaicing at full resolution, and then
            sharpened, as a camera does.
        scales: range of that Gaussian's standard deviation, in pixels.
    """

    images: Images
    swapped: float = 0.5
    bent: float = 0.5
    faded: float = 0.3
    grey: float = 0.2
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

        names, (clean,) = self.images.draw(sample, size, generator, channels)
        if happens(self.doubled):
            _, (other,) = self.images.draw(sample + 1, size, generator, channels)
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
        if happens(self.grey):
            clean = clean.mean(0, keepdim=True).repeat(channels, 1, 1)
        return names, (clean,)
