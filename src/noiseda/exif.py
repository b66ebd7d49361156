"""EXIF: the orientation applied, and the bytes carried through TIFF, where libvips drops it.

An EXIF block is a small TIFF file: a header, then directories (IFDs) of 12-byte entries that hold a value or the offset
of one. Sources: TIFF 6.0, section 2; Exif 2.3 (JEITA CP-3451C), section 4.6.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from mmap import ACCESS_READ, mmap
from typing import Any, BinaryIO, TypeAlias

from numpy.typing import NDArray

Buffer: TypeAlias = "bytes | mmap"
Entry: TypeAlias = tuple[int, int, bytes]  # type, count, value in little-endian order
Directory: TypeAlias = dict[int, "Entry | Directory"]

_PREFIX = b"Exif\0\0"
_ORIENTATION = 0x0112
_POINTERS = frozenset({0x8769, 0x8825, 0xA005})  # Exif, GPS and interoperability directories
_DESCRIPTIVE = frozenset({0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x4746, 0x8298, *range(0x9C9B, 0x9CA0)})
"""Tags of the main directory that describe the photograph (title, maker, model, date, author, rights, ...), not how its
pixels are stored."""

_SIZE: Mapping[int, int] = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_WORD: Mapping[int, int] = {**_SIZE, 5: 4, 10: 4}  # a rational is two words


def turn(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """(H, W, C) as stored -> as meant to be seen, by the orientation tag's eight values; a view."""
    if orientation >= 5:
        samples = samples.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return samples


def turn_back(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """(H, W, C) as meant to be seen -> as stored: what undoes :func:`turn`; a view."""
    return turn(samples, {6: 8, 8: 6}.get(orientation, orientation))


def upright(exif: bytes) -> bytes:
    """The same EXIF block, patched in place: orientation 1 (upright) and no thumbnail, which would show the old image.

    A block that cannot be parsed is returned as it is.
    """
    patched = bytearray(exif)
    start = len(_PREFIX) if exif.startswith(_PREFIX) else 0
    try:
        order, at = _header(exif[start:])
        at += start
        (count,) = struct.unpack_from(order + "H", exif, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            if struct.unpack_from(order + "H", exif, entry) == (_ORIENTATION,):
                struct.pack_into(order + "HIHH", patched, entry + 2, 3, 1, 1, 0)
        struct.pack_into(order + "I", patched, at + 2 + 12 * count, 0)
    except (struct.error, ValueError):
        return exif
    return bytes(patched)


def from_tiff(tiff: Buffer) -> bytes | None:
    """The EXIF block of a TIFF file: what describes the photograph in its main directory, with the EXIF and GPS ones.

    Args:
        tiff: The file, or a memory map of it.

    Returns:
        None where there is nothing to tell (or a BigTIFF or damaged directory).
    """
    try:
        order, at = _header(tiff)
        found = _describing(_read(tiff, at, order))
    except (struct.error, ValueError):
        return None
    return _PREFIX + b"II*\0\x08\0\0\0" + _lay(found, 8) if found else None


def into_tiff(file: BinaryIO, exif: bytes) -> None:
    """Give a TIFF file an EXIF block: its main directory is written anew, with both sets of entries, at the file's end.

    Where either cannot be parsed (a BigTIFF, a damaged block), the file is left as it is.

    Args:
        file: The file, open for reading and writing.
        exif: The block.
    """
    block = exif.removeprefix(_PREFIX)
    file.flush()
    length = os.fstat(file.fileno()).st_size
    try:
        order, at = _header(block)
        added = _describing(_read(block, at, order))
        with mmap(file.fileno(), length, access=ACCESS_READ) as tiff:
            order, at = _header(tiff)
            if order != "<" or not added:
                return
            main = {**_read(tiff, at, order), **added}
    except (struct.error, ValueError):
        return
    end = length + length % 2  # offsets are even
    if end > 2**32 - 2**20:  # beyond what a 32-bit offset reaches
        return
    file.seek(length)
    file.write(b"\0" * (end - length) + _lay(main, end))
    file.seek(4)
    file.write(struct.pack("<I", end))


def _describing(main: Directory) -> Directory:
    return {tag: value for tag, value in main.items() if tag in _DESCRIPTIVE or isinstance(value, dict)}


def _header(data: Buffer) -> tuple[str, int]:
    """Byte order and offset of the first directory."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        raise ValueError("not a TIFF header")
    return order, int(struct.unpack(order + "I", data[4:8])[0])


def _read(data: Buffer, at: int, order: str, depth: int = 2) -> Directory:
    """The directory at an offset, with those it points to (the main one, EXIF or GPS, interoperability)."""
    (count,) = struct.unpack(order + "H", data[at : at + 2])
    found: Directory = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack(order + "HHI", data[entry : entry + 8])
        if kind not in _SIZE:
            continue
        size = _SIZE[kind] * number
        place = entry + 8 if size <= 4 else struct.unpack(order + "I", data[entry + 8 : entry + 12])[0]
        value = data[place : place + size]
        if len(value) < size:
            raise ValueError("a value lies beyond the end")
        value = value if order == "<" else _swapped(value, _WORD[kind])
        if tag not in _POINTERS:
            found[tag] = (kind, number, value)
        elif depth and size == 4:
            found[tag] = _read(data, int.from_bytes(value, "little"), order, depth - 1)
    return found


def _swapped(value: bytes, word: int) -> bytes:
    return b"".join(value[i : i + word][::-1] for i in range(0, len(value), word))


def _lay(directory: Directory, at: int) -> bytes:
    """A directory and all it holds as bytes to be placed at a (even) offset: entries sorted, then the longer values."""
    entries, heap = b"", b""
    start = at + 2 + 12 * len(directory) + 4
    for tag, value in sorted(directory.items()):
        place = start + len(heap)
        if isinstance(value, dict):
            entries += struct.pack("<HHII", tag, 4, 1, place)
            heap += _lay(value, place)
            continue
        kind, number, content = value
        if len(content) <= 4:
            entries += struct.pack("<HHI", tag, kind, number) + content.ljust(4, b"\0")
        else:
            entries += struct.pack("<HHII", tag, kind, number, place)
            heap += content + b"\0" * (len(content) % 2)
    return struct.pack("<H", len(directory)) + entries + b"\0\0\0\0" + heap
