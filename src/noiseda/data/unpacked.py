"""A shard decoded into one memory-mapped file: its pixels, one image after another, then a table of what is where.

One file a shard, so that it appears, is kept open and is removed as a whole, however many images it holds. Images have
the depth of their files, 8 or 16 bits.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from noiseda.data.cache import Drawn, Pixels, cut, read_pixels, white_of
from noiseda.data.download import Stopped
from noiseda.data.shards import INDEX, Kind, Packed, read_samples
from noiseda.errors import ImageError, UserError, none_usable
from noiseda.precision import FULL
from noiseda.storage import atomic

_MAGIC, _DEEP = b"noiseda1", b"noiseda2"
"""The last bytes of a file: where no image can have more than 8 bits; and where some may, which earlier versions
rounded to 8, so that their files of that kind are made anew."""

_SHALLOW = (".jpg", ".jpeg", ".webp")
"""Suffixes of formats that have 8 bits always."""
_LARGEST_TABLE = 64 * 2**20  # bytes; some 100 a sample are usual


class _Place(NamedTuple):
    """Where an image's pixels (H, W, C) lie in the file."""

    name: str
    start: int
    height: int
    width: int
    channels: int
    bits: int = 8

    @property
    def end(self) -> int:
        return self.start + self.height * self.width * self.channels * self.bits // 8


class UnpackedShard:
    """The images of a decoded shard, ready to be cut into patches.

    Args:
        file: from :func:`unpack`; it may be removed while this is in use.
        white: see :class:`noiseda.data.cache.ImageStore`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not whole.
    """

    def __init__(self, file: Path, white: int = FULL) -> None:
        self._samples = _read_table(file)
        self._white = white
        self._whites: dict[int, int] = {}
        # As a plain array, whose slices cost less.
        self._pixels: NDArray[np.uint8] = np.memmap(file, np.uint8, "r", shape=(self._samples[-1][-1].end,)).view(
            np.ndarray
        )

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def deep(self) -> bool:
        """Whether some image has more than 8 bits."""
        return any(place.bits == 16 for places in self._samples for place in places)

    def draw(self, index: int, size: int, generator: torch.Generator, channels: int) -> Drawn:
        """The names of a sample's files, and the same random patch of each; see :func:`noiseda.data.cache.cut`."""
        places = self._samples[index]
        arrays = [self._array(place) for place in places]
        if index not in self._whites:
            self._whites[index] = white_of(arrays, self._white)
        return tuple(place.name for place in places), cut(arrays, size, generator, channels, self._whites[index])

    def _array(self, place: _Place) -> Pixels:
        samples = self._pixels[place.start : place.end]
        deep: Pixels = samples.view(np.uint16) if place.bits == 16 else samples
        return deep.reshape(place.height, place.width, place.channels)


def is_whole(file: Path) -> bool:
    """Whether a decoded shard is there, and complete: a cache may have been copied, or its disk have failed."""
    try:
        return bool(_read_table(file))
    except (OSError, ValueError):
        return False


def unpack(
    tar: Path, entry: Path, work: Path, *, kind: Kind, samples: int, max_megapixels: float, stop: threading.Event
) -> list[str]:
    """Decode a shard.

    Args:
        tar: the shard.
        entry: the file to make, whole or not at all.
        work: a folder on the same disk, for what is under way.
        kind: what a sample is.
        samples: how many it is to hold.
        max_megapixels: larger images are left out.
        stop: calls it off when it is set.

    Returns:
        The reasons why samples are left out, as one of their images cannot be used.

    Raises:
        UserError: what is wrong with the shard, without its name.
        Stopped: called off.
        OSError: no room, no right.
    """
    table: list[list[_Place]] = []
    left_out: list[str] = []
    start = 0
    with tar.open("rb") as source, atomic(work / "unpacked") as file:
        for sample in read_samples(source, kind, most=samples):
            if stop.is_set():
                raise Stopped
            try:
                decoded = _decode(source, sample, work / "image", max_megapixels)
            except ImageError as error:
                left_out.append(str(error))
                continue
            table.append([])
            for name, pixels in zip(sample.names, decoded, strict=True):
                height, width, channels = pixels.shape
                bits = 8 * pixels.itemsize
                if bits == 16 and start % 2:  # whole numbers of two bytes begin at even places
                    start += file.write(b"\0")
                table[-1].append(_Place(name, start, height, width, channels, bits))
                start = table[-1][-1].end
                file.write(pixels.data)
        if len(table) + len(left_out) != samples:
            raise UserError(f"holds {len(table) + len(left_out)} samples, but {INDEX} says {samples}")
        if not table:
            raise UserError(none_usable(len(left_out), "sample", left_out))
        deep = _may_be_deep(table)
        content = json.dumps(table if deep else [[place[:5] for place in sample] for sample in table]).encode()
        if len(content) > _LARGEST_TABLE:
            raise UserError(f"holds {len(table)} samples, too many for one shard; pack them into smaller ones")
        file.write(content + len(content).to_bytes(8, "little") + (_DEEP if deep else _MAGIC))
    (work / "unpacked").replace(entry)
    return left_out


def _decode(source: BinaryIO, sample: Packed, file: Path, max_megapixels: float) -> list[Pixels]:
    decoded: list[Pixels] = []
    for name, member in zip(sample.names, sample.members, strict=True):
        member.copy(source, file)
        try:
            decoded.append(read_pixels(file, max_megapixels, say=False))  # said when it was packed
        except ImageError as error:
            raise ImageError(str(error).replace(str(file), name)) from error
    sizes = [f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in decoded]
    if len(set(sizes)) > 1:
        raise ImageError(f"{' and '.join(sample.names)} are {' and '.join(sizes)}")
    return decoded


def _read_table(file: Path) -> list[list[_Place]]:
    """What is where in a decoded shard.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not whole: its places do not follow one another up to the table.
    """
    with file.open("rb") as content:
        end = content.seek(-16, 2)
        length, magic = int.from_bytes(content.read(8), "little"), content.read(8)
        if magic not in (_MAGIC, _DEEP) or length > min(end, _LARGEST_TABLE):
            raise ValueError(f"{file}: not a decoded shard")
        content.seek(end - length)
        try:
            table = [[_Place(*place) for place in sample] for sample in json.loads(content.read(length))]
            known = _follow(table, end - length)
        except (TypeError, RecursionError, OverflowError):
            known = False
    if not known:
        raise ValueError(f"{file}: not whole")
    if magic == _MAGIC and _may_be_deep(table):
        raise ValueError(f"{file}: may hold images that were rounded to 8 bits")
    return table


def _may_be_deep(table: list[list[_Place]]) -> bool:
    return any(place.bits == 16 or not place.name.lower().endswith(_SHALLOW) for sample in table for place in sample)


def _follow(table: list[list[_Place]], end: int) -> bool:
    """Whether the places of a table cover a file's pixels one after another, as many in each sample."""
    start = 0
    for sample in table:
        for place in sample:
            sides = (place.height, place.width, place.channels)
            if not isinstance(place.name, str) or not all(type(side) is int and side > 0 for side in sides):
                return False
            start += start % 2 if place.bits == 16 else 0
            if place.bits not in (8, 16) or type(place.start) is not int or place.start != start:
                return False
            if len({other[2:4] for other in sample}) > 1:
                return False
            start = place.end
    return bool(table) and start == end and len({len(sample) for sample in table}) == 1 and bool(table[0])
