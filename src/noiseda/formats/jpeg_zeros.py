"""JPEG: runs of zero bytes in the data of a scan, which lost sectors and interrupted downloads leave.

Zero bytes are valid data: most tables read them as blocks, so that no decoder complains. Whether they are the picture's
own is told by the tables (only a flat picture's give them) and by where the data end. Source: ITU-T T.81, annexes B, C
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

_WIDE, _SPARSE = 56, 8
"""How many coefficients a scan has at least, and how many lie between two values at most, for them to be no picture."""

_KEPT = 2
"""Zero bytes of a run at the end that may still belong to the data before it."""

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
        last = replace(last, data=(last.data[0], self.tail + _KEPT))
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
    longest = [max((length for _, length in _runs(file, *scan.data)), default=0) for scan in jpeg.scans]
    if tail is None and not any(longest):
        return None
    certain = any(8 * length > unlikely for length, unlikely in zip(longest, _unlikely(jpeg), strict=True))
    return Zeros(jpeg, certain, tail)


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


def _unlikely(jpeg: Jpeg) -> Iterator[float]:
    """How many zero bits in a row the data of no picture have, scan by scan; infinity where it is not known."""
    tables: dict[int, tuple[int, int]] = {}
    for segment in jpeg.segments:
        if segment.marker == DHT:
            tables |= _first_codes(segment.payload)
        if segment.marker == SOS and jpeg.frame is not None:
            try:
                yield _two_blocks(jpeg.frame, segment, tables)
            except (KeyError, IndexError, ValueError):
                yield float("inf")


def _two_blocks(frame: Segment, scan: Segment, tables: dict[int, tuple[int, int]]) -> float:
    """The zero bits that hold two blocks, wherever they begin, with equal values all over them, one after the other.

    Args:
        frame: The frame.
        scan: One of its scans.
        tables: What :func:`_first_codes` gives.

    Returns:
        Infinity where zero bits stand for flat blocks, which a picture may have.
    """
    sequential = frame.marker in SEQUENTIAL
    sampling = {frame.payload[at]: frame.payload[at + 1] for at in range(6, 6 + 3 * frame.payload[5], 3)}
    count = scan.payload[0]
    first, last = (0, 63) if sequential else (scan.payload[1 + 2 * count], scan.payload[2 + 2 * count])
    if last - max(first, 1) < _WIDE or (first == 0 and not sequential):
        return float("inf")
    full, flat = 0, 0
    for component, pair in zip(scan.payload[1 : 1 + 2 * count : 2], scan.payload[2 : 2 + 2 * count : 2], strict=True):
        start = sum(tables[pair >> 4]) if sequential else 0
        length, code = tables[16 + (pair & 15)]
        if code & 15 == 0 or code >> 4 > _SPARSE:  # the end of the block, say
            flat += (sampling[component] >> 4) * (sampling[component] & 15) * (start + length)
        else:
            corrections = 0 if sequential else 63
            full = max(full, start + -(-63 // ((code >> 4) + 1)) * (length + (code & 15)) + corrections)
    return 3 * full + 2 * flat if full else float("inf")  # of a third block, the run may have the end only


def _first_codes(payload: bytes) -> dict[int, tuple[int, int]]:
    """Class and number of each table in a segment -> the length of its code of zero bits, and what that code means.

    Of a code for DC, that is the length of what follows it; of one for AC, also how many zeros are passed over.
    """
    found: dict[int, tuple[int, int]] = {}
    at = 0
    while at + 17 < len(payload):
        counts = payload[at + 1 : at + 17]
        if any(counts):
            found[payload[at]] = (next(bits for bits, count in enumerate(counts, 1) if count), payload[at + 17])
        at += 17 + sum(counts)
    return found
