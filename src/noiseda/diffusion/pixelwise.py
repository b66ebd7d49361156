"""A noise predictor of single places: how far a judge gets that sees no structure at all."""

from __future__ import annotations

from torch import Tensor, nn

from noiseda.diffusion.conditioning import ConditionBy, PredictorLayout, build_conditioning
from noiseda.diffusion.layers import normalise_channels, run_block, zeroed
from noiseda.diffusion.predictor import LevelEmbedding
from noiseda.diffusion.transformer import LevelModulation, TokenBlock
from noiseda.dims import CONVOLUTIONS, check_dims


class PixelPredictor(nn.Module):
    """Predicts the noise of each place from that place of the signal and of its conditions, and from the noise level.

    A perceptron with residual blocks, modulated by the level: the blocks of :class:`noiseda.TransformerPredictor`
    without attention. It is the lower bound of what a predictor can see: values and colours, and neither edges nor
    texture.

    Args:
        channels: channels of the signal, and of each condition.
        conditions: how many signals it is conditioned on.
        width: channels of each place.
        blocks: residual blocks, each a perceptron of one hidden layer.
        dropout: dropout rate inside the blocks.
        dims: spatial dimensions of the signal: 1, 2 or 3.
        condition_by: how it looks at its conditions, as for :class:`noiseda.NoisePredictor`; not ``"cross-attention"``,
            which looks at all places.

    Raises:
        ValueError: where ``dims`` or ``condition_by`` is none that there is.

    Attributes:
        multiple_of: sides of signals are multiples of this: 1.
        conditioning: how it looks at its conditions.
        recompute: whether the backward pass computes the inside of the blocks anew, to save memory.
    """

    recompute = False
    multiple_of = 1

    def __init__(
        self,
        *,
        channels: int = 3,
        conditions: int = 2,
        width: int = 64,
        blocks: int = 3,
        dropout: float = 0.0,
        dims: int = 2,
        condition_by: ConditionBy = "concatenation",
    ) -> None:
        super().__init__()
        check_dims(dims)
        convolution = CONVOLUTIONS[dims]
        self.channels, self.conditions = channels, conditions
        layout = PredictorLayout(channels, conditions, (width,), kernel=1, dims=dims)
        self.conditioning = by = build_conditioning(condition_by, layout)
        self.embed = LevelEmbedding(width, width)
        self.first = convolution(by.joined * channels, width, 1)
        self.blocks = nn.ModuleList()
        for _ in range(blocks):
            look, modulator = by.look(width, 0), by.modulator(3 * width, 0)
            self.blocks.append(
                TokenBlock(width, dropout=dropout, dims=dims, look=look, modulator=modulator, attention=False)
            )
        self.modulate = LevelModulation(width, 2 * width)
        self.last = zeroed(convolution(width, channels, 1))

    def forward(self, y_t: Tensor, conditions: tuple[Tensor, ...], level: Tensor) -> Tensor:
        """Predict noise.

        Args:
            y_t: (B, C, *spatial) noised signals of any size, values around [-1, 1].
            conditions: as many signals of the same shape as were announced.
            level: (B,) noise levels, spread over a range of about 0 to 1000.

        Returns:
            (B, C, *spatial).
        """
        embedding = self.embed(level)  # (B, W)
        seen = self.conditioning(conditions)
        x = self.conditioning.add(self.first(self.conditioning.join(y_t, conditions)), seen)  # (B, W, *spatial)
        for block in self.blocks:
            x = run_block(block, x, embedding, seen, recompute=self.recompute)
        scale, shift = self.modulate(embedding, x.ndim - 2).chunk(2, dim=1)
        return self.last(normalise_channels(x) * (1 + scale) + shift)  # type: ignore[no-any-return]
