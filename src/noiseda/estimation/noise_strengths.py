"""How strong the noise of real patches is beside that of flat ones as bright, as far as a restorer shows it.

Cameras smooth flat places more than textured ones, and flat patches come from the noisiest photographs first: noise
that was cut from them is of the right kind, but need not be of the right strength elsewhere. Two traces of the noise of
any patch show it: what a restorer takes from it, and how rough the smoothest of its blocks are. Neither is all of the
noise, but flat patches, whose noise is known, show the share. A restorer takes a smaller share of weak noise than of
strong, and too little is found; texture adds to the roughness, and too much is found: the mean of both powers is taken.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.data.background import background
from noiseda.processes import mean_of_all

MEMORY = 0.99
"""Share of what is known of the restorer that is kept each step."""

LARGEST = 4.0
"""Largest strength: where more than that is taken, it is texture."""


class NoiseStrengths(nn.Module):
    """The strengths of the noise of real patches, a fixed number for each band of brightness, the newest last.

    A patch's strength is the standard deviation of its noise, divided by that of flat patches as bright.

    Args:
        bands: bands of brightness over [0, 1].
        depth: strengths kept in each.
    """

    kept: Tensor
    count: Tensor
    known: Tensor
    seen: Tensor

    def __init__(self, *, bands: int = 8, depth: int = 64) -> None:
        super().__init__()
        self.bands, self.depth = bands, depth
        self.register_buffer("kept", torch.ones(bands * depth))
        self.register_buffer("count", torch.zeros(bands, dtype=torch.int64))  # strengths ever put into each band
        # Over flat patches: power of each trace, and of their noise.
        self.register_buffer("known", torch.zeros(3))
        self.register_buffer("seen", torch.zeros(3))

    def observe(self, traces: Tensor, noise: Tensor, flat: Tensor) -> None:
        """See how much of the noise of flat patches its traces are.

        Args:
            traces: (B, 2) power of the traces of noise in each patch, from :func:`traces_of`.
            noise: (B,) power of its noise, right where it is flat.
            flat: (B,) whether it is flat.
        """
        powers = torch.cat([traces, noise[:, None]], dim=1)
        self.seen += mean_of_all((flat.to(powers)[:, None] * powers).sum(dim=0))

    def settle(self) -> None:
        """Add what was seen to what is known, which fades."""
        self.known.mul_(MEMORY).add_(self.seen)
        self.seen.zero_()

    def keep(self, traces: Tensor, usual: Tensor, brightness: Tensor) -> Tensor:
        """Keep the strengths of some patches, flat or not; none before a flat one was seen.

        Args:
            traces: (B, 2) power of the traces of noise in each.
            usual: (B,) power of the noise of flat patches as bright.
            brightness: (B,) in [0, 1].

        Returns:
            (B,) the strengths; 1 before a flat patch was seen.
        """
        known = self.known + self.seen
        noise = known[2]
        share = (known[:2] / noise.clamp(min=1e-12)).clamp(min=1e-3)
        power = (traces / share).mean(dim=1)
        strength = torch.where(noise > 0, (power / usual).sqrt().clamp(max=LARGEST), 1.0)
        band_of = self._band(brightness)
        for index in range(len(traces)):  # one by one: two may go into the same band
            this = slice(index, index + 1)
            band = band_of[this]
            slot = band * self.depth + self.count[band] % self.depth
            self.kept.index_copy_(0, slot, torch.where(noise > 0, strength[this], self.kept[slot]))
            self.count.index_add_(0, band, (noise > 0).long()[None])
        return strength

    def draw(self, brightness: Tensor, pick: Tensor) -> Tensor:
        """The strength of one of the patches whose brightness is nearest.

        Args:
            brightness: (B,) in [0, 1].
            pick: (B,) in [0, 1): which of the patches in the band.

        Returns:
            (B,), 1 while nothing is known.
        """
        band = torch.arange(self.bands, device=brightness.device)
        far = (band - self._band(brightness)[:, None]).abs() + self.bands * (self.count == 0)  # (B, bands)
        nearest = far.argmin(dim=1)
        filled = self.count.clamp(max=self.depth)[nearest]
        return self.kept[nearest * self.depth + (pick * filled).long().clamp(max=self.depth - 1)]

    def _band(self, brightness: Tensor) -> Tensor:
        return (brightness * self.bands).long().clamp(0, self.bands - 1)


def traces_of(images: Tensor, estimate: Tensor) -> Tensor:
    """Traces of the noise in some images.

    Args:
        images: (B, C, P, P), P at least 8.
        estimate: the same restored.

    Returns:
        (B, 2): power of what the restorer took, less its smooth part; roughness of the smoothest tenth of the blocks of
        8 x 8 pixels.
    """
    removed = images - estimate
    taken = (removed - background(removed)).square().flatten(1).mean(dim=1)
    rough = images - F.avg_pool2d(F.pad(images, (3, 3, 3, 3), mode="reflect"), 7, stride=1)
    blocks = F.avg_pool2d(rough.square().mean(dim=1, keepdim=True), 8).flatten(1)
    smoothest = blocks.kthvalue(max(1, blocks.shape[1] // 10), dim=1).values
    return torch.stack([taken, smoothest], dim=1)
