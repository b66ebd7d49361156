"""Layers of the noise predictors. Two are written for speed where torch's own are slow: on CPUs, channels-last.

Both compute what torch's layers compute. Measured on two cores in bfloat16 at the paper's sizes: torch's GroupNorm
takes a seventh of a training step for its backward pass alone on channels-last tensors, its dropout an eighth for its
random numbers.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from noiseda.dims import append_dims

_LEVELS = 2**16

Module = TypeVar("Module", bound=nn.Module)


def groups_of(channels: int) -> int:
    """GroupNorm's 32 groups, or the largest divisor of 32 that divides the channels too.

    >>> groups_of(64), groups_of(24)
    (32, 8)
    """
    return math.gcd(32, channels)


def zeroed(layer: Module) -> Module:
    """Start a layer at zero, so that the branch it ends adds nothing at first."""
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer


def normalise_channels(x: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the channels of each place by itself: a layer normalisation without weights.

    Args:
        x: (B, C, *spatial).

    Returns:
        (B, C, *spatial).
    """
    return F.layer_norm(x.movedim(1, -1), x.shape[1:2], eps=1e-6).movedim(-1, 1)


def run_block(
    block: nn.Module, x: Tensor, embedding: Tensor, seen: tuple[Tensor, ...], *, recompute: bool = False
) -> Tensor:
    """A block of a predictor, of features, the level's vector and what is seen of the conditions.

    Args:
        block: what is run.
        x: (B, C, *spatial).
        embedding: (B, E).
        seen: of the conditions.
        recompute: compute the inside of the block anew in the backward pass, to save memory.
    """
    if recompute and torch.is_grad_enabled():
        return checkpoint(block, x, embedding, seen, use_reentrant=False)  # type: ignore[no-any-return]
    return block(x, embedding, seen)  # type: ignore[no-any-return]


class NormSiLU(nn.GroupNorm):
    """y = SiLU((1 + scale) GroupNorm(x) + shift), which keeps only ``x`` for the backward pass.

    Wu and He, "Group Normalization" (arXiv 1803.08494), with the scale-shift modulation of guided diffusion.
    """

    def forward(
        self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None, seen: tuple[Tensor, ...] = ()
    ) -> Tensor:
        """Normalise, modulate, activate.

        Args:
            x: (B, C, *spatial).
            scale: (B, C), 0 by default.
            shift: (B, C), 0 by default.
            seen: what is seen of the conditions, which this layer does not look at.

        Returns:
            (B, C, *spatial), of the type of ``x``.
        """
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            y = super().forward(x)
            if scale is not None and shift is not None:
                y = y * (1 + append_dims(scale, y.ndim)) + append_dims(shift, y.ndim)
            return F.silu(y).to(x.dtype)
        gain, offset = self.weight.expand(len(x), -1), self.bias.expand(len(x), -1)  # (B, C) each
        if scale is not None and shift is not None:
            gain, offset = gain * (1 + scale), offset * (1 + scale) + shift
        return _NormSiLU.apply(x, gain.float(), offset.float(), self.num_groups, self.eps)  # type: ignore[no-any-return,no-untyped-call]


class _NormSiLU(torch.autograd.Function):
    """SiLU(gain x^ + offset), x^ = (x - mean) / std of each group; gain and offset (B, C) float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, offset: Tensor, groups: int, eps: float) -> Tensor:  # noqa: ANN401
        batch, channels = x.shape[:2]
        places = x[0, 0].numel()
        _, mean, rstd = torch.native_group_norm(x, None, None, batch, channels, places, groups, eps)
        mean, rstd = (t.float().repeat_interleave(channels // groups, dim=1) for t in (mean, rstd))
        ctx.save_for_backward(x, gain, offset, mean, rstd)
        ctx.groups = groups
        return F.silu(_affine(x, gain, offset, mean, rstd), inplace=True)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, gain, offset, mean, rstd = ctx.saved_tensors
        d: Tensor = torch.ops.aten.silu_backward(upstream[0], _affine(x, gain, offset, mean, rstd))
        d_offset = _sum(d)
        d_gain = rstd * (_sum(d * x) - mean * d_offset)

        def over_group(t: Tensor) -> Tensor:
            share = t.shape[1] // ctx.groups
            means: Tensor = t.view(len(t), ctx.groups, share).sum(dim=2) / (share * x[0, 0].numel())
            return means.repeat_interleave(share, dim=1)

        # dL/dx = rstd (gain d - mean(gain d) - x^ mean(gain d x^)), the means over a group: linear in d and in x.
        of_x = (-rstd.square() * over_group(gain * d_gain)).to(x.dtype)
        constant = -rstd * over_group(gain * d_offset) - of_x * mean
        constant, slope, of_x = (_wide(t.to(x.dtype), x) for t in (constant, rstd * gain, of_x))
        d_x = torch.addcmul(constant, d, slope).addcmul_(x, of_x)
        return d_x, d_gain, d_offset, None, None


def _affine(x: Tensor, gain: Tensor, offset: Tensor, mean: Tensor, rstd: Tensor) -> Tensor:
    """Gain (x - mean) rstd + offset, in the type of ``x``."""
    slope = (gain * rstd).to(x.dtype)  # rounded before the offset is taken from it, so that x = mean gives the offset
    return torch.addcmul(_wide((offset - slope * mean).to(x.dtype), x), x, _wide(slope, x))


def _sum(values: Tensor) -> Tensor:
    """(B, C, *spatial) -> (B, C) float32, row by row: as a whole, torch would first copy all of it to float32."""
    while values.ndim > 3:
        values = values.sum(dim=-1)
    return values.sum(dim=2, dtype=torch.float32)


def _wide(values: Tensor, like: Tensor) -> Tensor:
    return append_dims(values, like.ndim)


class Dropout(nn.Module):
    """Dropout that draws 16 random bits an element on CPUs, where torch draws 64 and takes four times as long.

    The rate is rounded to a multiple of 2^-16.

    Args:
        rate: share of elements that are zeroed in training mode, in [0, 1); the others are divided by 1 - rate.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        if not self.training or not self.rate:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(x, self.rate)
        dropped = round(self.rate * _LEVELS)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        keep = (bits.view(torch.int16)[: x.numel()] >= dropped - _LEVELS // 2).view(x.shape)
        if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
            batch, channels, height, width = x.shape
            keep = keep.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return _Masked.apply(x, keep, _LEVELS / (_LEVELS - dropped))  # type: ignore[no-any-return,no-untyped-call]


class _Masked(torch.autograd.Function):
    """X * keep * factor, of which only the mask is kept, a byte an element."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, keep: Tensor, factor: float) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(keep)
        ctx.factor = factor
        return x * factor * keep

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        (keep,) = ctx.saved_tensors
        return upstream[0] * ctx.factor * keep, None, None
