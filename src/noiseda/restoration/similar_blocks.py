"""Blocks of 8 x 8 pixels, and which of those around it each of them resembles most."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

REACH = 12
"""How far from a block similar ones are looked for, in pixels, to each side."""

SIZE = 16
"""Blocks of a group."""

STEP = 4
"""Pixels from one block that gathers a group to the next."""

TOGETHER = 8
"""So many blocks to each side look for similar ones together, by one product of matrices."""

_NOWHERE = 1e9  # distance of a block outside the image


def similar(blocks: Tensor, first: int, last: int, places: Tensor) -> Tensor:
    """The groups of some rows.

    Args:
        blocks: (h, w, 64): the brightness of the block at each position, or its orthonormal transform.
        first: row of the first blocks that gather a group; each ``STEP``-th row and column has such blocks.
        last: the row after which there are none.
        places: :func:`windows`.

    Returns:
        (N, SIZE): positions row * w + column, the most similar first. Where there are fewer blocks within reach,
        the block itself stands for those missing.
    """
    height, width, _ = blocks.shape
    down, right = (len(range(*ends, STEP)) for ends in ((first, last), (0, width)))
    strips, columns = math.ceil(down / TOGETHER), math.ceil(right / TOGETHER)
    blocks = blocks - _grey(blocks)
    span, pace = _span(), STEP * TOGETHER
    after = [pace * (columns - 1) + span - REACH - width, pace * (strips - 1) + span - REACH - height + first]
    around = (REACH, max(after[0], 0), REACH, max(after[1], 0))
    padded = F.pad(blocks, (0, 0, *around))
    sizes = F.pad(blocks.square().sum(-1), around, value=_NOWHERE)
    own = torch.arange(TOGETHER, device=blocks.device) * STEP
    own = (own[:, None] * width + own).flatten()[:, None]
    middle = (2 * REACH + 1) ** 2 // 2
    found = []
    for top in range(first, first + strips * pace, pace):
        for left in range(0, columns * pace, pace):
            there = padded[top : top + span, left : left + span]
            gathering = there[REACH : REACH + pace : STEP, REACH : REACH + pace : STEP].flatten(0, 1)
            size = sizes[top : top + span, left : left + span].reshape(1, -1)
            distances = torch.addmm(size, gathering, there.flatten(0, 1).T, alpha=-2)
            distances = distances.gather(1, places)
            distances[:, middle] = -_NOWHERE  # itself, whatever is as similar
            least = distances.topk(SIZE, dim=1, largest=False)
            moved = _moved(least.values, least.indices, width) + own + top * width + left
            inside = (down - (top - first) // STEP, right - left // STEP)  # what lies beyond the last is left out
            found.append(torch.unflatten(moved, 0, (TOGETHER, -1))[: inside[0], : inside[1]].flatten(0, 1))
    return torch.cat(found)


def similar_everywhere(blocks: Tensor) -> Tensor:
    """As :func:`similar`, of all rows of images at once, without a loop whose length depends on the size.

    Args:
        blocks: (B, 64, h, w).

    Returns:
        (B, rows, columns, SIZE).
    """
    _, _, height, width = blocks.shape
    on, side = blocks.device, 2 * REACH + 1
    down, right = (STEP * torch.arange((length + STEP - 1) // STEP, device=on) for length in (height, width))
    gathering = blocks.index_select(2, down).index_select(3, right)[..., None]
    padded = F.pad(blocks, (REACH,) * 4)
    sizes = F.pad(blocks.square().sum(1), (REACH,) * 4, value=_NOWHERE)
    columns = (right[:, None] + torch.arange(side, device=on)).flatten()
    distances = []
    for shift in range(side):
        there = padded.index_select(2, down + shift).index_select(3, columns)
        size = sizes.index_select(1, down + shift).index_select(2, columns)
        products = (torch.unflatten(there, 3, (-1, side)) * gathering).sum(1)
        distances.append(torch.unflatten(size, 2, (-1, side)) - 2 * products)
    itself = torch.arange(side**2, device=on) == side**2 // 2
    least = torch.where(itself, -_NOWHERE, torch.cat(distances, dim=3)).topk(SIZE, dim=3, largest=False)
    return _moved(least.values, least.indices, width) + (down[:, None] * width + right)[..., None]


def _span() -> int:
    """Side of what blocks that look together look at."""
    return STEP * (TOGETHER - 1) + 2 * REACH + 1


def windows() -> Tensor:
    """For each block that looks, what it sees of what all of them look at; (blocks, (2 * REACH + 1)**2)."""
    own, seen = STEP * torch.arange(TOGETHER), torch.arange(2 * REACH + 1)
    rows, columns = own[:, None, None, None] + seen[:, None], own[:, None, None] + seen
    return (rows * _span() + columns).reshape(TOGETHER**2, -1)


def _moved(distances: Tensor, windowed: Tensor, width: int) -> Tensor:
    """How far blocks lie from the one that looks, in positions of rows so wide; 0 for those outside the image.

    Args:
        distances: to each.
        windowed: its number in the window that is looked at.
        width: positions of a row.
    """
    side = 2 * REACH + 1
    moved = (windowed // side - REACH) * width + windowed % side - REACH
    return torch.where(distances < _NOWHERE / 2, moved, 0)


def _grey(blocks: Tensor) -> Tensor:
    """A flat block of the mean brightness: distances between differences from it are exact to more digits."""
    grey = torch.zeros_like(blocks[0, 0])
    grey[0] = blocks[..., 0].mean()
    return grey
