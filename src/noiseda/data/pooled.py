"""Batches whose patches are cut from larger crops that were degraded once: a degradation's cost is shared by many.

A camera's margin and JPEG make a degraded patch of 64 pixels about twice as expensive as its share of a crop of 256. A
block of crops serves a stretch of batches; each batch takes its patches from as many crops as it has samples, so that
it is as varied as others are.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from noiseda.data.batches import Batch, Images, generator
from noiseda.data.degradations import Degrade, degraded, prepared

Crops = tuple[Tensor, Tensor, list[str]]
"""Degraded and clean crops, (crops, C, crop, crop) each, and the names of the files that they were cut from."""


class PooledBatches:
    """Batches by number, each a pure function of the seed and its number: a block is made again where it is needed.

    Args:
        images: clean images.
        degrade: what their crops go through.
        size: samples in a batch.
        patch: side of the patches in pixels.
        seed: the run's seed.
        crop: side of the crops in pixels.
        crops: how many are in a block.
        channels: 1 or 3.
        rank: number of this process among those that train together; each draws its own crops.
        gradient_accumulation: batches of a process in an optimiser step.
        ahead: whether a thread makes the next block while batches are drawn from the last.

    Raises:
        ValueError: a crop is smaller than a patch, or a block has fewer crops than a batch has samples.
    """

    def __init__(
        self,
        images: Images,
        degrade: Degrade,
        *,
        size: int,
        patch: int,
        seed: int,
        crop: int = 256,
        crops: int = 64,
        channels: int = 3,
        rank: int = 0,
        gradient_accumulation: int = 1,
        ahead: bool = False,
    ) -> None:
        if crop < patch or crops < size:
            raise ValueError(f"{crops} crops of {crop} pixels are too few or small for {size} patches of {patch}")
        self.images, self.degrade = images, degrade
        self.size, self.patch, self.seed, self.gradient_accumulation = size, patch, seed, gradient_accumulation
        self.crop, self.crops, self.channels, self.rank = crop, crops, channels, rank
        # A block gives as many pixels as it has.
        self.stretch = max(crops * crop**2 // (size * patch**2), 1)
        self._block: tuple[int, Crops] | None = None
        self._next: tuple[int, Future[Crops]] | None = None
        self._thread = ThreadPoolExecutor(1, "block") if ahead else None

    def __getitem__(self, number: int) -> Batch:
        """Batch ``number``."""
        x, y, names = self._crops(number // self.stretch)
        draw = generator(self.seed, "pooled", self.rank, number)
        chosen = torch.randperm(self.crops, generator=draw)[: self.size]
        places = torch.randint(self.crop - self.patch + 1, (self.size, 2), generator=draw)
        inputs, targets = [], []
        for index, (top, left) in zip(chosen.tolist(), places.tolist(), strict=True):
            inner = (index, slice(None), slice(top, top + self.patch), slice(left, left + self.patch))
            inputs.append(x[inner])
            targets.append(y[inner])
        return Batch(
            torch.stack(inputs), torch.stack(targets), None, None, tuple(names[index] for index in chosen.tolist())
        )

    def generators(self, purpose: str, number: int) -> list[torch.Generator]:
        """A generator for each sample of batch ``number``, of its own for each purpose."""
        return [generator(self.seed, purpose, self.rank, number, sample) for sample in range(self.size)]

    def _crops(self, block: int) -> Crops:
        """Those of a block, kept until another is asked for."""
        if self._block is None or self._block[0] != block:
            waited_for = self._next is not None and self._next[0] == block
            self._block = (block, self._next[1].result() if self._next and waited_for else self.make(block))
            if self._thread is not None:
                self._next = (block + 1, self._thread.submit(self.make, block + 1))
        return self._block[1]

    def make(self, block: int) -> Crops:
        """Make a block."""
        margin = getattr(self.degrade, "margin", 0)
        inner = slice(margin, margin + self.crop)
        x, y = torch.empty(2, self.crops, self.channels, self.crop, self.crop)
        names = []
        for index in range(self.crops):
            draw = generator(self.seed, "crop", self.rank, block, index)
            found, (clean,) = self.images.draw(index, self.crop + 2 * margin, draw, self.channels)
            names.append(found[0])
            clean = prepared(self.degrade, clean, draw)
            x[index] = degraded(self.degrade, clean, draw)[:, inner, inner]
            y[index] = clean[:, inner, inner]
        return x, y, names
