"""JPEG: segments (ITU-T T.81, annex B; JFIF; Exif; XMP part 3), read as far as the end of the picture.

A new file gets them behind its first marker, in the usual order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from noiseda.formats import photoshop, xmp
from noiseda.formats.exif import PREFIX, without_prefix
from noiseda.formats.exif import orientation as exif_orientation
from noiseda.formats.extras import DENSITY, Buffer, Extras, Native
from noiseda.formats.jpeg_segments import APP0, COMMENT, segments

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_OF_THE_FILE = (b"ICC_PROFILE\0", b"MPF\0", b"urn:iso:std:iso:ts:21496")
"""Of APP2: the profile, which the decoder finds, and where other pictures and their gain map lie."""
_LONGEST = 65533


def orientation(content: Buffer) -> int:
    """The orientation that the EXIF block before the picture asks for, 1 to 8; viewers look at no other."""
    for segment in segments(content, lambda scan: True):
        if segment.marker == APP0 + 1 and segment.payload.startswith(b"Exif"):
            return exif_orientation(without_prefix(segment.payload))
    return 1


def read(content: Buffer) -> Extras:
    """What a JPEG file holds beside its samples."""
    native: list[Native] = []
    exif = packet = None
    irb = b""
    left_out: list[str] = []
    for marker, body in ((segment.marker, segment.payload) for segment in segments(content)):
        if marker != COMMENT and not APP0 <= marker < APP0 + 16:
            continue
        if marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 12:
            native.append((DENSITY, written(0xE0, body[:12] + b"\0\0")))  # without thumbnail
        elif marker == 0xE1 and without_prefix(body) is not body:
            exif = exif or without_prefix(body)
        elif marker == 0xE1 and body.startswith(_XMP):
            packet = packet or body.removeprefix(_XMP)
        elif marker == 0xE1 and body.startswith(_MORE_XMP):
            native.append(("extended XMP", written(0xE1, body)))
        elif marker == 0xED and body.startswith(_PHOTOSHOP):
            irb += body.removeprefix(_PHOTOSHOP)
        elif marker == COMMENT:
            native.append(("comment", written(COMMENT, body)))
        elif marker == 0xEB and body.startswith(b"JP"):
            left_out.append("its signed history (JUMBF) is of the old picture and was left out")
        elif not (marker in (0xE0, 0xEE) or body.startswith(_OF_THE_FILE)):  # JFXX, Adobe: how samples are stored
            native.append((f"APP{marker - 0xE0} block", written(marker, body)))
    return Extras(
        exif=exif,
        xmp=packet and xmp.alone(packet),
        photoshop=photoshop.without_thumbnail(irb) or None,
        native=tuple(native),
        resolution=_resolution(native),
        orientation=orientation(content),
        left_out=tuple(dict.fromkeys(left_out)),
    )


def put(head: bytes, extras: Extras) -> bytes | None:
    """The beginning of a JPEG file that holds all this too.

    Args:
        head: The beginning as it was encoded, without JFIF, Exif and the like.
        extras: What to put in; its native blocks must be JPEG's, and no block longer than :func:`too_long` allows.

    Returns:
        None where ``head`` is too short.
    """
    return None if len(head) < 2 else head[:2] + b"".join(_made(extras)) + head[2:]


def too_long(extras: Extras) -> list[str]:
    """The kinds of blocks that are longer than a segment can be."""
    found = [("EXIF", extras.exif, len(PREFIX)), ("XMP", extras.xmp, len(_XMP))]
    return [name for name, block, prefix in found if block is not None and prefix + len(block) > _LONGEST]


def written(marker: int, body: bytes) -> bytes:
    """A segment with its marker and length."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _made(extras: Extras) -> Iterator[bytes]:
    first = [block for name, block in extras.native if name == DENSITY]
    yield from first[:1]
    if not first and extras.resolution is not None:
        dots = (min(65535, max(1, round(value * 25.4))) for value in extras.resolution)
        yield written(0xE0, b"JFIF\0\1\2" + struct.pack(">BHHBB", 1, *dots, 0, 0))
    if extras.exif is not None:
        yield written(0xE1, PREFIX + extras.exif)
    if extras.xmp is not None:
        yield written(0xE1, _XMP + extras.xmp)
    resources = extras.photoshop or b""
    if extras.iptc and photoshop.iptc(resources) is None:
        resources = photoshop.with_iptc(resources, extras.iptc)
    step = _LONGEST - len(_PHOTOSHOP)
    for start in range(0, len(resources), step):
        yield written(0xED, _PHOTOSHOP + resources[start : start + step])
    yield from (block for name, block in extras.native if name != DENSITY)


def _resolution(native: list[Native]) -> tuple[float, float] | None:
    body = next((block[4:] for name, block in native if name == DENSITY), b"")
    if len(body) < 12 or body[7] not in (1, 2):
        return None
    millimetres = 25.4 if body[7] == 1 else 10.0
    across, down = struct.unpack(">HH", body[8:12])
    return (across / millimetres, down / millimetres) if across and down else None
