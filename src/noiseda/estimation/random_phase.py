"""Noise of the same spectrum, always another: what had a shape in it keeps its power and loses its shape."""

from __future__ import annotations

import torch
from torch import Tensor


def random_phase(noise: Tensor, field: Tensor) -> Tensor:
    """Give patches of noise phases of their own, the same in all channels; powers and colours stay.

    Edges left in a patch of noise are edges because their phases agree; with random phases they are noise as well.

    Args:
        noise: (B, C, P, P), real, of mean 0.
        field: (B, P, P) white Gaussian noise, whose phases are taken.

    Returns:
        (B, C, P, P): the same power at every frequency, and the same covariance of the channels.

    Source: Galerne, Gousseau and Morel 2011, "Random Phase Textures: Theory and Synthesis", section II.

    >>> new = random_phase(torch.eye(8)[None, None] - 1 / 8, torch.randn(1, 8, 8))
    >>> round(float(new.square().sum()), 3)  # that of the diagonal
    7.0
    """
    phases = torch.fft.rfft2(field)
    phases = phases / phases.abs().clamp(min=1e-12)
    turned: Tensor = torch.fft.irfft2(torch.fft.rfft2(noise) * phases[:, None], s=noise.shape[-2:])
    return turned
