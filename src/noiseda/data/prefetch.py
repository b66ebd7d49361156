"""The numbers of a run's batches, each given out once its shards are there, while the next ones are fetched."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from noiseda.data.batches import Batches, DomainBatches
from noiseda.data.shards import Shard
from noiseda.data.stream import ShardStream
from noiseda.data.unpacked import is_whole


class Ahead:
    """A sampler for a data loader, which asks for numbers in the training process whatever number of workers it has.

    So shards are fetched by this process alone: its errors are the run's, and what libvips cannot do in forked
    processes it can do here. Without shards it is the numbers and nothing else.

    Args:
        batches: the batches.
        numbers: of those that will be asked for, in order.
        behind: how many batches may be in preparation; what they are cut from is not removed.
        say: reports what the first batch has to wait for.
    """

    def __init__(
        self, batches: Batches, numbers: range, *, behind: int, say: Callable[[str], None] = lambda text: None
    ) -> None:
        self._batches, self._numbers, self._behind, self._say = batches, numbers, behind, say
        domains = batches.domains if isinstance(batches, DomainBatches) else None
        sources = (domains.synthetic, domains.real, domains.reference) if domains else ()
        self._streams = [images for images in sources if isinstance(images, ShardStream)]
        self._last = batches.samples(numbers[-1])[-1] if numbers and isinstance(batches, DomainBatches) else 0
        self._jobs: dict[Path, Future[None]] = {}
        self._here: list[list[Shard]] = []
        self._keep: set[Path] = set()
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1)

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[int]:
        """The numbers.

        Raises:
            UserError: where a shard cannot be had.
        """
        for number in self._numbers:
            self._prepare(number)
            yield number

    def __enter__(self) -> Ahead:
        """Nothing to begin; the thread starts with its first shard, after the loader's workers were forked."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Call off what is being fetched."""
        self.call_off()
        self._thread.shutdown(cancel_futures=True)

    def call_off(self) -> None:
        """Let whoever fetches a shard, in whatever thread, give it up."""
        self._stop.set()

    def _prepare(self, number: int) -> None:
        """Have all shards of a batch, and see to those that come after them."""
        if not isinstance(self._batches, DomainBatches):
            return
        samples = self._batches.samples(number)
        here = [stream.needed(samples[0], samples[-1]) for stream in self._streams]
        if here == self._here:
            return
        if not self._here:
            self._announce(here)
        self._here = here
        start = self._batches.samples(max(number - self._behind, 0))[0]
        # Each stream looks one of its own stretches ahead, which is one shard.
        ends = [min(samples[-1] + stream.stretch, self._last) for stream in self._streams]
        self._keep = {
            stream.cache.entry(shard)
            for stream, end in zip(self._streams, ends, strict=True)
            for shard in stream.needed(start, end)
        }
        for stream, shards in zip(self._streams, here, strict=True):
            for shard in shards:
                job = self._jobs.pop(stream.cache.entry(shard), None)
                if job is not None:
                    job.result()
                self._fetch(stream, shard)
        for stream, shards, end in zip(self._streams, here, ends, strict=True):
            for shard in stream.needed(samples[-1], end):
                entry = stream.cache.entry(shard)
                if shard not in shards and entry not in self._jobs:
                    self._jobs[entry] = self._thread.submit(self._fetch, stream, shard)

    def _announce(self, here: list[list[Shard]]) -> None:
        missing: dict[str, set[Shard]] = {}
        for stream, shards in zip(self._streams, here, strict=True):
            missing.setdefault(str(stream.shards), set()).update(
                shard for shard in shards if not is_whole(stream.cache.entry(shard))
            )
        for location, found in missing.items():
            if found:
                self._say(f"fetching {len(found)} shards of {location}")

    def _fetch(self, stream: ShardStream, shard: Shard) -> None:
        stream.fetch(shard, self._stop)
        stream.cache.trim(self._keep)
