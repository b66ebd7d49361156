"""Photographs decoded once into memory-mapped arrays, so that reading a patch costs next to nothing.

An array has the depth of its file: uint8, or uint16 for files of 16 bits. Nothing is rounded.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noiseda.bars import bar
from noiseda.errors import ImageError, UserError, none_usable
from noiseda.images import from_integers, from_uint8, read, read_bits, to_uint8, to_uint16
from noiseda.precision import FULL
from noiseda.storage import atomic

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
"""(H, W, C), of the depth of the file."""

Drawn = tuple[tuple[str, ...], tuple[Tensor, ...]]
"""The files of a group, and of each a patch (C, P, P) in [0, 1]."""

SMALLEST = 16
"""Images with a side below this many pixels are left out."""


@dataclass(frozen=True)
class Skipped:
    """An image that is left out, and why."""

    path: Path
    reason: str


class ImageStore:
    """Groups of images of equal size (a photograph, or an input and its target), ready to be cut into patches.

    An image smaller than a patch is continued by reflection, never resampled: resampling would change its noise.

    Args:
        groups: the files of each group.
        decoded: their arrays (H, W, C) in the cache, in the same order.
        white: the value that becomes 1 in groups of 16 bits that have none above it (:mod:`noiseda.data.depth`).
    """

    def __init__(
        self, groups: Sequence[tuple[Path, ...]], decoded: Sequence[tuple[Path, ...]], white: int = FULL
    ) -> None:
        self.groups = list(groups)
        self._decoded = list(decoded)
        self._white = white
        self._whites: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def levels(self) -> float:
        """Steps from black to white in the deepest of the images."""
        deep = any(_map(entry).dtype == np.uint16 for entries in self._decoded for entry in entries)
        return float(self._white) if deep else 255.0

    def smaller_than(self, side: int) -> list[Path]:
        """The first image of each group that has a side below this many pixels."""
        sizes = ((group[0], _map(entries[0]).shape) for group, entries in zip(self.groups, self._decoded, strict=True))
        return [path for path, shape in sizes if min(shape[:2]) < side]

    def draw(self, sample: int, size: int, generator: torch.Generator, channels: int = 3) -> Drawn:
        """The names and a patch of a random group; ``sample`` does not matter, the generator alone decides."""
        index = int(torch.randint(len(self), (), generator=generator))
        return tuple(map(str, self.groups[index])), self.patches(index, size, generator, channels)

    def patches(self, index: int, size: int, generator: torch.Generator, channels: int = 3) -> tuple[Tensor, ...]:
        """A random patch of every image of a group, see :func:`cut`."""
        arrays = [_open(path) for path in self._decoded[index]]
        if self._white == FULL:
            return cut(arrays, size, generator, channels)
        if index not in self._whites:  # all of the image is looked at, once
            self._whites[index] = white_of(arrays, self._white)
        return cut(arrays, size, generator, channels, self._whites[index])


def white_of(arrays: Sequence[Pixels], white: int) -> int:
    """The value that becomes 1 in those of some arrays that have 16 bits: ``white``, if none has more than that."""
    if white == FULL or any(array.dtype == np.uint16 and array.max() > white for array in arrays):
        return FULL
    return white


def cut(
    arrays: Sequence[Pixels], size: int, generator: torch.Generator, channels: int = 3, white: int = FULL
) -> tuple[Tensor, ...]:
    """Cut one random square patch, the same from every image of a group, in one of eight random orientations.

    Args:
        arrays: the images of a group, (H, W, C) each.
        size: side of the patch in pixels.
        generator: source of position and orientation.
        channels: 1 (grey: Rec. 601 luma of a colour image) or 3 (grey images are repeated).
        white: the value that becomes 1 in arrays of 16 bits.

    Returns:
        A tensor (channels, size, size) in [0, 1] for each image of the group.
    """
    height, width = arrays[0].shape[:2]
    top = int(torch.randint(max(height - size, 0) + 1, (), generator=generator))
    left = int(torch.randint(max(width - size, 0) + 1, (), generator=generator))
    turns, mirror = divmod(int(torch.randint(8, (), generator=generator)), 2)
    return tuple(_patch(array, top, left, size, turns, bool(mirror), channels, white) for array in arrays)


def decode(
    groups: Sequence[tuple[Path, ...]], folder: Path, *, flag: str, max_megapixels: float, white: int = FULL
) -> tuple[ImageStore, list[Skipped]]:
    """Decode images into the cache; those already there are not read again.

    An entry is keyed on path, size and time of change of its file, so that a changed file is read anew. It has the
    depth of the file: one of 16 bits takes twice the room. A group is left out as a whole when one of its images
    cannot be used.

    Args:
        groups: files of each group.
        folder: the cache.
        flag: the flag that named the images, for messages.
        max_megapixels: larger images are left out.
        white: see :class:`ImageStore`.

    Returns:
        The images that can be used, and those that cannot.

    Raises:
        UserError: when none can be used, or the cache cannot be written.
    """
    kept: list[tuple[Path, ...]] = []
    decoded: list[tuple[Path, ...]] = []
    skipped: list[Skipped] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for group in bar(groups, "decoding"):
            try:
                entries = tuple(_decode_one(path, folder, max_megapixels) for path in group)
            except ImageError as error:
                reason = str(error)
                skipped.extend(Skipped(path, reason) for path in group if str(path) in reason)
                continue
            kept.append(group)
            decoded.append(entries)
    except OSError as error:
        raise UserError(f"--cache {folder} cannot be written: {error.strerror or error}") from error
    if not kept:
        raise UserError(f"{flag}: {none_usable(len(groups), 'image', (one.reason for one in skipped))}")
    return ImageStore(kept, decoded, white), skipped


def _decode_one(path: Path, folder: Path, max_megapixels: float) -> Path:
    """Decode one file into the cache, unless it is there already; returns the array's file."""
    try:
        state = path.stat()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error
    known_by = f"{path.resolve()}\0{state.st_size}\0{state.st_mtime_ns}".encode("utf-8", "surrogateescape")
    key = hashlib.sha256(known_by).hexdigest()[:32]
    entry = folder / f"{key}.npy"
    if not _is_whole(entry, path):
        pixels = read_pixels(path, max_megapixels)
        with atomic(entry) as file:
            np.save(file, pixels)
    return entry


def read_pixels(path: Path, max_megapixels: float, *, say: bool = True) -> Pixels:
    """Decode a file as patches are cut from it: (H, W, C), uint8 or, from 16 bits, uint16.

    Args:
        path: the file.
        max_megapixels: larger images are refused.
        say: warn of what is odd about the file.

    Raises:
        ImageError: it cannot be read, or is too large or too small to be used.
    """
    picture = read(path, max_megapixels=max_megapixels, say=say)
    pixels = picture.pixels
    if min(pixels.shape[1:]) < SMALLEST:
        raise ImageError(f"{path}: {pixels.shape[2]} x {pixels.shape[1]} pixels; each side needs {SMALLEST} at least")
    samples = to_uint16(pixels) if picture.bits == 16 else to_uint8(pixels)
    return np.ascontiguousarray(samples.permute(1, 2, 0).numpy())


def _is_whole(entry: Path, path: Path) -> bool:
    """Whether an array of a file's pixels is there, complete: a cache may have been copied, or its disk have failed.

    Earlier versions rounded all files to 8 bits. Entries of those with more are made anew.
    """
    try:
        array = _map(entry)
    except (OSError, ValueError, EOFError):
        return False
    if array.ndim != 3 or array.dtype not in (np.uint8, np.uint16):
        return False
    return array.dtype == np.uint16 or read_bits(path) == 8


def _map(entry: Path) -> Pixels:
    return np.load(entry, mmap_mode="r")  # type: ignore[no-any-return]


_open = functools.lru_cache(maxsize=256)(_map)  # each holds a file descriptor, of which a process may have 1024


def _patch(
    array: Pixels, top: int, left: int, size: int, turns: int, mirror: bool, channels: int, white: int
) -> Tensor:
    """One patch of an (H, W, C) array as (channels, size, size) in [0, 1]."""
    cut: NDArray[Any] = array[top : top + size, left : left + size]
    missing = [(0, size - side) for side in cut.shape[:2]]
    if any(after for _, after in missing):
        cut = np.pad(cut, [*missing, (0, 0)], mode="reflect")
    cut = np.rot90(cut[:, ::-1] if mirror else cut, turns)
    held = np.ascontiguousarray(cut.transpose(2, 0, 1))  # of a grey image, perhaps the file itself, which is no copy
    samples = torch.from_numpy(held if held.flags.writeable else held.copy())
    pixels = from_uint8(samples) if samples.dtype == torch.uint8 else from_integers(samples, white)
    if pixels.shape[0] == channels:
        return pixels
    if channels == 3:
        return pixels.expand(3, -1, -1).clone()
    return (pixels * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=0, keepdim=True)
