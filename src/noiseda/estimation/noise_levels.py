"""How strong noise is on pixels of which brightness, measured as batches go by."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noiseda.processes import mean_of_all

MEMORY = 0.99
"""Share of what is known of the noise that is kept each step."""


class NoiseLevels(nn.Module):
    """The standard deviation of noise as a function of brightness, channel by channel, measured as batches go by.

    A pixel counts in the bin of its brightness; between the centres of two bins the deviation is interpolated. Bins
    that hold little are drawn towards the deviation over all of them.

    Args:
        channels: colour channels, C.
        bins: number of brightness bins over [0, 1].
    """

    known: Tensor
    seen: Tensor

    def __init__(self, channels: int, bins: int) -> None:
        super().__init__()
        self.bins = bins
        # Pixels, and the sum of their squared noise; (2, C, bins).
        self.register_buffer("known", torch.zeros(2, channels, bins))
        self.register_buffer("seen", torch.zeros(2, channels, bins))

    def observe(self, noise: Tensor, brightness: Tensor, counted: Tensor | None = None) -> None:
        """Count the pixels of a batch, of all processes together.

        Args:
            noise: (B, C, H, W).
            brightness: (B, C, H, W) in [0, 1]: that of the clean pixel under the noise.
            counted: (B,) which of the images count; all by default.
        """
        channels = noise.shape[1]
        bin_of = (brightness * self.bins).long().clamp(0, self.bins - 1).transpose(0, 1).flatten(1)  # (C, B * H * W)
        square = noise.square().transpose(0, 1).flatten(1)
        weight = torch.ones_like(square)
        if counted is not None:
            weight = counted.to(square)[:, None].expand(len(noise), noise[0, 0].numel()).flatten().expand_as(square)
        found = torch.zeros(2, channels, self.bins, device=noise.device)
        found[0].scatter_add_(1, bin_of, weight)
        found[1].scatter_add_(1, bin_of, weight * square)
        self.seen += mean_of_all(found)

    def settle(self) -> None:
        """Add what was seen to what is known, which fades."""
        self.known.mul_(MEMORY).add_(self.seen)
        self.seen.zero_()

    def deviation(self) -> Tensor:
        """The standard deviation in each bin; (C, bins), the same everywhere before anything was seen."""
        pixels, squares = (self.known + self.seen).unbind()
        overall = (squares.sum(dim=1, keepdim=True) + 1e-6) / (pixels.sum(dim=1, keepdim=True) + 1)  # (C, 1)
        weight = 1e-3 * pixels.sum(dim=1, keepdim=True) + 1
        return ((squares + weight * overall) / (pixels + weight)).sqrt()

    def forward(self, brightness: Tensor) -> Tensor:
        """The standard deviation of noise on pixels of some brightness; (B, C, H, W) -> the same."""
        place = (brightness * self.bins - 0.5).clamp(0, self.bins - 1)  # 0: the centre of the first bin
        below = place.long().clamp(max=self.bins - 2)
        deviation = self.deviation()
        channel = torch.arange(len(deviation), device=deviation.device)[:, None, None]
        low, high = deviation[channel, below], deviation[channel, below + 1]
        return low + (high - low) * (place - below)
