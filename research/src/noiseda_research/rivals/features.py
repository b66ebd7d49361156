"""The restorer's features: what strategies compare between domains, taken from the pass that restores."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.restoration import Restorer


def restore_with_features(restorer: Restorer, *batches: Tensor) -> tuple[Tensor, Tensor]:
    """Restore images and keep what the module named by :attr:`Restorer.features` returned on the way.

    The network's own forward is called, never a compiled one, inside which nothing could be listened to.

    Args:
        restorer: any restorer that names its features.
        batches: (B, C, H, W) each; of several domains, one each.

    Returns:
        The restored images of all, (B, C, H, W), and the features, (B, K, h, w); both float32, gradients flow through
        both.
    """
    captured: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        captured.append(output)

    handle = restorer.features.register_forward_hook(keep)
    try:
        restored = torch.cat([restorer.forward(images) for images in restorer.passes(*batches)])
    finally:
        handle.remove()  # before the backward pass, which may compute the module anew
    return restored.float(), torch.cat(captured).float()


@dataclass(frozen=True)
class FeatureShape:
    """What a restorer's features measure.

    Attributes:
        channels: K.
        shrink: side of the block of pixels that one position stands for, H / h.
    """

    channels: int
    shrink: int


@torch.no_grad()
def feature_shape(restorer: Restorer) -> FeatureShape:
    """Find out the shape of a restorer's features by restoring one small image.

    >>> from noiseda.restoration import UNet
    >>> feature_shape(UNet(width=4, depth=3))
    FeatureShape(channels=16, shrink=4)
    """
    weight = next(restorer.parameters())
    side, _ = restorer.padded(64, 64)
    image = torch.zeros(1, restorer.channels, side, side).to(weight)
    _, features = restore_with_features(restorer, image)
    return FeatureShape(channels=features.shape[1], shrink=side // features.shape[2])


def cells(features: Tensor, grid: int) -> Tensor:
    """Features as rows of a matrix: their means over the cells of a grid, each cell a sample of the domain.

    Means over whole images would leave as many samples as a batch has images, which say nothing about a covariance.

    Args:
        features: (B, K, h, w).
        grid: cells along each side; fewer where the features have fewer positions.

    Returns:
        (B * cells, K) float32, the cells of an image one after the other.
    """
    height, width = features.shape[-2:]
    means = F.adaptive_avg_pool2d(features.float(), (min(grid, height), min(grid, width)))
    return means.flatten(2).transpose(1, 2).flatten(0, 1)
