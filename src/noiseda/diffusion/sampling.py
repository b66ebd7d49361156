"""Signals drawn from a noise predictor: DDIM, which needs few steps and no noise but that of its start.

Source: Song, Meng and Ermon, "Denoising Diffusion Implicit Models", arXiv 2010.02502, Eq. 12 with sigma = 0 (eta = 0).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from noiseda.diffusion.denoiser import Denoiser
from noiseda.dims import append_dims


def spaced(alpha_bar: Tensor, steps: int, highest: int = 999) -> Tensor:
    """Noise levels evenly spaced over the diffusion steps, from the noisiest down to none.

    Args:
        alpha_bar: (T + 1,) of a schedule, alpha_bar[0] = 1.
        steps: how many steps lie between them.
        highest: the diffusion step t that they begin at.

    Returns:
        (steps + 1,): alpha_bar of t = highest .. 0; the last is 1.

    Raises:
        ValueError: where there are not so many different levels.

    >>> spaced(torch.linspace(1, 0, 11), 2, highest=10)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if not 1 <= steps <= highest < len(alpha_bar):
        raise ValueError(f"steps must be at least 1 and at most {highest}, the noisiest level, not {steps}")
    t = torch.linspace(highest, 0, steps + 1, dtype=torch.float64).round().long()
    return alpha_bar[t]


@torch.no_grad()
def ddim(
    denoiser: Denoiser, conditions: Sequence[Tensor], noise: Tensor, levels: Tensor, *, clamp: bool = True
) -> Tensor:
    """Draw signals, given conditions: y_{t-1} = sqrt(alpha_bar_{t-1}) y_hat + sqrt(1 - alpha_bar_{t-1}) eps_hat.

    The same noise gives the same signals.

    Args:
        denoiser: the noise predictor.
        conditions: signals (B, C, *spatial) in [0, 1], as many as it takes.
        noise: (B, C, *spatial) standard Gaussian noise, from which the signals come about.
        levels: (S + 1,) rising noise levels alpha_bar, the first above 0, the last 1: see :func:`spaced`.
        clamp: keep each estimate of the clean signals in [0, 1], and its noise consistent with that; without, what the
            predictor says is taken as it is.

    Returns:
        (B, C, *spatial) float32, in [0, 1] where they are clamped.
    """
    y_t = noise
    for now, after in zip(levels[:-1].tolist(), levels[1:].tolist(), strict=True):
        alpha_bar = torch.full((len(noise),), now, device=noise.device)
        eps, clean = denoiser.denoise(y_t, conditions, alpha_bar)
        y = 2 * clean - 1
        if clamp:
            level = append_dims(alpha_bar, noise.ndim)
            y = y.clamp(-1, 1)
            eps = (y_t - level.sqrt() * y) / (1 - level).sqrt()
        y_t = after**0.5 * y + (1 - after) ** 0.5 * eps
    return (y_t + 1) / 2
