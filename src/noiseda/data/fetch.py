"""The cache of decoded shards: fetched when asked for, by one of several processes, and removed when it is full."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from noiseda.address import Url
from noiseda.data.download import NEVER, download
from noiseda.data.shards import Shard, ShardSet
from noiseda.data.unpacked import is_whole, unpack
from noiseda.errors import UserError

log = logging.getLogger(__name__)


class ShardCache:
    """Decoded shards, each a file keyed on the digest of its shard; any number of processes may share the folder.

    Args:
        folder: the cache.
        gigabytes: size in 1e9 bytes beyond which :meth:`trim` removes shards.
        max_megapixels: larger images are left out.
    """

    def __init__(self, folder: Path, *, gigabytes: float, max_megapixels: float) -> None:
        self.folder = folder / "shards"
        self.limit = int(gigabytes * 1e9)
        self.max_megapixels = max_megapixels

    def entry(self, shard: Shard) -> Path:
        """The file of a decoded shard, whether it is there or not."""
        key = hashlib.sha256(f"{shard.sha256}\0{self.max_megapixels:g}".encode()).hexdigest()[:32]
        return self.folder / f"{key}.pixels"

    def get(self, shards: ShardSet, shard: Shard, stop: threading.Event = NEVER) -> Path:
        """Fetch and decode a shard, unless it is there; another process that does so already is waited for.

        Args:
            shards: the set it belongs to.
            shard: one of them.
            stop: calls it off when it is set.

        Returns:
            The decoded shard, from :func:`noiseda.data.unpacked.unpack`.

        Raises:
            UserError: naming the shard and what is wrong, or the cache where it cannot be written.
            Stopped: called off.
        """
        entry = self.entry(shard)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not is_whole(entry):
                with _alone(entry.with_suffix(".lock")):
                    if not is_whole(entry):
                        self._make(entry, shards, shard, stop)
            with suppress(FileNotFoundError):  # another run that shares the cache was short of room
                os.utime(entry)  # when it was last asked for
        except OSError as error:
            raise UserError(f"--cache {self.folder.parent} cannot be written: {error.strerror or error}") from error
        return entry

    def trim(self, keep: Collection[Path]) -> None:
        """Remove what was not asked for longest, until the limit is kept.

        Args:
            keep: entries that stay, even if they alone are larger than the limit.

        Raises:
            UserError: the cache cannot be written.
        """
        try:
            self._trim(keep)
        except OSError as error:
            raise UserError(f"--cache {self.folder.parent} cannot be written: {error.strerror or error}") from error

    def _trim(self, keep: Collection[Path]) -> None:
        found = []
        for path in self.folder.glob("*.pixels"):
            try:
                state = path.stat()
            except FileNotFoundError:  # another process was faster
                continue
            found.append((state.st_mtime_ns, state.st_size, path))
        size = sum(bytes for _, bytes, _ in found)
        for _, bytes, path in sorted(found):
            if size > self.limit and path not in keep:
                path.unlink(missing_ok=True)
                size -= bytes

    def _make(self, entry: Path, shards: ShardSet, shard: Shard, stop: threading.Event) -> None:
        work = entry.with_suffix(".work")
        shutil.rmtree(work, ignore_errors=True)  # of a process that was killed
        work.mkdir()
        try:
            tar = _fetch(shards, shard, work, stop)
            name = _name(shards, shard)
            try:
                reasons = unpack(
                    tar,
                    entry,
                    work,
                    kind=shards.kind,
                    samples=shard.samples,
                    max_megapixels=self.max_megapixels,
                    stop=stop,
                )
            except UserError as error:
                raise UserError(f"{name}: {error}") from error
            for reason in reasons:
                log.warning("left out: %s: %s", name, reason)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _fetch(shards: ShardSet, shard: Shard, work: Path, stop: threading.Event) -> Path:
    """A shard whose content is what the index says."""
    name = _name(shards, shard)
    if isinstance(shards.location, Url):
        return download(name, shard.name, shard.sha256, work, stop, size=shard.bytes)
    try:
        if Path(name).exists() and not Path(name).is_file():  # a pipe would be waited for
            raise UserError(f"{name}: is no file")
        with Path(name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror or error}") from error
    if found != shard.sha256:
        raise UserError(f"{name}: is not the file that the index lists: its sha256 is {found}, not {shard.sha256}")
    return Path(name)


def _name(shards: ShardSet, shard: Shard) -> str:
    location = shards.location
    return location.file(shard.name) if isinstance(location, Url) else str(location / shard.name)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Keep all other processes and threads out that ask for the same lock: a file, which stays there."""
    with lock.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
