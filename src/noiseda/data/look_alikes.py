"""Look-alikes: clean photographs degraded as the user's own look, so that a restorer can be scored without their truth.

How well a score on them goes along with the truth is measured by ``noiseda compare`` (docs/results.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from noiseda.data.degradations import Degradation
from noiseda.data.draws import integer

SIDE = 128
"""Side of the pairs, in pixels, where the photographs are as large."""


def look_alikes(
    degrade: Degradation, clean: Sequence[Tensor], count: int, generator: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """Cut patches from clean photographs, taken in turn, and degrade them.

    Args:
        degrade: what the user's photographs went through (:mod:`noiseda.data.matching`).
        clean: clean images (C, H, W) in [0, 1].
        count: number of pairs.
        generator: source of every draw.

    Returns:
        Degraded and clean patches (C, S, S), S at most 128, in [0, 1]; the degraded ones in steps of 1/255, as in a
        file.
    """
    margin, pairs = degrade.margin, []
    for index in range(count):
        image = clean[index % len(clean)]
        height, width = (min(length, SIDE + 2 * margin) for length in image.shape[-2:])
        top = integer(0, image.shape[-2] - height, generator)
        left = integer(0, image.shape[-1] - width, generator)
        y = image[:, top : top + height, left : left + width]
        x = (degrade(y, generator).clamp(0, 1) * 255).round() / 255
        inner = (slice(None), *(slice(margin, length - margin) for length in (height, width)))
        pairs.append((x[inner], y[inner]))
    return pairs
