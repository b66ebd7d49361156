"""The bare noise predictor: a U-Net with residual blocks, conditioned on a scalar.

Of the guided-diffusion kind (Dhariwal and Nguyen, arXiv 2105.05233): GroupNorm(32) and SiLU, a scale-shift embedding of
the level, resampling inside residual blocks, attention in the middle (and at the levels that are asked for),
zero-initialised outputs of every residual branch and of the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.diffusion.conditioning import ConditionBy, Conditioning, PredictorLayout, build_conditioning
from noiseda.diffusion.layers import Dropout, NormSiLU, groups_of, run_block, zeroed
from noiseda.dims import AVERAGES, CONVOLUTIONS, check_dims, fold, unfold


class NoisePredictor(nn.Module):
    """Predicts the noise in a signal from the signal, its conditions and the noise level.

    ``NoisePredictor()`` is of the paper's size: 62.6 million parameters for images of 3 channels and two conditions. As
    there, the conditions are concatenated with the noised signal, channel by channel, unless another way is asked for.

    >>> small = NoisePredictor(width=16, channel_mults=(1, 2), condition_by="modulation", attention_levels=(1,))
    >>> small.multiple_of
    2

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
        condition_by: how it looks at its conditions: a name of
            :data:`noiseda.diffusion.conditioning.CONDITIONING`, or what makes a
            :class:`~noiseda.diffusion.conditioning.Conditioning` for a layout, such as its class.
        attention_levels: levels with self-attention after each of their residual blocks, on the way down and up,
            counted from 0, the finest.

    Raises:
        ValueError: where ``dims``, ``condition_by`` or one of ``attention_levels`` is none that there is.

    Attributes:
        multiple_of: sides of signals are multiples of this.
        conditioning: how it looks at its conditions.
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
        condition_by: ConditionBy = "concatenation",
        attention_levels: Sequence[int] = (),
    ) -> None:
        super().__init__()
        check_dims(dims)
        if not set(attention_levels) <= set(range(len(channel_mults))):
            raise ValueError(f"attention_levels must be of 0 to {len(channel_mults) - 1}, not {attention_levels}")
        embedding, coarsest = 4 * width, len(channel_mults) - 1
        self.channels, self.conditions, self.patch_size = channels, conditions, patch_size
        self.multiple_of = patch_size * 2 ** (len(channel_mults) - 1)
        self.conditioning = build_conditioning(
            condition_by,
            PredictorLayout(channels, conditions, tuple(width * m for m in channel_mults), patch_size, dims=dims),
        )
        self.embed = LevelEmbedding(width, embedding)
        self.first = CONVOLUTIONS[dims](self.conditioning.joined * channels * patch_size**dims, width, 3, padding=1)

        def block(a: int, b: int, level: int, resample: str = "", attends: bool = False) -> ResidualBlock:
            return ResidualBlock(
                a, b, embedding=embedding, resample=resample, dropout=dropout, dims=dims, attention=attends,
                conditioning=self.conditioning, level=level,
            )  # fmt: skip

        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        current, skips = width, [width]
        for level, multiplier in enumerate(channel_mults):
            for _ in range(blocks):
                self.down.append(block(current, width * multiplier, level, attends=level in attention_levels))
                current = width * multiplier
                skips.append(current)
            if level + 1 < len(channel_mults):
                self.down.append(block(current, current, level, "down"))
                skips.append(current)
        self.middle = nn.ModuleList([block(current, current, coarsest), block(current, current, coarsest)])
        self.attend = Attention(current, dims=dims) if attention else nn.Identity()
        for level, multiplier in reversed(list(enumerate(channel_mults))):
            for _ in range(blocks + 1):
                self.up.append(
                    block(current + skips.pop(), width * multiplier, level, attends=level in attention_levels)
                )
                current = width * multiplier
            if level:
                self.up.append(block(current, current, level, "up"))
        self.norm = NormSiLU(groups_of(current), current)
        self.last = zeroed(CONVOLUTIONS[dims](current, channels * patch_size**dims, 3, padding=1))

    def forward(self, y_t: Tensor, conditions: tuple[Tensor, ...], level: Tensor) -> Tensor:
        """Predict noise.

        Args:
            y_t: (B, C, *spatial) noised signals, sides multiples of ``multiple_of``, values around [-1, 1].
            conditions: as many signals of the same shape as were announced.
            level: (B,) noise levels, spread over a range of about 0 to 1000.

        Returns:
            (B, C, *spatial).
        """
        embedding = self.embed(level)  # (B, E)
        seen = self.conditioning(conditions)
        x = self.first(fold(self.conditioning.join(y_t, conditions), self.patch_size))  # (B, W, *spatial / patch_size)
        x = self.conditioning.add(x, seen)
        skips = [x]
        for block in self.down:
            x = self._run(block, x, embedding, seen)
            skips.append(x)
        x = self._run(self.middle[1], self.attend(self._run(self.middle[0], x, embedding, seen)), embedding, seen)
        for block in self.up:
            x = self._run(block, x if block.resample else torch.cat([x, skips.pop()], dim=1), embedding, seen)
        return unfold(self.last(self.norm(x)), self.patch_size)

    def _run(self, block: nn.Module, x: Tensor, embedding: Tensor, seen: tuple[Tensor, ...]) -> Tensor:
        return run_block(block, x, embedding, seen, recompute=self.recompute)


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
        attention: self-attention after it.
        conditioning: how the predictor looks at its conditions; by default the block does not.
        level: of its input, of the predictor.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        embedding: int,
        resample: str,
        dropout: float,
        dims: int = 2,
        attention: bool = False,
        conditioning: Conditioning | None = None,
        level: int = 0,
    ) -> None:
        super().__init__()
        convolution = CONVOLUTIONS[dims]
        after = level + {"": 0, "down": 1, "up": -1}[resample]
        self.resample = resample
        self.norm_in = _norm(conditioning, in_channels, level)
        self.conv_in = convolution(in_channels, out_channels, 3, padding=1)
        self.scale_shift = nn.Linear(embedding, 2 * out_channels)
        self.norm_out = _norm(conditioning, out_channels, after)
        self.dropout = Dropout(dropout)
        self.conv_out = zeroed(convolution(out_channels, out_channels, 3, padding=1))
        self.skip = nn.Identity() if in_channels == out_channels else convolution(in_channels, out_channels, 1)

        self.attend = Attention(out_channels, dims=dims) if attention else None
        self.look = conditioning.look(out_channels, after) if conditioning is not None and not resample else None

    def forward(self, x: Tensor, embedding: Tensor, seen: tuple[Tensor, ...] = ()) -> Tensor:
        """(B, in_channels, *spatial), (B, embedding) -> (B, out_channels, *spatial, half or double).

        ``seen`` is what the conditioning sees of the conditions.
        """
        h = self.conv_in(self._resize(self.norm_in(x, seen=seen)))
        scale, shift = self.scale_shift(F.silu(embedding)).chunk(2, dim=1)
        h = self.conv_out(self.dropout(self.norm_out(h, scale, shift, seen)))
        h = self.skip(self._resize(x)) + h
        h = h if self.attend is None else self.attend(h)
        return h if self.look is None else self.look(h, seen)  # type: ignore[no-any-return]

    def _resize(self, x: Tensor) -> Tensor:
        if self.resample == "down":
            return AVERAGES[x.ndim - 2](x, 2)
        if self.resample == "up":
            return F.interpolate(x, scale_factor=2, mode="nearest")
        return x


def _norm(conditioning: Conditioning | None, channels: int, level: int) -> NormSiLU:
    return NormSiLU(groups_of(channels), channels) if conditioning is None else conditioning.norm(channels, level)


class Attention(nn.Module):
    """Single-head self-attention over all positions, with a skip.

    Args:
        channels: channels in and out.
        dims: spatial dimensions.
    """

    def __init__(self, channels: int, *, dims: int = 2) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups_of(channels), channels)
        self.to_qkv = CONVOLUTIONS[dims](channels, 3 * channels, 1)
        self.project = zeroed(CONVOLUTIONS[dims](channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same."""
        query, key, value = self.to_qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=2)  # (B, places, C) each
        mixed = F.scaled_dot_product_attention(query, key, value)
        return x + self.project(mixed.transpose(1, 2).reshape(x.shape))  # type: ignore[no-any-return]
