"""A noise predictor with a large receptive field: a transformer over patches, each of which attends to all.

Of the DiT kind (Peebles and Xie, "Scalable Diffusion Models with Transformers", arXiv 2212.09748, adaLN-zero).
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.diffusion.conditioning import ConditionBy, PredictorLayout, Seen, build_conditioning
from noiseda.diffusion.layers import Dropout, normalise_channels, run_block, zeroed
from noiseda.diffusion.positions import sine_cosine
from noiseda.diffusion.predictor import LevelEmbedding
from noiseda.dims import CONVOLUTIONS, append_dims, check_dims, fold, unfold

HEAD = 32
"""Channels of an attention head, or as few more as divide the width."""


class TransformerPredictor(nn.Module):
    """Predicts the noise in a signal from the signal, its conditions and the noise level, by attention between patches.

    ``TransformerPredictor()`` has the size of DiT-S/2: 32.5 million parameters for images of 3 channels.

    >>> TransformerPredictor(width=64, blocks=2, patch_size=4, dims=1).multiple_of
    4

    Args:
        channels: channels of the signal, and of each condition.
        conditions: how many signals it is conditioned on.
        width: channels of each token.
        blocks: how many blocks there are, each attention and a perceptron of one hidden layer.
        patch_size: side of the patches that are a token each. Attention costs the square of their number.
        dropout: dropout rate inside the perceptrons.
        dims: spatial dimensions of the signal: 1, 2 or 3.
        condition_by: how it looks at its conditions, as for :class:`noiseda.NoisePredictor`. Its one level is that of
            the tokens.

    Raises:
        ValueError: where ``dims`` or ``condition_by`` is none that there is.

    Attributes:
        multiple_of: sides of signals are multiples of this.
        conditioning: how it looks at its conditions.
        recompute: whether the backward pass computes the inside of the blocks anew, to save memory.
    """

    recompute = False

    def __init__(
        self,
        *,
        channels: int = 3,
        conditions: int = 2,
        width: int = 384,
        blocks: int = 12,
        patch_size: int = 2,
        dropout: float = 0.0,
        dims: int = 2,
        condition_by: ConditionBy = "concatenation",
    ) -> None:
        super().__init__()
        check_dims(dims)
        convolution, folded = CONVOLUTIONS[dims], channels * patch_size**dims
        self.channels, self.conditions, self.patch_size = channels, conditions, patch_size
        self.multiple_of = patch_size
        layout = PredictorLayout(channels, conditions, (width,), patch_size, dims=dims)
        self.conditioning = by = build_conditioning(condition_by, layout)
        self.embed = LevelEmbedding(width, width)
        self.first = convolution(by.joined * folded, width, 1)
        self.blocks = nn.ModuleList()
        for _ in range(blocks):
            look, modulator = by.look(width, 0), by.modulator(6 * width, 0)
            self.blocks.append(TokenBlock(width, dropout=dropout, dims=dims, look=look, modulator=modulator))
        self.modulate = LevelModulation(width, 2 * width)
        self.last = zeroed(convolution(width, folded, 1))

    def forward(self, y_t: Tensor, conditions: tuple[Tensor, ...], level: Tensor) -> Tensor:
        """Predict noise.

        Args:
            y_t: (B, C, *spatial) noised signals, sides multiples of ``multiple_of``, values around [-1, 1].
            conditions: as many signals of the same shape as were announced.
            level: (B,) noise levels, spread over a range of about 0 to 1000.

        Returns:
            (B, C, *spatial).
        """
        embedding = self.embed(level)  # (B, W)
        seen = self.conditioning(conditions)
        x = self.first(fold(self.conditioning.join(y_t, conditions), self.patch_size))  # (B, W, *spatial / patch_size)
        x = x + sine_cosine(x.shape[2:], x.shape[1], device=x.device).to(x.dtype)
        x = self.conditioning.add(x, seen)
        for block in self.blocks:
            x = run_block(block, x, embedding, seen, recompute=self.recompute)
        scale, shift = self.modulate(embedding, x.ndim - 2).chunk(2, dim=1)
        return unfold(self.last(normalise_channels(x) * (1 + scale) + shift), self.patch_size)


class TokenBlock(nn.Module):
    """Attention between tokens, then a perceptron of each: both modulated by the level, both with a skip.

    x + gate f((1 + scale) norm(x) + shift). Scale, shift and gate come from the level, by a dense layer that starts at
    zero (adaLN-zero), and from the conditions where these modulate. So a block starts as the identity.

    Args:
        width: channels of each token.
        dropout: dropout rate inside the perceptron.
        dims: spatial dimensions.
        look: a layer that looks at the conditions after the attention; None for none.
        modulator: what modulates the block, from the conditions: six values a channel; None for none.
        attention: without, a place sees itself alone, and the block has three values a channel.
    """

    def __init__(
        self,
        width: int,
        *,
        dropout: float,
        dims: int,
        look: nn.Module | None = None,
        modulator: nn.Module | None = None,
        attention: bool = True,
    ) -> None:
        super().__init__()
        convolution = CONVOLUTIONS[dims]
        self.modulate = LevelModulation(width, (6 if attention else 3) * width, modulator)
        self.attend = SelfAttention(width, dims=dims) if attention else None
        self.look = look
        self.perceptron = nn.Sequential(
            convolution(width, 4 * width, 1),
            nn.GELU(approximate="tanh"),
            Dropout(dropout),
            convolution(4 * width, width, 1),
        )

    def forward(self, x: Tensor, embedding: Tensor, seen: Seen = ()) -> Tensor:
        """(B, W, *grid) tokens, (B, W) the level's vector, and what is seen of the conditions -> (B, W, *grid)."""
        scale, shift, gate, *more = self.modulate(embedding, x.ndim - 2, seen).split(x.shape[1], dim=1)
        if self.attend is not None:
            x = x + gate * self.attend(normalise_channels(x) * (1 + scale) + shift)
            scale, shift, gate = more
        if self.look is not None:
            x = self.look(x, seen)
        return x + gate * self.perceptron(normalise_channels(x) * (1 + scale) + shift)  # type: ignore[no-any-return]


class LevelModulation(nn.Module):
    """What modulates a block: a dense layer of the level's vector that starts at zero, and what the conditions add.

    Args:
        embedding: length of the level's vector.
        outputs: channels out.
        modulator: what is seen of the conditions -> (B, outputs, *spatial); None for none.
    """

    def __init__(self, embedding: int, outputs: int, modulator: nn.Module | None = None) -> None:
        super().__init__()
        self.dense = zeroed(nn.Linear(embedding, outputs))
        self.modulator = modulator

    def forward(self, embedding: Tensor, dims: int, seen: Seen = ()) -> Tensor:
        """(B, embedding) -> (B, outputs, *spatial), whose sides are 1 where the conditions add nothing."""
        found = append_dims(self.dense(F.silu(embedding)), dims + 2)
        return found if self.modulator is None else found + self.modulator(seen)


class SelfAttention(nn.Module):
    """Multi-head self-attention over all places.

    Args:
        width: channels in and out.
        dims: spatial dimensions.
    """

    def __init__(self, width: int, *, dims: int) -> None:
        super().__init__()
        self.heads = math.gcd(width, max(1, width // HEAD))
        self.to_qkv = CONVOLUTIONS[dims](width, 3 * width, 1)
        self.project = CONVOLUTIONS[dims](width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, W, *grid) -> the same."""
        rows = self.to_qkv(x).flatten(2).unflatten(1, (3, self.heads, -1)).transpose(3, 4)  # (B, 3, heads, places, .)
        mixed = F.scaled_dot_product_attention(*rows.unbind(1))  # (B, heads, places, W / heads)
        return self.project(mixed.transpose(2, 3).reshape(x.shape))  # type: ignore[no-any-return]
