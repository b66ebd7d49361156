"""Signals of any rank: (B, C, W), (B, C, H, W) and (B, C, D, H, W) alike."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["append_dims", "check_dims", "fold", "unfold"]

CONVOLUTIONS: dict[int, type[nn.Conv1d | nn.Conv2d | nn.Conv3d]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
"""Number of spatial dimensions -> the convolution over them."""

AVERAGES = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
"""Number of spatial dimensions -> average pooling over them."""

LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
"""Number of spatial dimensions -> the name that torch's ``interpolate`` has for linear interpolation."""


def check_dims(dims: int) -> None:
    """Check a number of spatial dimensions.

    Raises:
        ValueError: It is none of 1, 2 and 3.

    >>> check_dims(4)
    Traceback (most recent call last):
    ValueError: dims must be 1, 2 or 3, not 4
    """
    if dims not in CONVOLUTIONS:
        raise ValueError(f"dims must be 1, 2 or 3, not {dims}")


def append_dims(values: Tensor, dims: int) -> Tensor:
    """A tensor with dimensions of size 1 behind it, so that it goes with one of more dimensions.

    Args:
        values: of at most ``dims`` dimensions, such as (B,) or (B, C).
        dims: how many there will be.

    >>> import torch
    >>> append_dims(torch.zeros(2), 4).shape
    torch.Size([2, 1, 1, 1])
    """
    return values.reshape(values.shape + (1,) * (dims - values.ndim))


def fold(signals: Tensor, side: int) -> Tensor:
    """Blocks folded into channels; the inverse of :func:`unfold`. For images, torch's ``pixel_unshuffle``.

    Args:
        signals: (B, C, *spatial), each side a multiple of ``side``.
        side: of the blocks.

    Returns:
        (B, C * side**dims, *spatial / side): the channels of a block follow one another.
    """
    if signals.ndim == 4:
        return F.pixel_unshuffle(signals, side)
    batch, channels, *spatial = signals.shape
    dims = len(spatial)
    cut = signals.reshape(batch, channels, *(size for length in spatial for size in (length // side, side)))
    places = [2 + 2 * axis for axis in range(dims)]
    within = [place + 1 for place in places]
    folded = cut.permute(0, 1, *within, *places)
    return folded.reshape(batch, channels * side**dims, *(length // side for length in spatial))


def unfold(signals: Tensor, side: int) -> Tensor:
    """Channels unfolded into blocks; the inverse of :func:`fold`. For images, torch's ``pixel_shuffle``.

    Args:
        signals: (B, C * side**dims, *spatial).
        side: of the blocks.

    Returns:
        (B, C, *spatial * side).

    >>> import torch
    >>> signals = torch.rand(2, 3, 8)
    >>> torch.equal(unfold(fold(signals, 4), 4), signals)
    True
    """
    if signals.ndim == 4:
        return F.pixel_shuffle(signals, side)
    batch, channels, *spatial = signals.shape
    dims = len(spatial)
    cut = signals.reshape(batch, channels // side**dims, *(side,) * dims, *spatial)
    order = [axis for place in range(dims) for axis in (2 + dims + place, 2 + place)]
    return cut.permute(0, 1, *order).reshape(batch, channels // side**dims, *(length * side for length in spatial))
