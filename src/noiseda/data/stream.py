"""Images of shards: samples are drawn from a window of a few shards, which moves on through all of them.

The order of the shards is drawn anew for each pass. Which of them a sample is drawn from is a pure function of the seed
and the sample's number, so that it depends neither on the number of processes and workers nor on what came before.
"""

from __future__ import annotations

import functools
import threading
from pathlib import Path

import torch

from noiseda.data.batches import generator
from noiseda.data.cache import Drawn
from noiseda.data.download import NEVER
from noiseda.data.fetch import ShardCache
from noiseda.data.shards import Shard, ShardSet
from noiseda.data.unpacked import UnpackedShard
from noiseda.errors import UserError
from noiseda.precision import FULL


class ShardStream:
    """The images of a set of shards.

    Samples are numbered 0, 1, ...; each ``stretch`` of them is drawn from ``window`` shards, all of whose images are as
    likely. The next stretch leaves the first of these shards and takes up another. With no more shards than ``window``
    all are in it always.

    Args:
        shards: the set.
        cache: where decoded shards are.
        flag: the flag that named the set, for messages.
        seed: the run's seed.
        purpose: of the images in the run; each purpose has an order of its own.
        window: shards that samples are drawn from at a time.
        draws: how often an image is drawn in a pass, on average.
        white: see :class:`noiseda.data.cache.ImageStore`.

    Attributes:
        stretch: number of samples.
    """

    def __init__(
        self,
        shards: ShardSet,
        cache: ShardCache,
        *,
        flag: str,
        seed: int,
        purpose: str,
        window: int,
        draws: int,
        white: int = FULL,
    ) -> None:
        self.shards, self.cache = shards, cache
        self.window = window
        self.stretch = max(1, draws * len(shards) // len(shards.shards))
        self._white = white
        self._flag, self._seed, self._purpose = flag, seed, purpose
        self._all_at_once = len(shards.shards) <= window
        self._first = -1
        self._opened: list[tuple[Shard, UnpackedShard]] = []

    def __len__(self) -> int:
        return len(self.shards)

    @property
    def levels(self) -> float:
        """Steps from black to white in the deepest image of the first shard, which is fetched for it."""
        return float(self._white) if self._open(self._at(0)).deep else 255.0

    def needed(self, first: int, last: int) -> list[Shard]:
        """The shards that samples ``first`` to ``last`` are drawn from, in order, each once."""
        if self._all_at_once:
            return list(self.shards.shards)
        positions = range(first // self.stretch, last // self.stretch + self.window)
        return list(dict.fromkeys(self._at(position) for position in positions))

    def fetch(self, shard: Shard, stop: threading.Event = NEVER) -> Path:
        """Fetch and decode a shard, unless it is in the cache.

        Raises:
            UserError: naming the flag, the shard and what is wrong.
            Stopped: called off.
        """
        try:
            return self.cache.get(self.shards, shard, stop)
        except UserError as error:
            raise UserError(f"{self._flag}: {error}") from error

    def draw(self, sample: int, size: int, generator: torch.Generator, channels: int = 3) -> Drawn:
        """The names and a random patch of one image of the sample's window (of both of a pair).

        Args:
            sample: number of the sample in the run.
            size: side of the patch in pixels.
            generator: source of every draw.
            channels: 1 or 3.

        Raises:
            UserError: as :meth:`fetch`, where the shard is not in the cache.
        """
        window = self._window(sample)
        index = int(torch.randint(sum(len(images) for _, images in window), (), generator=generator))
        for shard, images in window:
            if index < len(images):
                names, patches = images.draw(index, size, generator, channels)
                return tuple(f"{self.shards}/{shard.name}/{name}" for name in names), patches
            index -= len(images)
        raise AssertionError

    def _window(self, sample: int) -> list[tuple[Shard, UnpackedShard]]:
        """The shards of a sample; where two passes meet, one may be there twice, so that all are drawn as often."""
        first = 0 if self._all_at_once else sample // self.stretch
        if first != self._first:
            # Those left behind are closed: an open file takes room on the disk even when it is removed.
            before = dict(self._opened)
            positions = range(first, first + self.window)
            shards = self.shards.shards if self._all_at_once else [self._at(position) for position in positions]
            opened = {shard: before.get(shard) or self._open(shard) for shard in dict.fromkeys(shards)}
            self._first, self._opened = first, [(shard, opened[shard]) for shard in shards]
        return self._opened

    def _open(self, shard: Shard) -> UnpackedShard:
        while True:
            try:
                return UnpackedShard(self.fetch(shard), self._white)
            except (FileNotFoundError, ValueError):  # removed meanwhile by another run that shares the cache, or spoilt
                continue

    def _at(self, position: int) -> Shard:
        """A shard of the endless order."""
        turn, place = divmod(position, len(self.shards.shards))
        return self.shards.shards[_order(self._seed, self._purpose, turn, len(self.shards.shards))[place]]


@functools.lru_cache(maxsize=16)
def _order(seed: int, purpose: str, turn: int, count: int) -> list[int]:
    """The order of the shards in one pass."""
    order: list[int] = torch.randperm(count, generator=generator(seed, "shards", purpose, turn)).tolist()
    return order
