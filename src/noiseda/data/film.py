"""Simulated film: a picture made of grains that are there or not. No degradation that is trained on is like it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.data.phone import gaussian
from noiseda.data.sampling import one_thread

_FINE = 4  # places of the film, along one side of a pixel
_MOST = 0.98  # what is brighter would ask for grains without end


@dataclass(frozen=True, kw_only=True)
class Film:
    """A photograph on grainy colour film, scanned.

    Each of three layers is covered by discs whose centres are scattered at random. Where the picture has the value u,
    there are so many that the covered share is u on average: -ln(1 - u) / (their area) at each place. The scanner sees
    the covered share of each pixel, a little out of focus. So grain is coarse, strongest in half-tones, not Gaussian.

    Source: the Boolean model of Newson, Delon and Galerne 2017, "A Stochastic Film Grain Model for
    Resolution-Independent Rendering", drawn here on a fine grid.
    """

    radius: float = 0.35
    """Of the grains, in pixels."""

    focus: float = 0.6
    """Standard deviation of the scanner's blur, in pixels; of the grain alone, as the target is a scan too."""

    margin: ClassVar[int] = 16

    @one_thread()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        reach = max(1, round(self.radius * _FINE))
        place = torch.arange(-reach, reach + 1, dtype=torch.float32)
        disc = ((place[:, None].square() + place.square()) <= (self.radius * _FINE) ** 2).float()
        fine = F.interpolate(clean[:, None].clamp(0, _MOST), scale_factor=_FINE, mode="nearest")
        grains = torch.poisson(-torch.log1p(-fine) / disc.sum(), generator=generator)
        covered = (F.conv2d(grains, disc[None, None], padding=reach) > 0).float()
        seen = F.avg_pool2d(covered, _FINE)[:, 0]
        grain = gaussian(seen - clean.clamp(0, _MOST), self.focus)
        return (clean + grain).clamp(0, 1)
