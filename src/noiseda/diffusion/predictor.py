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


class NoisePredictor(nn.Module):
    """Predicts the noise in the first channels of its input from all of them and the noise level.

    ``NoisePredictor()`` is of the paper's size (62.6 million parameters for 9 channels in, 3 out).

    Args:
        inward: channels of the input: the noised image and its conditions.
        outward: channels of the noise.
        width: channels of the first level.
        multipliers: channels of each level, as multiples of the width.
        blocks: residual blocks a level.
        stem: side of the pixel blocks folded into channels at the input and unfolded at the output (1: none).
        attention: self-attention in the middle block.
        dropout: dropout rate inside the residual blocks.

    Attributes:
        recompute: whether the backward pass computes the inside of the residual blocks anew, to save memory.
    """

    recompute = False

    def __init__(
        self,
        *,
        inward: int = 9,
        outward: int = 3,
        width: int = 64,
        multipliers: tuple[int, ...] = (1, 2, 4, 8),
        blocks: int = 2,
        stem: int = 1,
        attention: bool = True,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        embedding = 4 * width
        self.stride = stem * 2 ** (len(multipliers) - 1)
        self.embed = LevelEmbedding(width, embedding)
        self.fold = nn.PixelUnshuffle(stem)
        self.unfold = nn.PixelShuffle(stem)
        self.first = nn.Conv2d(inward * stem**2, width, 3, padding=1)

        def block(a: int, b: int, resample: str = "") -> ResidualBlock:
            return ResidualBlock(a, b, embedding=embedding, resample=resample, dropout=dropout)

        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        current, skips = width, [width]
        for level, multiplier in enumerate(multipliers):
            for _ in range(blocks):
                self.down.append(block(current, width * multiplier))
                current = width * multiplier
                skips.append(current)
            if level + 1 < len(multipliers):
                self.down.append(block(current, current, "down"))
                skips.append(current)
        self.middle = nn.ModuleList([block(current, current), block(current, current)])
        self.attend = Attention(current) if attention else nn.Identity()
        for level, multiplier in reversed(list(enumerate(multipliers))):
            for _ in range(blocks + 1):
                self.up.append(block(current + skips.pop(), width * multiplier))
                current = width * multiplier
            if level:
                self.up.append(block(current, current, "up"))
        self.norm = NormSiLU(_groups(current), current)
        self.last = _zero(nn.Conv2d(current, outward * stem**2, 3, padding=1))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Predict noise.

        Args:
            x: (B, inward, H, W), H and W multiples of ``stride``, values around [-1, 1].
            level: (B,) noise levels, spread over a range of about 0 to 1000.

        Returns:
            (B, outward, H, W).
        """
        embedding = self.embed(level)  # (B, E)
        x = self.first(self.fold(x))  # (B, W, H / stem, W / stem)
        skips = [x]
        for block in self.down:
            x = self._run(block, x, embedding)
            skips.append(x)
        x = self._run(self.middle[1], self.attend(self._run(self.middle[0], x, embedding)), embedding)
        for block in self.up:
            x = self._run(block, x if block.resample else torch.cat([x, skips.pop()], dim=1), embedding)
        return self.unfold(self.last(self.norm(x)))  # type: ignore[no-any-return]

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
        return self.dense(self.waves(level))  # type: ignore[no-any-return]

    def waves(self, level: Tensor) -> Tensor:
        """The sinusoids alone; (B,) -> (B, width), in [-1, 1]."""
        angle = level[:, None].float() * self.frequencies
        return torch.cat([angle.cos(), angle.sin()], dim=1)


class ResidualBlock(nn.Module):
    """Norm, SiLU, 3x3 convolution; norm, scale and shift by the level, SiLU, dropout, 3x3 convolution; plus a skip.

    Args:
        inward: channels in.
        outward: channels out.
        embedding: length of the level's vector.
        resample: "" (same size), "down" (half, by average pooling) or "up" (double, by nearest neighbour).
        dropout: dropout rate before the last convolution.
    """

    def __init__(self, inward: int, outward: int, *, embedding: int, resample: str, dropout: float) -> None:
        super().__init__()
        self.resample = resample
        self.norm_in = NormSiLU(_groups(inward), inward)
        self.conv_in = nn.Conv2d(inward, outward, 3, padding=1)
        self.scale_shift = nn.Linear(embedding, 2 * outward)
        self.norm_out = NormSiLU(_groups(outward), outward)
        self.dropout = Dropout(dropout)
        self.conv_out = _zero(nn.Conv2d(outward, outward, 3, padding=1))
        self.skip = nn.Identity() if inward == outward else nn.Conv2d(inward, outward, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, inward, H, W), (B, embedding) -> (B, outward, H', W')."""
        h = self.conv_in(self._resize(self.norm_in(x)))
        scale, shift = self.scale_shift(F.silu(embedding)).chunk(2, dim=1)
        h = self.conv_out(self.dropout(self.norm_out(h, scale, shift)))
        return self.skip(self._resize(x)) + h  # type: ignore[no-any-return]

    def _resize(self, x: Tensor) -> Tensor:
        if self.resample == "down":
            return F.avg_pool2d(x, 2)
        if self.resample == "up":
            return F.interpolate(x, scale_factor=2, mode="nearest")
        return x


class Attention(nn.Module):
    """Single-head self-attention over all positions, with a skip.

    Args:
        channels: channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_groups(channels), channels)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.project = _zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        query, key, value = self.to_qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=2)  # (B, HW, C) each
        mixed = F.scaled_dot_product_attention(query, key, value)
        return x + self.project(mixed.transpose(1, 2).reshape(x.shape))  # type: ignore[no-any-return]


def _groups(channels: int) -> int:
    """GroupNorm's 32 groups, or the largest divisor of 32 that divides the channels too."""
    return math.gcd(32, channels)


def _zero(convolution: nn.Conv2d) -> nn.Conv2d:
    """Start a convolution at zero, so that the branch it ends adds nothing at first."""
    nn.init.zeros_(convolution.weight)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return convolution
