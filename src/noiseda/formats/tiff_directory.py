"""TIFF directories: what one says of a picture.

Source: TIFF 6.0, section 2; BigTIFF as libtiff reads it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from noiseda.formats import ifd
from noiseda.formats.ifd import Buffer, Field, Layout

SUBTYPE, OLD_SUBTYPE, WIDTH, HEIGHT, BITS, COMPRESSION, COLOURS = 254, 255, 256, 257, 258, 259, 262
STRIPS, SAMPLES, ROWS, STRIP_BYTES, PLANAR = 273, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, SUBIFDS = 322, 323, 324, 325, 330

_WHOLE = frozenset({1, 3, 4, 13, 16, 18})
_MOST_BYTES = 1 << 23
_MOST_PAGES = 4096


@dataclass(frozen=True)
class Page:
    """What the directory of a picture says of it."""

    place: int
    """Where the directory lies."""

    entries: tuple[Field, ...] = ()
    """In the file's order; a tag may come twice."""

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
        """Whether it resembles a thumbnail of another page: a quarter of its pixels at most, with the same sides."""
        if not self.area or 4 * self.area > other.area:
            return False
        shrink = math.sqrt(other.area / self.area)
        return all(abs(other.one(side) / shrink - self.one(side)) <= 1.5 for side in (WIDTH, HEIGHT))


def directory(file: Buffer, layout: Layout, place: int, tags: Collection[int]) -> Page | None:
    """Read a directory of a file, and the whole numbers of some tags in it; None where there is none."""
    if not ifd.is_whole(file, place, layout):
        return None
    fields = tuple(ifd.entries(file, place, layout))
    values: dict[int, tuple[int, ...]] = {}
    for found in fields:
        if found.tag in tags:
            values.setdefault(found.tag, numbers(file, layout, found))
    return Page(place, fields, values)


def directories(file: Buffer, layout: Layout, place: int, tags: Collection[int]) -> list[Page]:
    """Read the directories of all pages, from the first on, until there is no next one (0) or it was there."""
    pages: dict[int, Page] = {}
    while place and place not in pages and len(pages) < _MOST_PAGES:
        page = directory(file, layout, place, tags)
        if page is None:
            break
        pages[place] = page
        _, place = ifd.next_directory(file, place, layout) or (0, 0)
    return list(pages.values())


def numbers(file: Buffer, layout: Layout, entry: Field) -> tuple[int, ...]:
    """The whole numbers of an entry; none where it holds something else, or more than any picture needs."""
    if entry.kind not in _WHOLE or entry.size > _MOST_BYTES or entry.place + entry.size > len(file):
        return ()
    return tuple(ifd.integers(file, entry, layout))
