"""TIFF directories: what one says of a picture.

Source: TIFF 6.0, section 2; BigTIFF as libtiff reads it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

SUBTYPE, OLD_SUBTYPE, WIDTH, HEIGHT, BITS, COMPRESSION, COLOURS = 254, 255, 256, 257, 258, 259, 262
STRIPS, SAMPLES, ROWS, STRIP_BYTES, PLANAR = 273, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, SUBIFDS = 322, 323, 324, 325, 330

SIZE: Mapping[int, int] = {
    **{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
}
"""Bytes of a value, by its type."""

_WHOLE = frozenset({1, 3, 4, 13, 16, 18})
_MOST_BYTES = 1 << 23
_MOST_PAGES = 4096


@dataclass(frozen=True)
class Layout:
    """How numbers are stored: in classic TIFF files of 2 and 4 bytes, in BigTIFF files of 8."""

    order: Literal["little", "big"]
    counting: int
    """Bytes of the number of entries."""

    wide: int
    """Bytes of an offset, and of the number of values of an entry."""

    @property
    def entry(self) -> int:
        """Bytes of an entry: tag, type, number of values, and these or their offset."""
        return 4 + 2 * self.wide

    def number(self, content: bytes) -> int:
        """The whole number that some bytes hold."""
        return int.from_bytes(content, self.order)

    def write(self, value: int, length: int) -> bytes:
        """A whole number in so many bytes."""
        return value.to_bytes(length, self.order)


@dataclass(frozen=True)
class Entry:
    """An entry of a directory, its values still unread."""

    kind: int
    count: int
    field: bytes
    """The values, where they fit, or else their offset."""


@dataclass(frozen=True)
class Page:
    """What the directory of a picture says of it."""

    place: int
    """Where the directory lies."""

    entries: tuple[tuple[int, Entry], ...] = ()
    """By tag, in the file's order; a tag may come twice."""

    length: int = 0
    """Bytes of the directory, without the offset of the next."""

    values: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """The whole numbers of the tags that were asked for, each as it comes first."""

    def one(self, tag: int, default: int = 0) -> int:
        """The first number of a tag."""
        return self.values[tag][0] if self.values.get(tag) else default

    @property
    def area(self) -> int:
        """Its pixels."""
        return self.one(WIDTH) * self.one(HEIGHT)

    @property
    def reduced(self) -> bool:
        """Whether it says that it is a smaller version of another picture."""
        return bool(self.one(SUBTYPE) & 1) or self.one(OLD_SUBTYPE) == 2

    @property
    def mask(self) -> bool:
        """Whether it says that it is another picture's transparency."""
        return bool(self.one(SUBTYPE) & 4)

    def shows(self, other: Page) -> bool:
        """Whether it looks like a thumbnail of another page: a quarter of its pixels at most, with the same sides."""
        if not self.area or 4 * self.area > other.area:
            return False
        shrink = math.sqrt(other.area / self.area)
        return all(abs(other.one(side) / shrink - self.one(side)) <= 1.5 for side in (WIDTH, HEIGHT))


def start(file: BinaryIO) -> tuple[Layout, int]:
    """How a TIFF file stores numbers, and where its first directory lies."""
    head = read(file, 0, 16)
    order: Literal["little", "big"] = "little" if head.startswith(b"II") else "big"
    if int.from_bytes(head[2:4], order) == 43:
        return Layout(order, 8, 8), int.from_bytes(head[8:16], order)
    return Layout(order, 2, 4), int.from_bytes(head[4:8], order)


def directory(file: BinaryIO, layout: Layout, place: int, tags: Iterable[int]) -> Page:
    """Read a directory, and the values of some tags in it; a place without one gives a page of no length."""
    count = min(layout.number(read(file, place, layout.counting)), 65535)
    content = read(file, place + layout.counting, count * layout.entry)
    if not count or len(content) < count * layout.entry:
        return Page(place)
    entries: list[tuple[int, Entry]] = []
    values: dict[int, tuple[int, ...]] = {}
    for at in range(0, len(content), layout.entry):
        line = content[at : at + layout.entry]
        entry = Entry(layout.number(line[2:4]), layout.number(line[4 : 4 + layout.wide]), line[4 + layout.wide :])
        tag = layout.number(line[:2])
        entries.append((tag, entry))
        if tag in tags and tag not in values:
            values[tag] = numbers(file, layout, entry)
    return Page(place, tuple(entries), layout.counting + len(content), values)


def directories(file: BinaryIO, layout: Layout, place: int, tags: Iterable[int]) -> list[Page]:
    """Read the directories of all pages, from the first on, until there is no next one or it was there before."""
    pages: list[Page] = []
    seen: set[int] = set()
    while place and place not in seen and len(pages) < _MOST_PAGES:
        seen.add(place)
        page = directory(file, layout, place, tags)
        if not page.length:
            break
        pages.append(page)
        place = layout.number(read(file, place + page.length, layout.wide))
    return pages


def numbers(file: BinaryIO, layout: Layout, entry: Entry) -> tuple[int, ...]:
    """The whole numbers of an entry; none where it holds something else."""
    if entry.kind not in _WHOLE:
        return ()
    size = SIZE[entry.kind]
    content, length = entry.field, entry.count * size
    if length > layout.wide:
        content = read(file, layout.number(entry.field), length)
    return tuple(layout.number(content[at : at + size]) for at in range(0, min(length, len(content)), size))


def read(file: BinaryIO, at: int, length: int) -> bytes:
    """What lies there; no number of a file makes this read beyond all bounds."""
    file.seek(min(at, 1 << 60))
    return file.read(min(length, _MOST_BYTES))
