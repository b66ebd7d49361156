"""TIFF: which of a file's pictures is the photograph.

Source: TIFF 6.0, section 8 (NewSubfileType); TIFF Technical Note 1 (SubIFDs).
"""

from __future__ import annotations

from dataclasses import dataclass

from noiseda.formats import ifd
from noiseda.formats.ifd import Buffer
from noiseda.formats.tiff_directory import (
    COLOURS,
    HEIGHT,
    OLD_SUBTYPE,
    SUBIFDS,
    SUBTYPE,
    WIDTH,
    Page,
    directories,
    directory,
)

_TAGS = (SUBTYPE, OLD_SUBTYPE, WIDTH, HEIGHT, COLOURS, SUBIFDS)
_RAW = frozenset({32803, 34892})
"""Colours that only a raw converter can make a picture of: a sensor's mosaic, and linear raw."""

_MOST_INNER = 64


@dataclass(frozen=True)
class Choice:
    """Which picture of a file is read."""

    page: int = 0
    pages: int = 1
    subifd: int = -1
    """Which of the pictures that belong to the page; -1 is the page itself."""

    place: int = 0
    """Where the picture's directory lies; 0 where none was found."""

    note: str | None = None
    """What is to be said of the choice."""

    refusal: str | None = None
    """Why none can be read."""


def choose(file: Buffer) -> Choice:
    """Find the photograph among the pictures of a TIFF file: the full one, where the first is a thumbnail of it.

    Args:
        file: A file that begins as TIFF files do.
    """
    layout, place = ifd.header(file)
    pages = directories(file, layout, place, _TAGS)
    if not pages:
        return Choice()
    first, best = pages[0], 0
    full = [index for index, page in enumerate(pages) if not page.reduced and not page.mask]
    larger = full if first.reduced else [index for index in full if first.shows(pages[index])]
    if larger:
        best = max(larger, key=lambda index: (pages[index].area, -index))
    page = pages[best]
    places = page.values.get(SUBIFDS, ())[:_MOST_INNER]
    inner = [directory(file, layout, place, _TAGS) or Page(place) for place in places]
    for index, picture in sorted(enumerate(inner), key=lambda pair: -pair[1].area):
        if picture.reduced or picture.mask or picture.area <= page.area:
            continue
        if picture.one(COLOURS) in _RAW:
            return Choice(refusal="its full picture is a camera's raw data, which needs a raw converter")
        if page.reduced or page.shows(picture):
            said = "the full picture is read, which lies behind its thumbnail"
            return Choice(best, len(pages), index, picture.place, said)
    note = None
    if best:
        note = f"page {best + 1} of {len(pages)} is read: the first is a thumbnail"
    elif len(full) > 1:
        note = f"the first of {len(full)} pages is read"
    elif first.reduced:
        note = "it says that it is a reduced version of another picture, which is not in the file"
    return Choice(best, len(pages), -1, page.place, note)
