"""A bank of real noise: cut from flat patches, where all that is rough is noise, and kept by brightness.

A restorer trained on white noise takes little of a noise that neighbouring pixels share, so what it takes is not what
the noise is; a flat patch shows all of it. GCBD (Chen et al., CVPR 2018) cuts noise from such patches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noiseda.data.background import background

MEMORY = 0.98
"""Share of what is known of usual structure that is kept each step."""

LEAST = 0.25
"""Deviation, in steps from level to level of the files, below which a patch has no noise worth keeping: it
is clipped, or painted."""


class NoiseBank(nn.Module):
    """The noise of flat patches, a fixed number for each band of brightness, the newest replacing the oldest.

    Args:
        channels: colour channels, C.
        patch: side of the patches, P.
        share: share of all patches, over time, that count as flat.
        bands: bands of brightness over [0, 1].
        depth: patches kept in each.
        levels: steps from black to white that the files have.
    """

    noise: Tensor
    origin: Tensor
    count: Tensor
    threshold: Tensor
    seen: Tensor

    def __init__(
        self, *, channels: int, patch: int, share: float, bands: int = 8, depth: int = 24, levels: float = 255.0
    ) -> None:
        super().__init__()
        self.levels = levels
        self.share, self.bands, self.depth = share, bands, depth
        self.register_buffer("noise", torch.zeros(bands * depth, channels, patch, patch))
        self.register_buffer("origin", torch.zeros(bands * depth, channels, patch, patch))
        self.register_buffer("count", torch.zeros(bands, dtype=torch.int64))  # patches ever put into each band
        self.register_buffer("threshold", torch.tensor(-1.0))  # nothing seen yet
        self.register_buffer("seen", torch.tensor(-1.0))

    def keep(self, images: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keep the noise of those patches that are flat.

        Args:
            images: (B, C, P, P) real images in [0, 1].
            estimate: the same restored, in which structure is looked for.

        Returns:
            (B,) whether each was kept; (B, C, P, P) the noise of each; (B, C, P, P) the smooth image it lay on.
        """
        shape = background(images)
        noise = images - shape
        structure = (estimate - background(estimate)).square().flatten(1).mean(dim=1)
        power = noise.square().flatten(1).mean(dim=1)
        least = (LEAST / self.levels) ** 2
        ratio = structure / power.clamp(min=least)
        self.seen.copy_(ratio.quantile(self.share))
        limit = torch.where(self.threshold < 0, self.seen, self.threshold)
        accepted = (ratio <= limit) & (power > least)
        band_of = self._band(images)
        for index in range(len(images)):  # one by one: two may go into the same band
            this = slice(index, index + 1)
            band, one = band_of[this], accepted[this]
            slot = band * self.depth + self.count[band] % self.depth
            for kept, new in ((self.noise, noise[this]), (self.origin, shape[this])):
                kept.index_copy_(0, slot, torch.where(one, new, kept[slot]))
            self.count.index_add_(0, band, one.long())
        return accepted, noise, shape

    def draw(self, images: Tensor, pick: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Noise from patches whose brightness is nearest to that of some images.

        Args:
            images: (B, C, P, P) clean images.
            pick: (B,) in [0, 1): which of the patches in the band.

        Returns:
            (B, C, P, P) noise; (B, C, P, P) the smooth images it lay on; (B,) false where the bank is still empty.
        """
        band = torch.arange(self.bands, device=images.device)
        far = (band - self._band(images)[:, None]).abs() + self.bands * (self.count == 0)  # (B, bands)
        nearest = far.argmin(dim=1)
        filled = self.count.clamp(max=self.depth)[nearest]
        slot = nearest * self.depth + (pick * filled).long().clamp(max=self.depth - 1)
        return self.noise[slot], self.origin[slot], filled > 0

    def settle(self) -> None:
        """Let the threshold follow what was seen in the last batch."""
        known = torch.where(self.threshold < 0, self.seen, MEMORY * self.threshold + (1 - MEMORY) * self.seen)
        self.threshold.copy_(known)

    def _band(self, images: Tensor) -> Tensor:
        return (images.flatten(1).mean(dim=1) * self.bands).long().clamp(0, self.bands - 1)
