"""How soft photographs are: the width of their strongest edges, which noise hardly changes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.data.phone import gaussian
from noiseda.data.sampling import one_thread

FINE, COARSE = 1.0, 2.0
"""Standard deviations, in pixels, of the two Gaussians through which edges are seen."""

STRONGEST = 0.02
"""Share of all pixels that count as edges, the strongest ones."""

LEAST = 50
"""Pixels that count as edges, at least."""

LIMIT = 4.0
"""Largest softness, in pixels: of a wider edge the two Gaussians see next to the same."""

BORDER = 4

_DIFFERENCE = 1 / 3  # the variance of what a central difference widens edges by: a box of two pixels


@one_thread()
def softness(image: Tensor) -> float | None:
    """The standard deviation of the Gaussian that would make sharp edges as wide as those of an image.

    An edge that a Gaussian of s pixels has widened is sqrt((s^2 + b^2) / (s^2 + a^2)) times as steep, when it is seen
    through a Gaussian of a pixels, as when it is seen through one of b. The median over the strongest edges is given;
    an edge is a pixel that is steeper than its neighbours across it.

    Args:
        image: (C, H, W) in [0, 1].

    Returns:
        In pixels, 0 for edges as sharp as pixels allow; None where the image is too small or has no edges.

    Source: Zhuo and Sim, "Defocus map estimation from a single image", Pattern Recognition 2011, equations 4 to 6.

    >>> step = (torch.arange(64.0) >= 32).float().expand(1, 64, 64)
    >>> [round(softness(gaussian(step, scale)), 1) for scale in (1.0, 1.5)]  # the step is half a pixel wide itself
    [1.1, 1.6]
    """
    if min(image.shape[-2:]) <= 4 * BORDER:
        return None
    grey = image.mean(dim=0, keepdim=True)
    across, down = _slopes(gaussian(grey, FINE)[0])
    steep = (across.square() + down.square()).sqrt()
    far = F.pad(steep[None], (1, 1, 1, 1))[0]
    beside = (steep >= far[1:-1, :-2]) & (steep >= far[1:-1, 2:]) & (across.abs() > down.abs())
    above = (steep >= far[:-2, 1:-1]) & (steep >= far[2:, 1:-1]) & (across.abs() <= down.abs())
    inner = torch.zeros_like(beside)
    inner[BORDER:-BORDER, BORDER:-BORDER] = True
    edges = ((beside | above) & inner & (steep > 1e-6)).flatten().nonzero()[:, 0]
    strongest = steep.flatten()[edges].argsort(descending=True)[: max(LEAST, int(STRONGEST * steep.numel()))]
    edges = edges[strongest]
    coarse = torch.stack(_slopes(gaussian(grey, COARSE)[0])).square().sum(dim=0).flatten()[edges]
    ratio = steep.flatten()[edges].square() / coarse.clamp(min=1e-12)
    ratio = ratio[ratio > (LIMIT**2 + COARSE**2) / (LIMIT**2 + FINE**2)]
    if len(ratio) < LEAST // 2:
        return None
    fine, wide = FINE**2 + _DIFFERENCE, COARSE**2 + _DIFFERENCE
    widths = ((wide - ratio * fine) / (ratio - 1)).clamp(min=0).sqrt()
    return float(widths.median())


def _slopes(image: Tensor) -> tuple[Tensor, Tensor]:
    """The central differences of an image (H, W) to the right and downwards; (H - 2, W - 2)."""
    return (image[1:-1, 2:] - image[1:-1, :-2]) / 2, (image[2:, 1:-1] - image[:-2, 1:-1]) / 2
