"""Clean images in the likeness of real ones: as soft, and of as little contrast.

Photographs at full size are far softer than the shrunk ones that clean sets are made of. A restorer that was taught
sharp images takes noise for texture in soft ones.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RINGS = 12
"""Rings of spatial frequency in which power is measured, up to half a cycle a pixel along the axes."""

LEAST = 0.03
"""Smallest factor of an amplitude."""


def in_the_likeness(images: Tensor, examples: Tensor) -> Tensor:
    """Images filtered so that no ring of frequencies has more power than in their example; their means stay.

    Args:
        images: (B, C, H, W) clean images.
        examples: (B, C, H, W), such as restored real images: any noise left in them leaves images sharper.

    Returns:
        (B, C, H, W).
    """
    ratio = _power(examples) / _power(images).clamp(min=1e-12)  # (B, RINGS)
    gain = F.avg_pool1d(F.pad(ratio.sqrt()[:, None], (1, 1), mode="replicate"), 3, stride=1)[:, 0].clamp(LEAST, 1)
    mean = images.mean(dim=(2, 3), keepdim=True)
    height, width = images.shape[-2:]
    mirrored = torch.cat([images - mean, (images - mean).flip(-1)], dim=-1)
    mirrored = torch.cat([mirrored, mirrored.flip(-2)], dim=-2)
    place = _radius(2 * height, 2 * width, images.device) * (2 * RINGS) - 0.5  # 0: the middle of the first ring
    place = place.clamp(0, RINGS - 1)
    below = place.long().clamp(max=RINGS - 2)
    between = place - below
    factor = gain[:, below] * (1 - between) + gain[:, below + 1] * between  # (B, 2 H, W + 1)
    filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(mirrored) * factor[:, None], s=mirrored.shape[-2:])
    return filtered[..., :height, :width] + mean


def _power(images: Tensor) -> Tensor:
    """Mean power in each ring, of the mean of the channels under a Hann window; (B, C, H, W) -> (B, RINGS)."""
    height, width = images.shape[-2:]
    window = torch.outer(*(torch.hann_window(side, periodic=False, device=images.device) for side in (height, width)))
    grey = images.mean(dim=1)
    grey = (grey - grey.mean(dim=(1, 2), keepdim=True)) * window
    power = torch.fft.rfft2(grey).abs().square().flatten(1)
    ring = (_radius(height, width, images.device) * (2 * RINGS)).long().clamp(max=RINGS - 1).flatten()
    total = torch.zeros(len(images), RINGS, device=images.device).index_add_(1, ring, power)
    count = torch.zeros(RINGS, device=images.device).index_add_(0, ring, torch.ones_like(power[0]))
    return total / count.clamp(min=1)


def _radius(height: int, width: int, device: torch.device) -> Tensor:
    """(H, W // 2 + 1): spatial frequency, in cycles a pixel, of each place of a real Fourier transform."""
    vertical = torch.fft.fftfreq(height, device=device)[:, None]
    horizontal = torch.fft.rfftfreq(width, device=device)[None]
    radius: Tensor = (vertical.square() + horizontal.square()).sqrt()
    return radius
