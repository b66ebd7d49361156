"""Where an image is flat: there, whatever is rough is noise, also the part that a restorer leaves in.

A restorer trained on white noise takes little of a correlated one, so what it takes does not tell what the noise is.
Flat places do (GCBD, Chen et al., CVPR 2018, cuts its noise there).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WINDOW = 11
"""Side, in pixels, of the window that means are taken over; twice, which makes a smooth kernel of twice the size."""

MEMORY = 0.95
"""Share of what is known of usual roughness that is kept each step."""


class Flatness(nn.Module):
    """Takes the roughness out of the flattest places of images.

    Args:
        share: share of all places, over all images, that count as flat.
    """

    threshold: Tensor
    seen: Tensor

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.register_buffer("threshold", torch.tensor(-1.0))  # nothing seen yet
        self.register_buffer("seen", torch.tensor(-1.0))

    def forward(self, images: Tensor) -> Tensor:
        """Replace flat places by their mean; elsewhere images stay as they are, with a soft transition between.

        Args:
            images: (B, C, H, W) in [0, 1], H and W of at least 11.

        Returns:
            (B, C, H, W).
        """
        smooth = _mean(_mean(images))
        # Noise that is left in is averaged out before the structure is looked at.
        structure = _mean((_mean(images, 5) - smooth).square().mean(dim=1, keepdim=True))  # (B, 1, H, W)
        limit = structure.flatten().quantile(self.share)
        self.seen.copy_(limit)
        limit = torch.where(self.threshold < 0, limit, self.threshold)
        flat = (2 - structure / limit.clamp(min=1e-12)).clamp(0, 1)
        return images + flat * (smooth - images)

    def settle(self) -> None:
        """Let the threshold follow what was seen in the last batch."""
        known = torch.where(self.threshold < 0, self.seen, MEMORY * self.threshold + (1 - MEMORY) * self.seen)
        self.threshold.copy_(known)


def _mean(images: Tensor, window: int = WINDOW) -> Tensor:
    """The mean over a square window, mirrored at the border; (B, C, H, W) -> the same."""
    half = window // 2
    return F.avg_pool2d(F.pad(images, (half, half, half, half), mode="reflect"), window, stride=1)
