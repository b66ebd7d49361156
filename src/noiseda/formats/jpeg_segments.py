"""JPEG: the segments of a file, one after another.

Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from noiseda.formats.ifd import Buffer

EOI, SOS, COMMENT, APP0 = 0xD9, 0xDA, 0xFE, 0xE0
ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a segment."""

_MARKER = re.compile(rb"\xff[^\0\xff]")
_NO_DATA = re.compile(rb"\xff[^\0\xff\xd0-\xd7]")
"""A marker that ends the data of a scan: neither a stuffed byte nor a restart."""


@dataclass(frozen=True)
class Segment:
    """A marker and what belongs to it."""

    marker: int
    at: int
    """Where its marker lies."""

    payload: bytes
    stray: bytes = b""
    """What lies between the segment before it and its marker, and belongs to neither."""

    data: tuple[int, int] = (0, 0)
    """Where the data of a scan lies."""


def segments(file: Buffer, enough: Callable[[Segment], bool] = lambda scan: False) -> Iterator[Segment]:
    """The segments of a file's first picture, its end marker among them, as far as they can be followed.

    Args:
        file: A file that begins with the marker of a JPEG file.
        enough: Asked of each scan whether it is to be the last one. Its data's end, which takes time to find, is then
            not looked for.
    """
    at = 2
    while (found := _MARKER.search(file, at)) is not None:
        place, marker = found.start(), file[found.start() + 1]
        stray = bytes(file[at:place]).rstrip(b"\xff")
        if marker == EOI or marker in ALONE:
            yield Segment(marker, place, b"", stray)
            if marker == EOI:
                return
            at = place + 2
            continue
        length = int.from_bytes(file[place + 2 : place + 4], "big")
        at = place + 2 + length
        if length < 2 or at > len(file):
            return
        segment = Segment(marker, place, bytes(file[place + 4 : at]), stray)
        if marker == SOS:
            if enough(segment):
                yield segment
                return
            end = _NO_DATA.search(file, at)
            data = (at, len(file) if end is None else end.start())
            segment = Segment(marker, place, segment.payload, stray, data)
            at = data[1]
        yield segment
