"""What can be estimated of a restorer without ground truth: signals of degraded images and what it makes of them.

How well each goes along with the true PSNR, over many networks, is measured by ``noiseda compare`` (docs/results.md).
Lower is meant to be better for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

import torch.nn.functional as F
from torch import Tensor

Restore = Callable[[Tensor], Tensor]
"""(C, H, W) degraded, in [0, 1] -> (C, H, W) restored."""

BLOCK = 8
"""Side, in pixels, of the blocks whose roughness is looked at."""


def signals(restore: Restore, degraded: Sequence[Tensor]) -> dict[str, float]:
    """Every signal, averaged over some degraded images.

    Args:
        restore: the network, image by image.
        degraded: images (C, H, W) in [0, 1], of at least 64 pixels a side.

    Returns:
        Signal -> value; see the functions of :data:`SIGNALS`.
    """
    found: dict[str, list[float]] = {name: [] for name in SIGNALS}
    for x in degraded:
        restored = restore(x)
        for name, signal in SIGNALS.items():
            found[name].append(signal(restore, x, restored))
    return {name: fmean(values) for name, values in found.items()}


def disagreement(restore: Restore, x: Tensor, restored: Tensor) -> float:
    """Mean squared difference between an image restored as it is and restored upside down or mirrored.

    A network that knows what it does, does the same to a mirrored image; on what it was not trained for it guesses.
    """
    turned = [restore(x.flip(axes)).flip(axes) for axes in ((-1,), (-2,))]
    return fmean(float((other - restored).square().mean()) for other in turned)


def neighbour_risk(restore: Restore, x: Tensor, restored: Tensor, stride: int = 2) -> float:
    """Squared error of a restored sub-image against another sub-image of the same photograph.

    Sub-images take every ``stride``-th pixel; the two lie half a stride apart. Where noise is independent at that
    distance, the risk is the true error at the smaller size, plus a constant (Neighbor2Neighbor, arXiv 2101.02824,
    section 3): the noise of the second one and what differs between the two scenes.
    """
    half = stride // 2
    first, second = x[:, ::stride, ::stride], x[:, half::stride, half::stride]
    height, width = min(first.shape[1], second.shape[1]), min(first.shape[2], second.shape[2])
    first, second = first[:, :height, :width], second[:, :height, :width]
    return float((restore(first) - second).square().mean())


def far_neighbour_risk(restore: Restore, x: Tensor, restored: Tensor) -> float:
    """The same with sub-images of every fourth pixel, 2.8 pixels apart: for noise that neighbours share."""
    return neighbour_risk(restore, x, restored, stride=4)


def entanglement(restore: Restore, x: Tensor, restored: Tensor) -> float:
    """Correlation, block by block, of what was removed with what was kept, both without their low frequencies.

    Noise that is left in and texture that is taken out both make the two alike.
    """
    removed, kept = (_blocks(_rough(image)) for image in (x - restored, restored))
    together = (removed * kept).mean(-1)
    alone = (removed.square().mean(-1) * kept.square().mean(-1)).sqrt()
    return float((together.sum() / alone.sum().clamp(min=1e-12)).abs())


def noise_left(restore: Restore, x: Tensor, restored: Tensor) -> float:
    """Roughness of the smoothest tenth of the restored image's blocks: what is noise there, if anything is."""
    roughness = _blocks(_rough(restored)).square().mean(-1).mean(0).sqrt()
    return float(roughness.kthvalue(max(1, roughness.numel() // 10)).values)


def texture_lost(restore: Restore, x: Tensor, restored: Tensor) -> float:
    """Share of the roughness of the roughest tenth of the blocks that was removed, beyond what smooth blocks lost."""
    before, after = (_blocks(_rough(image)).square().mean(-1).mean(0) for image in (x, restored))
    order = after.argsort()
    tenth = max(1, order.numel() // 10)
    smooth, rough = order[:tenth], order[-tenth:]
    noise = (before[smooth] - after[smooth]).mean()
    return float(((before[rough] - after[rough]).mean() - noise) / before[rough].mean().clamp(min=1e-12))


def whiteness(restore: Restore, x: Tensor, restored: Tensor) -> float:
    """Squared autocorrelation of what was removed, over the neighbours one and two pixels away; 0 where it is white.

    Texture that was taken out is not white; nor is the noise of most cameras.
    """
    removed = x - restored
    removed = removed - removed.mean(dim=(-2, -1), keepdim=True)
    power = removed.square().mean().clamp(min=1e-12)
    found = [
        float((removed * removed.roll(lag, (-2, -1))).mean() / power)
        for lag in ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))
    ]
    return fmean(value**2 for value in found)


SIGNALS: dict[str, Callable[[Restore, Tensor, Tensor], float]] = {
    "disagreement": disagreement,
    "neighbour risk": neighbour_risk,
    "far neighbour risk": far_neighbour_risk,
    "entanglement": entanglement,
    "noise left": noise_left,
    "texture lost": texture_lost,
    "whiteness": whiteness,
}
"""Every signal by name: (network, degraded image, restored image) -> value."""


def _rough(image: Tensor) -> Tensor:
    """The image without its low frequencies: minus its mean over 7 x 7 pixels, mirrored at the border."""
    padded = F.pad(image[None], (3, 3, 3, 3), mode="reflect")
    return image - F.avg_pool2d(padded, 7, stride=1)[0]


def _blocks(image: Tensor) -> Tensor:
    """(C, H, W) -> (C, N, BLOCK^2); rows and columns that fill no block are left out."""
    height, width = (side // BLOCK * BLOCK for side in image.shape[-2:])
    blocks: Tensor = F.unfold(image[:, None, :height, :width], BLOCK, stride=BLOCK)
    return blocks.transpose(1, 2)


def centre(image: Tensor, side: int) -> Tensor:
    """The middle of an image, at most ``side`` pixels high and wide.

    >>> import torch
    >>> centre(torch.zeros(3, 100, 30), 40).shape
    torch.Size([3, 40, 30])
    """
    top, left = (max(0, (length - side) // 2) for length in image.shape[-2:])
    return image[:, top : top + side, left : left + side]
