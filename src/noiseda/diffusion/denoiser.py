"""The conditional denoiser: the algebra between clean images, noise levels and the bare network.

The network holds the weights and never hears of schedules or of value ranges; this layer scales images from [0, 1] to
[-1, 1], noises them, and measures the error of the noise prediction. Noise and noise level are arguments.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEVEL_SCALE = 1000.0


class Denoiser(nn.Module):
    """A noise predictor eps_hat = eps_theta(cat[y_t, conditions], alpha_bar).

    Args:
        network: the bare network (B, C + K, H, W), (B,) -> (B, C, H, W); K is the number of channels of all conditions.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, y: Tensor, conditions: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
        """The error of the noise prediction, image by image (Eq. 1, arXiv 2406.18516).

        Args:
            y: (B, C, H, W) clean images in [0, 1].
            conditions: (B, K, H, W) images in [0, 1] that the prediction may look at, stacked along channels.
            eps: (B, C, H, W) standard Gaussian noise.
            alpha_bar: (B,) noise levels in (0, 1).

        Returns:
            (B,): mean over channels and pixels of (eps - eps_hat)^2.
        """
        y_t = add_noise(2 * y - 1, eps, alpha_bar)
        x = torch.cat([y_t, 2 * conditions - 1], dim=1)
        eps_hat = self.network(x, alpha_bar * LEVEL_SCALE)
        error: Tensor = (eps - eps_hat.float()).square()
        return error.flatten(1).mean(dim=1)


def add_noise(y: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """y_t = sqrt(alpha_bar) y + sqrt(1 - alpha_bar) eps.

    Args:
        y: (B, C, H, W) images in [-1, 1].
        eps: (B, C, H, W) standard Gaussian noise.
        alpha_bar: (B,) noise levels in (0, 1).

    Returns:
        (B, C, H, W).
    """
    level = alpha_bar[:, None, None, None]
    return level.sqrt() * y + (1 - level).sqrt() * eps
