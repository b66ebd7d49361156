"""The eight orientations of an image: what a restorer should not depend on.

They concern the last two axes. A signal of one dimension has none: time has a direction, as has the depth of a volume.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["COUNT", "turn", "turn_back", "turn_each"]

COUNT = 8


def turn(images: Tensor, number: int) -> Tensor:
    """Bring images into one of their eight orientations: transposed (4), upside down (2), mirrored (1).

    Args:
        images: (B, C, *spatial).
        number: 0..7, the sum of what is done; 0 leaves them as they are.

    Returns:
        The same, with the last two sides exchanged where they were transposed.

    >>> turn(torch.arange(4).view(1, 1, 2, 2), 5).flatten().tolist()
    [2, 0, 3, 1]
    """
    return _flip(_transposed(images) if number & 4 else images, number)


def turn_back(images: Tensor, number: int) -> Tensor:
    """Undo :func:`turn` by the same number."""
    images = _flip(images, number)
    return _transposed(images) if number & 4 else images


def turn_each(images: Tensor, numbers: Tensor) -> Tensor:
    """Bring each of some square images into an orientation of its own.

    Args:
        images: (B, C, *spatial), the last two sides equal.
        numbers: (B,) int64, 0..7.

    Returns:
        (B, C, *spatial).
    """
    all_ways = torch.stack([turn(images, number) for number in range(COUNT)])  # (8, B, C, *spatial)
    return all_ways[numbers, torch.arange(len(images), device=images.device)]


def _flip(images: Tensor, number: int) -> Tensor:
    axes = [images.ndim + axis for bit, axis in ((2, -2), (1, -1)) if number & bit]
    return images.flip(axes) if axes and images.ndim > 3 else images


def _transposed(images: Tensor) -> Tensor:
    return images.transpose(-2, -1) if images.ndim > 3 else images
