"""TIFF directories: what one says of a picture.

Source: TIFF 6.0, section 2; BigTIFF as libtiff reads it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from noiseda.formats.ifd import SIZE, Buffer, Layout

SUBTYPE, OLD_SUBTYPE, WIDTH, HEIGHT, BITS, COMPRESSION, COLOURS = 254, 255, 256, 257, 258, 259, 262
STRIPS, SAMPLES, ROWS, STRIP_BYTES, PLANAR = 273, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, SUBIFDS = 322, 323, 324, 325, 330

_WHOLE = frozenset({1, 3, 4, 13, 16, 18})
_MOST_BYTES = 1 << 23
_MOST_PAGES = 4096


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


def directory(file: Buffer, layout: Layout, place: int, tags: Iterable[int]) -> Page:
    """Read a directory of a file, and the values of some tags in it; a place without one gives a page of no length."""
    count = min(layout.whole(read(file, place, layout.counting)), 65535)
    content = read(file, place + layout.counting, count * layout.entry)
    if not count or len(content) < count * layout.entry:
        return Page(place)
    entries: list[tuple[int, Entry]] = []
    values: dict[int, tuple[int, ...]] = {}
    for at in range(0, len(content), layout.entry):
        line = content[at : at + layout.entry]
        entry = Entry(layout.whole(line[2:4]), layout.whole(line[4 : 4 + layout.wide]), line[4 + layout.wide :])
        tag = layout.whole(line[:2])
        entries.append((tag, entry))
        if tag in tags and tag not in values:
            values[tag] = numbers(file, layout, entry)
    return Page(place, tuple(entries), layout.counting + len(content), values)


def directories(file: Buffer, layout: Layout, place: int, tags: Iterable[int]) -> list[Page]:
    """Read the directories of all pages, from the first on, until there is no next one or it was there before."""
    pages: list[Page] = []
    seen: set[int] = set()
    while place and place not in seen and len(pages) < _MOST_PAGES:
        seen.add(place)
        page = directory(file, layout, place, tags)
        if not page.length:
            break
        pages.append(page)
        place = layout.whole(read(file, place + page.length, layout.wide))
    return pages


def numbers(file: Buffer, layout: Layout, entry: Entry) -> tuple[int, ...]:
    """The whole numbers of an entry; none where it holds something else."""
    if entry.kind not in _WHOLE:
        return ()
    size = SIZE[entry.kind]
    content, length = entry.field, entry.count * size
    if length > layout.wide:
        content = read(file, layout.whole(entry.field), length)
    return tuple(layout.whole(content[at : at + size]) for at in range(0, min(length, len(content)), size))


def read(file: Buffer, at: int, length: int) -> bytes:
    """What lies there; no number of a file makes this read beyond all bounds."""
    return bytes(file[at : at + min(length, _MOST_BYTES)])
