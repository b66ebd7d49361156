"""JPEG: which segments and scans a file holds, whether they make a whole picture, and harmless oddities put right.

libjpeg decodes a picture of which scans are missing without a word, and takes some harmless headers for damage. Source:
ITU-T T.81, annexes B (markers) and G (progressive mode).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from noiseda.formats.ifd import Buffer
from noiseda.formats.jpeg_segments import ALONE, APP0, COMMENT, EOI, SOS, Segment, segments
from noiseda.formats.pieces import Piece

DHT, _APP14 = 0xC4, 0xEE
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {DHT, 0xC8, 0xCC})
SEQUENTIAL, _PROGRESSIVE = frozenset({0xC0, 0xC1, 0xC9}), frozenset({0xC2, 0xCA})
_SWALLOWED = re.compile(rb"\xff[\xc0-\xfe]")
"""What resembles a marker inside a header of numbers."""

_GAIN_MAP = re.compile(rb"hdrgainmap|hdr-gain-map|urn:iso:std:iso:ts:21496:-1")
_VIDEO = re.compile(rb"(?:MotionPhoto|MicroVideo)(?:=[\"']|>)1")

_MOST_PICTURES = 64


@dataclass(frozen=True)
class Jpeg:
    """The structure of the first picture in a file."""

    segments: list[Segment] = field(default_factory=list)
    """From the first one to the last one before the end marker."""

    end: int | None = None
    """Where the picture's end marker lies, if there is one."""

    @property
    def frame(self) -> Segment | None:
        """The header that has the size and the components."""
        frames = (segment for segment in self.segments if segment.marker in _FRAMES and len(segment.payload) >= 6)
        return next(frames, None)

    @property
    def scans(self) -> list[Segment]:
        """The scans, each with its data."""
        return [segment for segment in self.segments if segment.marker == SOS]

    def applications(self, number: int, start: bytes) -> Iterator[tuple[int, bytes]]:
        """What lies in the application segments of this number that begin so, after this beginning, and where."""
        for segment in self.segments:
            if segment.marker == APP0 + number and segment.payload.startswith(start):
                yield segment.at + 4 + len(start), segment.payload[len(start) :]


def walk(file: Buffer, *, briefly: bool = False) -> Jpeg:
    """Read the structure of a JPEG file up to the end of its first picture.

    Args:
        file: A file that begins with the marker of a JPEG file.
        briefly: Whether to go without the end of the data, which takes time to find, if the first scan is all there is.

    Returns:
        What was found, as far as it can be followed.
    """
    found: list[Segment] = []

    def enough(scan: Segment) -> bool:
        return briefly and _is_only(scan, Jpeg(found).frame)

    for segment in segments(file, enough):
        if segment.marker == EOI:
            return Jpeg(found, segment.at)
        found.append(segment)
    return Jpeg(found, None)


def missing(jpeg: Jpeg) -> str | None:
    """What of the picture is not in the file, as far as its headers say; None where each part has been sent.

    Every component needs a scan; in progressive mode, every coefficient of it down to its last bit.
    """
    frame = jpeg.frame
    if frame is None or not jpeg.scans:
        return "its picture is missing"
    components = [frame.payload[at] for at in range(6, 6 + 3 * frame.payload[5], 3) if at < len(frame.payload)]
    left = {component: dict.fromkeys(range(64), 14) for component in components}
    for scan in jpeg.scans:
        named, (first, last, approximation) = _scan(scan)
        for component in named:
            if frame.marker not in _PROGRESSIVE:
                left[component] = {}
            for coefficient in range(first, last + 1):
                if component in left and coefficient in left[component]:
                    left[component][coefficient] = approximation & 15
    if any(low for bits in left.values() for low in bits.values()):
        return "a part of its scans is missing"
    return None


def mend(jpeg: Jpeg, *, always: bool = False) -> tuple[list[Piece], list[str]] | None:
    """The same picture with headers that no decoder stumbles over.

    Only what leaves the pixels alone is put right: a decoder that still complains has met damage.

    Args:
        jpeg: The structure of the file, with the end of all data.
        always: Whether a file of which nothing is odd is put together, too.

    Returns:
        What the mended file is made of, and what was odd, in sentences; None where nothing is to be mended.
    """
    frame = jpeg.frame
    if frame is None or not jpeg.scans or not _has_codes(jpeg):
        return None
    pieces: list[Piece] = [b"\xff\xd8"]
    odd: dict[str, None] = {}
    before: Segment | None = None
    for segment in jpeg.segments:
        if segment.stray:
            if not _harmless(segment.stray, before):
                return None
            odd[f"{len(segment.stray)} stray bytes before one of its headers are passed over"] = None
        if segment.marker in ALONE:
            return None
        payload, sentence = _put_right(segment, frame)
        if sentence is not None:
            odd[sentence] = None
        pieces.append(bytes((0xFF, segment.marker)) + (len(payload) + 2).to_bytes(2, "big") + payload)
        if segment.marker == SOS:
            pieces.append(segment.data)
        before = segment
    if jpeg.end is None:
        odd["its end marker is missing, but all of its pixels are there"] = None
    return ([*pieces, b"\xff\xd9"], list(odd)) if odd or always else None


def others(jpeg: Jpeg, file: Buffer) -> list[str]:
    """What else the file holds beside its first picture, in sentences."""
    xmp = b"".join(payload for _, payload in jpeg.applications(1, b"http://ns.adobe.com/xap/1.0/\0"))
    iso = any(True for _ in jpeg.applications(2, b"urn:iso:std:iso:ts:21496:-1\0"))
    pictures = [place for at, index in jpeg.applications(2, b"MPF\0") for place in _pictures(at, index)]
    seconds = [start for start in (_read(file, place, 1 << 16) for place in pictures) if start.startswith(b"\xff\xd8")]
    found = []
    if seconds and (iso or b"hdrgm:" in xmp or any(_GAIN_MAP.search(start) for start in seconds)):
        found.append("its gain map (HDR) is not kept; what is read is the picture for ordinary screens")
    elif seconds:
        found.append(f"the first of {len(seconds) + 1} pictures is read")
    if _VIDEO.search(xmp):
        found.append("the video that belongs to the picture is not kept")
    return found


def _scan(scan: Segment) -> tuple[list[int], tuple[int, int, int]]:
    """The components of a scan, and its first and last coefficient and bits."""
    count = scan.payload[0] if scan.payload else 0
    last = scan.payload[1 + 2 * count : 4 + 2 * count].ljust(3, b"\0")
    return list(scan.payload[1 : 1 + 2 * count : 2]), (last[0], last[1], last[2])


def _is_only(scan: Segment, frame: Segment | None) -> bool:
    """Whether a scan holds all there is of the components of a frame."""
    whole = frame is not None and frame.marker in SEQUENTIAL
    return whole and frame is not None and len(_scan(scan)[0]) == frame.payload[5]


def _put_right(segment: Segment, frame: Segment) -> tuple[bytes, str | None]:
    """The payload of a segment without what is odd in it, and what that was."""
    payload = segment.payload
    if segment.marker == SOS and payload and frame.marker in SEQUENTIAL:
        start = 1 + 2 * payload[0]
        if payload[start : start + 3] != b"\0\x3f\0" and len(payload) == start + 3:
            return payload[:start] + b"\0\x3f\0", "the header of its scan has wrong numbers, which have no use here"
    if segment.marker == APP0 and payload.startswith(b"JFIF\0") and len(payload) >= 14 and payload[5] != 1:
        revision = f"{payload[5]}.{payload[6]:02d}"
        return payload[:5] + b"\x01\x02" + payload[7:], f"its JFIF header names an unknown revision, {revision}"
    if segment.marker == _APP14 and payload.startswith(b"Adobe") and len(payload) >= 12:
        known = {3: (0, 1), 4: (0, 2)}.get(frame.payload[5])
        if known is not None and payload[11] not in known:
            assumed = bytes([known[1]])
            return payload[:11] + assumed + payload[12:], "its Adobe header names an unknown way to store colours"
    return payload, None


def _has_codes(jpeg: Jpeg) -> bool:
    """Whether the codes of all scans are in the file; libjpeg takes usual ones where damage has hidden them."""
    known: set[int] = set()
    for segment in jpeg.segments:
        at, payload = 0, segment.payload
        while segment.marker == DHT and at + 17 <= len(payload):
            known.add(payload[at])
            at += 17 + sum(payload[at + 1 : at + 17])
        if segment.marker == SOS and jpeg.frame is not None and jpeg.frame.marker in (0xC0, 0xC1):
            pairs = payload[2 : 2 + 2 * payload[0] : 2] if payload else b""
            if any(pair >> 4 not in known or 16 + (pair & 15) not in known for pair in pairs):
                return False
    return True


def _harmless(stray: bytes, before: Segment | None) -> bool:
    """Whether bytes between two headers can be passed over, or mean that a header which matters has lost bytes.

    Such a header takes the beginning of the next one for its own end, and what follows is the rest of that one.
    """
    if not stray.strip(b"\0\xff"):
        return True
    if before is None:
        return b"Adobe" not in stray
    if before.marker == COMMENT or before.marker in range(APP0, APP0 + 16):
        swallowed = before.payload.endswith(b"\xff") and (stray[0] in range(0xC0, 0xE0) or stray[0] == _APP14)
        return not swallowed and b"Adobe" not in stray
    return not _SWALLOWED.search(before.payload + stray[:1])


def _pictures(at: int, index: bytes) -> list[int]:
    """Where the pictures after the first lie, by the index of a multi-picture file (MPF, CIPA DC-007) at a place."""
    order: Literal["little", "big"] = "little" if index.startswith(b"II") else "big"

    def number(at: int, length: int) -> int:
        return int.from_bytes(index[at : at + length], order)

    start = number(4, 4)
    for entry in range(start + 2, start + 2 + 12 * min(number(start, 2), 64), 12):
        if number(entry, 2) == 0xB002:
            first, count = number(entry + 8, 4), min(number(entry + 4, 4) // 16, _MOST_PICTURES)
            return [at + number(first + 16 * picture + 8, 4) for picture in range(1, count)]
    return []


def _read(file: Buffer, at: int, length: int) -> bytes:
    return bytes(file[at : at + length])
