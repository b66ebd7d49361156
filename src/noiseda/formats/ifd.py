"""Directories of tags, as TIFF files and EXIF blocks have them: read as far as they go, and laid out anew.

Sources: TIFF 6.0, section 2; BigTIFF (the same with 64-bit offsets).
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import Literal, TypeAlias

import numpy as np

Buffer: TypeAlias = "bytes | bytearray | mmap"
Value: TypeAlias = tuple[int, int, bytes]
"""Type, count, and the value in little-endian order."""
Directory: TypeAlias = dict[int, "Value | Directory"]

POINTERS = frozenset({0x8769, 0x8825, 0xA005})
"""Tags whose value is a directory: Exif, GPS and interoperability."""
IPTC = 0x83BB

_SHARED = 1 << 16
"""Bytes that values of one directory may have in common: more is no file of anyone's, but asks for much memory."""

SIZE: Mapping[int, int] = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8
}  # fmt: skip
"""Bytes of a value, by its type."""
_WORD: Mapping[int, int] = {**SIZE, 5: 4, 10: 4}  # a rational is two words
_CLASSIC: Mapping[int, int] = {16: 4, 17: 9, 18: 4}  # BigTIFF's own types -> what holds them elsewhere


@dataclass(frozen=True)
class Layout:
    """How numbers stand in a file."""

    order: str
    """< (little-endian) or >."""

    big: bool = False
    """Whether it is a BigTIFF."""

    @property
    def wide(self) -> int:
        """Bytes of an offset, and of the number of values of an entry."""
        return 8 if self.big else 4

    @property
    def counting(self) -> int:
        """Bytes of the number of entries."""
        return 8 if self.big else 2

    @property
    def entry(self) -> int:
        """Bytes of an entry: tag, type, number of values, and these or their offset."""
        return 4 + 2 * self.wide

    @property
    def endian(self) -> Literal["little", "big"]:
        """The order, as Python calls it."""
        return "little" if self.order == "<" else "big"

    def whole(self, content: bytes | bytearray) -> int:
        """The unsigned number that some bytes hold."""
        return int.from_bytes(content, self.endian)

    def write(self, value: int, length: int) -> bytes:
        """An unsigned number in so many bytes."""
        return value.to_bytes(length, self.endian)

    def number(self, data: Buffer, at: int, size: int) -> int:
        """An unsigned number of some bytes.

        Raises:
            ValueError: it lies beyond the end.
        """
        found = data[at : at + size]
        if at < 0 or len(found) < size:
            raise ValueError("a number lies beyond the end")
        return self.whole(found)


@dataclass(frozen=True)
class Field:
    """One entry of a directory."""

    tag: int
    kind: int
    count: int
    entry: int
    """Where the entry stands."""
    place: int
    """Where its value stands."""

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return SIZE[self.kind] * self.count


def header(data: Buffer) -> tuple[Layout, int]:
    """The layout of a file, and where its first directory stands.

    Raises:
        ValueError: it is none.
    """
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None:
        raise ValueError("not a TIFF header")
    layout = Layout(order, big=bytes(data[2:4]) in (b"+\0", b"\0+"))
    if layout.number(data, 2, 2) not in (42, 43):
        raise ValueError("not a TIFF header")
    return layout, layout.number(data, 8, 8) if layout.big else layout.number(data, 4, 4)


def fields(data: Buffer, at: int, layout: Layout) -> list[Field]:
    """The entries of the directory at an offset that lie, with their values, inside the data."""
    return [field for field in entries(data, at, layout) if field.place + field.size <= len(data)]


def is_whole(data: Buffer, at: int, layout: Layout) -> bool:
    """Whether all entries of a directory lie inside the data, one at least."""
    try:
        count = layout.number(data, at, layout.counting)
    except ValueError:
        return False
    return count > 0 and at + layout.counting + count * layout.entry <= len(data)


def next_directory(data: Buffer, at: int, layout: Layout) -> tuple[int, int] | None:
    """Where the offset of the next directory stands, and that offset; None where the data end before it."""
    try:
        place = at + layout.counting + layout.entry * layout.number(data, at, layout.counting)
        return place, layout.number(data, place, layout.wide)
    except ValueError:
        return None


def entries(data: Buffer, at: int, layout: Layout) -> Iterator[Field]:
    """The entries of the directory at an offset, wherever their values lie."""
    word, start = layout.wide, at + layout.counting
    try:
        count = layout.number(data, at, layout.counting)
        for entry in range(start, start + layout.entry * min(count, 65535), layout.entry):
            tag, kind = layout.number(data, entry, 2), layout.number(data, entry + 2, 2)
            number, inline = layout.number(data, entry + 4, word), entry + 4 + word
            layout.number(data, inline, word)  # the entry is whole
            if kind in SIZE:
                place = inline if SIZE[kind] * number <= word else layout.number(data, inline, word)
                yield Field(tag, kind, number, entry, place)
    except ValueError:
        return


def integers(data: Buffer, field: Field, layout: Layout) -> list[int]:
    """The values of an entry of whole numbers (or the numerators and denominators of rationals), unsigned."""
    word = _WORD[field.kind]
    return [layout.number(data, at, word) for at in range(field.place, field.place + field.size, word)]


def rationals(data: Buffer, field: Field, layout: Layout) -> list[float]:
    """The values of an entry of rationals; a denominator of 0 gives 0."""
    flat = integers(data, field, layout)
    return [above / below if below else 0.0 for above, below in zip(flat[::2], flat[1::2], strict=True)]


def read(data: Buffer, at: int, layout: Layout, *, skip: Collection[int] = (), depth: int = 2) -> Directory:
    """The directory at an offset, with those it points to (the main one, Exif or GPS, interoperability).

    Args:
        data: All of the file.
        at: The offset.
        layout: The file's.
        skip: Tags that are not wanted.
        depth: How many more levels of directories there may be.
    """
    found: Directory = {}
    room = len(data) + _SHARED
    for field in fields(data, at, layout):
        room -= field.size
        if field.tag in skip or room < 0:
            continue
        if field.tag in POINTERS:
            if depth and field.count == 1 and field.kind in (4, 13, 16, 18):
                inner = read(data, integers(data, field, layout)[0], layout, depth=depth - 1)
                if inner:
                    found[field.tag] = inner
            continue
        found.setdefault(field.tag, _value(data, field, layout))
    return found


def _value(data: Buffer, field: Field, layout: Layout) -> Value:
    value = bytes(data[field.place : field.place + field.size])
    kind = field.kind
    if layout.order == ">" and not (field.tag == IPTC and value[:1] == b"\x1c"):  # text, whatever its type says
        value = np.frombuffer(value, f"u{_WORD[kind]}").byteswap().tobytes()
    if kind in _CLASSIC:  # what is longer than 32 bits is an offset, which leads nowhere in another file
        value = np.frombuffer(value, "<u8").astype("<u4").tobytes()
        kind = _CLASSIC[kind]
    return kind, field.count, value


def lay(directory: Directory, at: int, following: int = 0) -> bytes:
    """A directory and all it holds as bytes to be placed at an (even) offset: entries sorted, then the longer values.

    Args:
        directory: The entries.
        at: The offset.
        following: Offset of the next page's directory; 0 where there is none.
    """
    entries, heap = b"", b""
    start = at + 2 + 12 * len(directory) + 4
    for tag, value in sorted(directory.items()):
        place = start + len(heap)
        if isinstance(value, dict):
            entries += struct.pack("<HHII", tag, 4, 1, place)
            heap += lay(value, place)
            continue
        kind, number, content = value
        if len(content) <= 4:
            entries += struct.pack("<HHI", tag, kind, number) + content.ljust(4, b"\0")
        else:
            entries += struct.pack("<HHII", tag, kind, number, place)
            heap += content + b"\0" * (len(content) % 2)
    return struct.pack("<H", len(directory)) + entries + struct.pack("<I", following) + heap
