"""Channel shuffling: the noise predictor must not learn which condition is the real one (arXiv 2406.18516)."""

from __future__ import annotations

import torch
from torch import Tensor

from noiseda.diffusion_settings import Shuffle
from noiseda.dims import append_dims


def draw_order(mode: Shuffle, count: int, channels: int, generator: torch.Generator) -> Tensor:
    """Draw an order of the channels of two conditions, sample by sample.

    Args:
        mode: ``blocks`` swaps the two conditions as wholes with probability 1/2; ``channels`` permutes all channels;
            ``off`` keeps them in place.
        count: number of samples, B.
        channels: channels of one condition, C.
        generator: source of the draw.

    Returns:
        (B, 2C) int64: a permutation of 0..2C-1 a row.
    """
    stay = torch.arange(2 * channels).expand(count, -1)
    if mode == "off":
        return stay
    if mode == "channels":
        return torch.rand(count, 2 * channels, generator=generator).argsort(dim=1)
    swap = torch.randint(2, (count, 1), generator=generator)
    return (stay + channels * swap) % (2 * channels)


def shuffle(first: Tensor, second: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Two conditions with their channels in the drawn order.

    Args:
        first: (B, C, *spatial).
        second: the same shape.
        order: (B, 2C) from :func:`draw_order`.

    Returns:
        As many conditions, (B, C, *spatial) each.
    """
    stacked = torch.cat([first, second], dim=1)
    shuffled = stacked.gather(1, append_dims(order, stacked.ndim).expand_as(stacked))
    one, other = shuffled.chunk(2, dim=1)
    return one, other
