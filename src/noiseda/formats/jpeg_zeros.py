"""JPEG: runs of zero bytes in the data of a scan, which lost sectors and interrupted downloads leave.

Zero bytes are valid data: most tables read them as blocks, so that no decoder complains. Whether they are the picture's
own is known by the tables (only a flat picture's give them) and by where the data end. Source: ITU-T T.81, annexes B, C
and F.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from noiseda.formats.ifd import Buffer
from noiseda.formats.jpeg_scans import DHT, SEQUENTIAL, Jpeg, walk
from noiseda.formats.jpeg_segments import SOS, Segment

_LEAST = 32
"""Zero bytes in a row that are looked into. 703 photographs of the usual sort have 7 at most."""

_LEAST_AT_END = 4
"""The same where a file ends so, and has no end marker."""

_SPARSE = 8
"""How many coefficients lie between two values at most, for them to be no picture."""

_TALLEST = 65500
"""Rows that libjpeg reads."""


@dataclass(frozen=True)
class Zeros:
    """What is to be thought of a file with long runs of zero bytes in its data."""

    jpeg: Jpeg
    """The file's structure, with the end of all data."""

    certain: bool
    """Whether no picture has such data; else it takes decoding to know."""

    tail: int | None
    """Where the run begins that the data end with, if they do."""

    def shortened(self) -> Jpeg:
        """The file without that run."""
        last = self.jpeg.segments[-1]
        assert self.tail is not None
        last = replace(last, data=(last.data[0], self.tail))
        return Jpeg([*self.jpeg.segments[:-1], last], self.jpeg.end)

    def taller(self) -> Jpeg | None:
        """The file with a row of blocks more: its data last for that only if they are more than the picture needs.

        None for several scans, of which libjpeg itself says what is left over.
        """
        frame = self.jpeg.frame
        if frame is None or frame.marker not in SEQUENTIAL or len(self.jpeg.scans) != 1:
            return None
        rows = 8 * max(sampling & 15 for sampling in frame.payload[7::3])
        height = (-(-int.from_bytes(frame.payload[1:3], "big") // rows) + 1) * rows
        if height > _TALLEST:
            return None
        payload = frame.payload[:1] + height.to_bytes(2, "big") + frame.payload[3:]
        segments = [replace(one, payload=payload) if one is frame else one for one in self.jpeg.segments]
        return Jpeg(segments, self.jpeg.end)


def look(file: Buffer, jpeg: Jpeg) -> Zeros | None:
    """Look for long runs of zero bytes in the data of a file's scans; None where there is nothing to worry about.

    Of several scans only the end matters: libjpeg itself says what is left over of each, and the refining ones of a
    progressive file may hold long runs of their own.

    Args:
        file: The file.
        jpeg: Its structure, perhaps without the end of the data.
    """
    if jpeg.frame is None or not jpeg.scans:
        return None
    open_ended = bytes(file[-_LEAST_AT_END:]) == bytes(_LEAST_AT_END)
    if not open_ended and file.find(bytes(_LEAST), _start(jpeg.scans[0])) < 0:
        return None
    jpeg = walk(file)
    last = jpeg.segments[-1] if jpeg.segments else None
    if last is None or last.marker != SOS:
        return None
    least = _LEAST_AT_END if jpeg.end is None else _LEAST
    length = _zeros_before(file, last.data[1], last.data[0])
    tail = last.data[1] - length if length >= least else None
    if tail is not None and file[tail - 1] == 0xFF:
        tail += 1  # that zero belongs to the byte before it
    single = len(jpeg.scans) == 1 and jpeg.frame is not None and jpeg.frame.marker in SEQUENTIAL
    longest = max((length for _, length in _runs(file, *last.data)), default=0) if single else 0
    if tail is None and not longest:
        return None
    return Zeros(jpeg, 8 * longest > _unlikely(jpeg), tail)


def _start(scan: Segment) -> int:
    return scan.at + 4 + len(scan.payload)


def _runs(file: Buffer, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where long runs of zero bytes begin, and how long they are."""
    while (at := file.find(bytes(_LEAST), start, end)) >= 0:
        start = at + _LEAST
        while start < end and file[start] == 0:
            start += 1
        yield at, start - at


def _zeros_before(file: Buffer, end: int, start: int) -> int:
    """How many zero bytes there are right before a place."""
    step, at = 1 << 16, end
    while at > start:
        first = max(start, at - step)
        kept = len(bytes(file[first:at]).rstrip(b"\0"))
        if kept:
            return end - first - kept
        at = first
    return end - start


def _unlikely(jpeg: Jpeg) -> float:
    """How many zero bits in a row the data of no picture have.

    They hold two blocks, wherever they begin, with equal values all over them, one after the other.

    Returns:
        Infinity where zero bits stand for flat blocks, which a picture may have, or where the tables are not known.
    """
    frame, scan, tables = jpeg.frame, jpeg.scans[0].payload, _first_codes(jpeg)
    full, flat = 0, 0
    try:
        assert frame is not None
        sampling = {frame.payload[at]: frame.payload[at + 1] for at in range(6, 6 + 3 * frame.payload[5], 3)}
        for at in range(1, 1 + 2 * scan[0], 2):
            component, pair = scan[at], scan[at + 1]
            start, (length, code) = sum(tables[pair >> 4]), tables[16 + (pair & 15)]
            if code & 15 == 0 or code >> 4 > _SPARSE:  # the end of the block, say
                flat += (sampling[component] >> 4) * (sampling[component] & 15) * (start + length)
            else:
                full = max(full, start + -(-63 // ((code >> 4) + 1)) * (length + (code & 15)))
    except (KeyError, IndexError):
        return float("inf")
    return 3 * full + 2 * flat if full else float("inf")  # of a third block, the run may have the end only


def _first_codes(jpeg: Jpeg) -> dict[int, tuple[int, int]]:
    """Class and number of each table -> the length of its code of zero bits, and what that code means.

    Of a code for DC, that is the length of what follows it; of one for AC, also how many zeros are passed over.
    """
    found: dict[int, tuple[int, int]] = {}
    for segment in jpeg.segments:
        at, payload = 0, segment.payload
        while segment.marker == DHT and at + 17 < len(payload):
            counts = payload[at + 1 : at + 17]
            if any(counts):
                found[payload[at]] = (next(bits for bits, count in enumerate(counts, 1) if count), payload[at + 17])
            at += 17 + sum(counts)
    return found
