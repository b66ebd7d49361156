"""Neighbor2Neighbor: a real image's own pixels are its targets (Huang et al., CVPR 2021, arXiv 2101.02824).

Two neighbours in a noisy image show nearly the same thing under independent noise. Sub-sampled from each 2 x 2 cell
they make a pair of noisy images, of which one can be restored towards the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.adaptation.objective import Distance, Objective, Sum, Terms, Weights, charbonnier, detached
from noiseda.data.batches import Batch
from noiseda.restoration import Restorer
from noiseda.strategies import Neighbor2NeighborSettings

CELL = 2
"""Side of a cell, in pixels."""


@dataclass(frozen=True)
class Neighbors:
    """Which pixel of each cell goes into which sub-sampled image.

    Attributes:
        first: (B, 1, H / 2, W / 2) int64, 0..3: a pixel of the cell, row by row.
        second: the same: one beside, above or below the first.
    """

    first: Tensor
    second: Tensor


class Neighbor2Neighbor(Objective[Neighbors]):
    """One half of a real image restored towards the other, and towards what the whole image restored shows.

    Args:
        restorer: the network to adapt.
        settings: weights of the terms, and whether synthetic pairs are learnt from too.
        distance: the error of restored synthetic images.
    """

    wants_real = True
    by_sample = True

    def __init__(
        self, restorer: Restorer, settings: Neighbor2NeighborSettings, *, distance: Distance = charbonnier
    ) -> None:
        super().__init__()
        self.restorer = restorer
        self.settings = settings
        self.distance = distance

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> Neighbors:
        """Draw a pixel of each cell, and one that shares an edge with it: all eight ordered pairs are equally likely.

        A side that is odd has its last row or column in no cell.
        """
        count, _, height, width = y_syn.shape
        size = (count, 1, height // CELL, width // CELL)
        first = torch.randint(CELL**2, size, generator=generator)
        step = torch.randint(1, CELL + 1, size, generator=generator)  # 1: other column, 2: other row
        return Neighbors(first, first ^ step)

    def forward(self, batch: Batch, draws: Neighbors) -> Terms:
        """Restore one sub-sampled real image and compare it with the other.

        Returns:
            Errors ``neighbor``, |f(g1(x)) - g2(x)|^2; ``consistency``, |f(g1(x)) - g2(x) - (g1(f(x)) - g2(f(x)))|^2,
            where f(x) receives no gradient; and ``restoration``, where synthetic pairs are learnt from.
        """
        x_real = batch.x_real
        assert x_real is not None, "neighbor2neighbor needs real images in the batch"
        with torch.no_grad():
            restored_real = self.restorer(x_real).float()
        restored = self.restorer(subsample(x_real, draws.first)).float()  # (B, C, H / 2, W / 2)
        difference = restored - subsample(x_real, draws.second)
        expected = subsample(restored_real, draws.first) - subsample(restored_real, draws.second)
        errors = {
            "neighbor": difference.square().flatten(1).mean(dim=1),
            "consistency": (difference - expected).square().flatten(1).mean(dim=1),
        }
        restored_syn = None
        if self.settings.synthetic:
            restored_syn = self.restorer(batch.x_syn).float()
            errors["restoration"] = self.distance(restored_syn, batch.y_syn)
        return Terms(errors, detached(restored_syn), restored_real)

    def weights(self, progress: float) -> Weights:
        """L = L_res + weight * (L_neighbor + consistency * L_consistency)."""
        real = Sum(self.settings.weight, {"neighbor": 1.0, "consistency": self.settings.consistency})
        return {"real": real, "restoration": 1.0} if self.settings.synthetic else {"real": real}


def subsample(images: Tensor, pixel: Tensor) -> Tensor:
    """Take one pixel of each 2 x 2 cell.

    Args:
        images: (B, C, H, W).
        pixel: (B, 1, H // 2, W // 2) int64, 0..3: which one, row by row.

    Returns:
        (B, C, H // 2, W // 2).
    """
    count, channels = images.shape[:2]
    height, width = pixel.shape[-2:]
    whole = images[..., : CELL * height, : CELL * width]
    cells = F.pixel_unshuffle(whole, CELL).reshape(count, channels, CELL**2, height, width)
    return cells.gather(2, pixel[:, :, None].expand(-1, channels, -1, -1, -1))[:, :, 0]
