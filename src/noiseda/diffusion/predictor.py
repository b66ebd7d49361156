"""The bare noise predictor: a U-Net with residual blocks, conditioned on a scalar.

Of the guided-diffusion kind (Dhariwal and Nguyen, arXiv 2105.05233): GroupNorm(32) and SiLU, a scale-shift embedding of
the level, resampling inside residual blocks, attention in the middle alone, zero-initialised outputs of every residual
branch and of the network.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from noiseda.diffusion.layers import Dropout, NormSiLU
from noiseda.dims import AVERAGES, CONVOLUTIONS, check_dims, fold, unfold


class NoisePredictor(nn.Module):
    """Predicts the noise in a signal from the signal, its conditions and the noise level.

    The conditions are concatenated with the noised signal, channel by channel. ``NoisePredictor()`` is of the paper's
    size (62.6 million parameters for images of 3 channels and two conditions).

    Args:
        channels: channels of the signal, and of each condition.
        conditions: how many signals it is conditioned on.
        width: channels of the first level.
        channel_mults: channels of each level, as multiples of the width.
        blocks: residual blocks a level.
        patch_size: side of the pixel blocks folded into channels at the input and unfolded at the output (1: none).
        attention: self-attention in the middle block.
        dropout: dropout rate inside the residual blocks.
        dims: spatial dimensions of the signal: 1, 2 or 3.

    Raises:
        ValueError: where ``dims`` is another.

    Attributes:
        recompute: whether the backward pass computes the inside of the residual blocks anew, to save memory.
    """

    recompute = False

    def __init__(
        self,
        *,
        channels: int = 3,
        conditions: int = 2,
        width: int = 64,
        channel_mults: tuple[int, ...] = (1, 2, 4, 8),
        blocks: int = 2,
        patch_size: int = 1,
        attention: bool = True,
        dropout: float = 0.2,
        dims: int = 2,
    ) -> None:
        super().__init__()
        check_dims(dims)
        embedding = 4 * width
        self.channels, self.conditions, self.patch_size = channels, conditions, patch_size
        self.multiple_of = patch_size * 2 ** (len(channel_mults) - 1)
        self.embed = LevelEmbedding(width, embedding)
        self.first = CONVOLUTIONS[dims]((1 + conditions) * channels * patch_size**dims, width, 3, padding=1)

        def block(a: int, b: int, resample: str = "") -> ResidualBlock:
            return ResidualBlock(a, b, embedding=embedding, resample=resample, dropout=dropout, dims=dims)

        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        current, skips = width, [width]
        for level, multiplier in enumerate(channel_mults):
            for _ in range(blocks):
                self.down.append(block(current, width * multiplier))
                current = width * multiplier
                skips.append(current)
            if level + 1 < len(channel_mults):
                self.down.append(block(current, current, "down"))
                skips.append(current)
        self.middle = nn.ModuleList([block(current, current), block(current, current)])
        self.attend = Attention(current, dims=dims) if attention else nn.Identity()
        for level, multiplier in reversed(list(enumerate(channel_mults))):
            for _ in range(blocks + 1):
                self.up.append(block(current + skips.pop(), width * multiplier))
                current = width * multiplier
            if level:
                self.up.append(block(current, current, "up"))
        self.norm = NormSiLU(_groups(current), current)
        self.last = _zero(CONVOLUTIONS[dims](current, channels * patch_size**dims, 3, padding=1))

    def forward(self, y_t: Tensor, conditions: tuple[Tensor, ...], level: Tensor) -> Tensor:
        """Predict noise.

        Args:
            y_t: (B, C, *spatial) noised signals, sides multiples of ``stride``, values around [-1, 1].
            conditions: as many signals of the same shape as were announced.
            level: (B,) noise levels, spread over a range of about 0 to 1000.

        Returns:
            (B, C, *spatial).
        """
        embedding = self.embed(level)  # (B, E)
        x = self.first(fold(torch.cat([y_t, *conditions], dim=1), self.patch_size))  # (B, W, *spatial / patch_size)
        skips = [x]
        for block in self.down:
            x = self._run(block, x, embedding)
            skips.append(x)
        x = self._run(self.middle[1], self.attend(self._run(self.middle[0], x, embedding)), embedding)
        for block in self.up:
            x = self._run(block, x if block.resample else torch.cat([x, skips.pop()], dim=1), embedding)
        return unfold(self.last(self.norm(x)), self.patch_size)

    def _run(self, block: nn.Module, x: Tensor, embedding: Tensor) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(block, x, embedding, use_reentrant=False)  # type: ignore[no-any-return]
        return block(x, embedding)  # type: ignore[no-any-return]


class LevelEmbedding(nn.Module):
    """A scalar level as a vector: sinusoids of geometric wavelengths, then two dense layers.

    A sinusoid hardly moves over (0, 1), so levels come spread over about 0 to 1000; wavelengths run from 2 pi to
    2 pi * 10^4.

    Args:
        width: number of sinusoids (half sines, half cosines).
        embedding: length of the vector.
    """

    frequencies: Tensor

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        half = width // 2
        self.register_buffer("frequencies", torch.exp(-math.log(1e4) * torch.arange(half) / half), persistent=False)
        self.dense = nn.Sequential(nn.Linear(2 * half, embedding), nn.SiLU(), nn.Linear(embedding, embedding))

    def forward(self, level: Tensor) -> Tensor:
        """Embed levels; (B,) -> (B, embedding)."""
        return self.dense(self.sinusoidal_embedding(level))  # type: ignore[no-any-return]

    def sinusoidal_embedding(self, level: Tensor) -> Tensor:
        """The sinusoids alone; (B,) -> (B, width), in [-1, 1]."""
        angle = level[:, None].float() * self.frequencies
        return torch.cat([angle.cos(), angle.sin()], dim=1)


class ResidualBlock(nn.Module):
    """Norm, SiLU, 3x3 convolution; norm, scale and shift by the level, SiLU, dropout, 3x3 convolution; plus a skip.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        embedding: length of the level's vector.
        resample: "" (same size), "down" (half, by average pooling) or "up" (double, by nearest neighbour).
        dropout: dropout rate before the last convolution.
        dims: spatial dimensions.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, embedding: int, resample: str, dropout: float, dims: int = 2
    ) -> None:
        super().__init__()
        convolution = CONVOLUTIONS[dims]
        self.resample = resample
        self.norm_in = NormSiLU(_groups(in_channels), in_channels)
        self.conv_in = convolution(in_channels, out_channels, 3, padding=1)
        self.scale_shift = nn.Linear(embedding, 2 * out_channels)
        self.norm_out = NormSiLU(_groups(out_channels), out_channels)
        self.dropout = Dropout(dropout)
        self.conv_out = _zero(convolution(out_channels, out_channels, 3, padding=1))
        self.skip = nn.Identity() if in_channels == out_channels else convolution(in_channels, out_channels, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, in_channels, *spatial), (B, embedding) -> (B, out_channels, *spatial, half or double)."""
        h = self.conv_in(self._resize(self.norm_in(x)))
        scale, shift = self.scale_shift(F.silu(embedding)).chunk(2, dim=1)
        h = self.conv_out(self.dropout(self.norm_out(h, scale, shift)))
        return self.skip(self._resize(x)) + h  # type: ignore[no-any-return]

    def _resize(self, x: Tensor) -> Tensor:
        if self.resample == "down":
            return AVERAGES[x.ndim - 2](x, 2)
        if self.resample == "up":
            return F.interpolate(x, scale_factor=2, mode="nearest")
        return x


class Attention(nn.Module):
    """Single-head self-attention over all positions, with a skip.

    Args:
        channels: channels in and out.
        dims: spatial dimensions.
    """

    def __init__(self, channels: int, *, dims: int = 2) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_groups(channels), channels)
        self.to_qkv = CONVOLUTIONS[dims](channels, 3 * channels, 1)
        self.project = _zero(CONVOLUTIONS[dims](channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same."""
        query, key, value = self.to_qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=2)  # (B, places, C) each
        mixed = F.scaled_dot_product_attention(query, key, value)
        return x + self.project(mixed.transpose(1, 2).reshape(x.shape))  # type: ignore[no-any-return]


def _groups(channels: int) -> int:
    """GroupNorm's 32 groups, or the largest divisor of 32 that divides the channels too."""
    return math.gcd(32, channels)


def _zero(convolution: nn.Module) -> nn.Module:
    """Start a convolution at zero, so that the branch it ends adds nothing at first."""
    for weight in convolution.parameters():
        nn.init.zeros_(weight)
    return convolution
