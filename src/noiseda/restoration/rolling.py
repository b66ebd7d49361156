"""Blocks of an image, strip by strip: rows are transformed as groups reach them, and become pixels when left."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.restoration.pilots import SIDE
from noiseda.restoration.similar_blocks import REACH, STEP, TOGETHER

_POSITIONS = 25_000  # of a strip of the image: its coefficients take 100 MB
_STRETCH = 128  # rows of positions of a stretch: between two, rows are transformed twice
_ROWS = 16  # rows of positions that are transformed, or become pixels, at once
_LARGEST = 2**25  # numbers of sums whose memory is kept for later ones: 128 MB

_T = TypeVar("_T")
_SPARE: deque[Tensor] = deque()


@dataclass(frozen=True)
class Stretch:
    """Strips that follow one another.

    Attributes:
        image: its number in the batch.
        strips: the first row of positions of each, and the one after its last.
    """

    image: int
    strips: tuple[tuple[int, int], ...]


def stretches(planes: Tensor) -> list[Stretch]:
    """All strips of images (B, D, H, W), in order."""
    height, width = planes.shape[-2:]
    rows, last = max(STEP * TOGETHER, _POSITIONS // width // STEP * STEP), height - SIDE + 1
    strips = [(first, min(first + rows, last)) for first in range(0, last, rows)]
    together = max(1, _STRETCH // rows)
    parts = [tuple(strips[at : at + together]) for at in range(0, len(strips), together)]
    return [Stretch(image, part) for image in range(len(planes)) for part in parts]


def side_by_side(measure: Callable[[Stretch], _T], parts: list[Stretch]) -> Iterator[_T]:
    """What is found of each stretch, in order. Each core has stretches of its own: small products do not share well."""

    @torch.no_grad()  # each thread knows for itself whether there are gradients
    def alone(stretch: Stretch) -> _T:
        if cores > 1:
            torch.set_num_threads(1)
        return measure(stretch)

    cores = min(torch.get_num_threads(), len(parts))
    if cores < 2:
        yield from map(alone, parts)
        return
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(cores, "stretch") as pool:
            yield from pool.map(alone, parts)
    finally:
        torch.set_num_threads(before)


class Rolling:
    """The blocks of a stretch that are near a strip, and weighted sums of what became of each.

    They lie in a ring: row r of the image's positions is row r % R. So each row is transformed once, and becomes pixels
    once, however many strips reach it.

    Args:
        stretch: the strips.
        images: planes (D, H, W) whose blocks are needed, alike in size.
        transform: planes (D, h + 7, W) -> blocks (h, W - 7, D * 64).
        many: sums of each block.

    Attributes:
        blocks: of each image, (R * (W - 7), D * 64).
        totals: (T, R * (W - 7), D * 64), weighted sums.
        weights: (T, R * (W - 7), D), sums of weights.
        top: first row of positions that is reached.
    """

    def __init__(
        self, stretch: Stretch, images: list[Tensor], transform: Callable[[Tensor], Tensor], many: int
    ) -> None:
        depth, height, width = images[0].shape
        self._images, self._transform, self._end = images, transform, stretch.strips[-1][1]
        self._last = height - SIDE + 1
        self.top, self._bottom = max(stretch.strips[0][0] - REACH, 0), min(self._end + REACH, self._last)
        highest = max(after - first for first, after in stretch.strips)
        self._rows, self._width = min(highest + 2 * REACH, self._bottom - self.top), width - SIDE + 1
        size, count = self._rows * self._width, depth * SIDE**2
        self.blocks = [image.new_empty(size, count) for image in images]
        self._memory = _zeros(many * size * (count + depth))
        all_totals, all_weights = many * size * count, many * size * depth
        self.totals = self._memory[:all_totals].view(many, size, count)
        self.weights = self._memory[all_totals : all_totals + all_weights].view(many, size, depth)
        self._known = self._left = self.top
        # Sums of pixels, and of their weights.
        self._sums = images[0].new_zeros(2, many, self._bottom - self.top + SIDE - 1, width, depth)

    def places(self, positions: Tensor) -> Tensor:
        """Where in the ring blocks lie whose positions in the image are row * (W - 7) + column."""
        return positions % (self._rows * self._width)

    def reach(self, after: int) -> None:
        """Transform what a strip needs that ends before a row."""
        for rows, ring in self._pieces(self._known, min(after + REACH, self._last)):
            for blocks, image in zip(self.blocks, self._images, strict=True):
                blocks[ring] = self._transform(image[:, rows.start : rows.stop + SIDE - 1]).flatten(0, 1)
        self._known = min(after + REACH, self._last)

    def leave(self, after: int, basis: Tensor) -> None:
        """Make pixels of what no strip will reach any more that begins at a row; and room for others.

        Args:
            after: that row; the last row of the stretch leaves all.
            basis: as :func:`overlapped` takes it.
        """
        row = self._bottom if after == self._end else max(after - REACH, self._left)
        for rows, ring in self._pieces(self._left, row):
            lines = slice(rows.start - self.top, rows.stop - self.top + SIDE - 1)
            for number, (totals, weights) in enumerate(zip(self.totals, self.weights, strict=True)):
                size = (rows.stop - rows.start, self._width, -1)
                self._sums[0, number, lines] += overlapped(totals[ring].reshape(size), basis)
                self._sums[1, number, lines] += spread(weights[ring].reshape(size))
                totals[ring].zero_()
                weights[ring].zero_()
        self._left = row

    def result(self) -> Tensor:
        """The sums of pixels and of their weights, (2, T, h, W, D), once all was left; memory goes to the next."""
        if self._memory.numel() <= _LARGEST:
            _SPARE.append(self._memory)
        return self._sums

    def _pieces(self, first: int, after: int) -> Iterator[tuple[slice, slice]]:
        """Rows, and their places in the ring; some at a time, and never across its end."""
        while first < after:
            stop = min(after, first + _ROWS, (first // self._rows + 1) * self._rows)
            start = first % self._rows * self._width
            yield slice(first, stop), slice(start, start + (stop - first) * self._width)
            first = stop


def _zeros(count: int) -> Tensor:
    """So many zeros, or more; in memory that was used before, if there is any: new memory costs more than its use."""
    try:
        spare = _SPARE.pop()
    except IndexError:
        spare = None
    if spare is not None and spare.numel() >= count:
        return spare
    with torch.inference_mode(False):
        return torch.zeros(count, dtype=torch.float32, device="cpu")


def overlapped(blocks: Tensor, basis: Tensor) -> Tensor:
    """The sum of transformed blocks where they lie.

    Args:
        blocks: (h, w, D * 64).
        basis: of the transform along one side, (8, 8); each row is a cosine.

    Returns:
        (h + 7, w + 7, D).
    """
    height, width, size = blocks.shape
    across = (blocks.reshape(-1, SIDE) @ basis).view(height, width, -1, SIDE)
    lines = blocks.new_zeros(height, width + SIDE - 1, size // SIDE)
    for shift in range(SIDE):
        lines[:, shift : shift + width] += across[..., shift]
    down = (lines.view(-1, SIDE) @ basis).view(height, width + SIDE - 1, -1, SIDE)
    total = blocks.new_zeros(height + SIDE - 1, width + SIDE - 1, size // SIDE**2)
    for shift in range(SIDE):
        total[shift : shift + height] += down[..., shift]
    return total


def spread(weights: Tensor) -> Tensor:
    """What each pixel gets of the weights of the blocks that lie over it; (h, w, D) -> (h + 7, w + 7, D)."""
    planes = F.pad(weights.permute(2, 0, 1)[:, None], (SIDE - 1,) * 4)
    means = F.avg_pool2d(F.avg_pool2d(planes, (1, SIDE), stride=1), (SIDE, 1), stride=1)
    return means[:, 0].permute(1, 2, 0) * SIDE**2
