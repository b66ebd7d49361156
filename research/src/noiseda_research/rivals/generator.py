"""A generator: it gives an image of one domain the look of the other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noiseda_research.rivals.convolutions import trunk, zero


class Generator(nn.Module):
    """Residual blocks at full resolution that predict what to add to an image (of the kind of arXiv 1612.05424).

    The last convolution starts at zero, so that an untrained generator returns its input.

    Args:
        channels: 1 (grey) or 3 (RGB).
        noise: channels of noise that it is given beside the image; 0 for none.
        width: channels inside.
        blocks: number of residual blocks.
    """

    def __init__(self, *, channels: int = 3, noise: int = 0, width: int = 32, blocks: int = 3) -> None:
        super().__init__()
        self.layers = trunk(channels + noise, channels, width=width, blocks=blocks)
        zero(self.layers[-1])  # type: ignore[arg-type]

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Translate images.

        Args:
            images: (B, C, H, W), values in [0, 1] and around.
            noise: (B, N, H, W), values in [-1, 1].

        Returns:
            (B, C, H, W) float32, not clamped.
        """
        x = 2 * images - 1
        return images + self.layers(x if noise is None else torch.cat([x, noise], dim=1)).float()  # type: ignore[no-any-return]
