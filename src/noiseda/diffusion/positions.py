"""Where a place is, as a vector that networks can look at."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def sine_cosine(
    spatial: Sequence[int], channels: int, *, step: float = 1.0, device: torch.device | None = None
) -> Tensor:
    """Sines and cosines of each place's coordinates, of geometric wavelengths, which need no weights and fit any size.

    Each axis has an equal share of the channels: sin(w_i p), then cos(w_i p), with w_i = 10^(-4 i / n). Channels that
    are left over are 0. After Vaswani et al., arXiv 1706.03762, axis by axis.

    Args:
        spatial: number of places along each axis.
        channels: length of each vector.
        step: distance of two neighbours. The centre of a place lies at (i + 1/2) step - 1/2, so that places of several
            sizes have common coordinates.
        device: where the result is.

    Returns:
        (channels, *spatial) float32, in [-1, 1].

    >>> sine_cosine([3], 2)[0]
    tensor([0.0000, 0.8415, 0.9093])
    """
    waves = channels // (2 * len(spatial))
    frequencies = 1e4 ** (-torch.arange(waves, device=device) / max(waves, 1))
    parts = []
    for axis, size in enumerate(spatial):
        angles = frequencies[:, None] * ((torch.arange(size, device=device) + 0.5) * step - 0.5)  # (waves, size)
        shape = [2 * waves, *(size if one == axis else 1 for one in range(len(spatial)))]
        parts.append(torch.cat([angles.sin(), angles.cos()]).reshape(shape).expand(2 * waves, *spatial))
    rest = channels - 2 * waves * len(spatial)
    return torch.cat([*parts, torch.zeros(rest, *spatial, device=device)])
