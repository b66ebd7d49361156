"""XMP packets: what must change in them when the picture does."""

from __future__ import annotations

import re

_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))[1-8]")
_SIDE = re.compile(rb"((?:tiff:Image|exif:Pixel[XY])(Width|Length|Dimension)(?:\s*=\s*[\"']|>))\d+")
_BEHIND = (
    re.compile(rb"\s*hdrgm:\w+\s*=\s*(\"[^\"]*\"|'[^']*')"),
    re.compile(rb"\s*(GCamera:(MotionPhoto|MicroVideo)\w*)\s*=\s*(\"[^\"]*\"|'[^']*')"),
    re.compile(rb"<hdrgm:(\w+)\b[^>]*?(/>|>.*?</hdrgm:\1>)", re.DOTALL),
    re.compile(rb"<Container:Directory\b.*?</Container:Directory>", re.DOTALL),
)
"""What makes viewers look for a gain map or a video behind the picture (Ultra HDR 1.0; Motion Photo 1.0)."""


def upright(packet: bytes) -> bytes:
    """The packet, saying that the picture is stored upright."""
    return _ORIENTATION.sub(rb"\g<1>1", packet)


def resized(packet: bytes, height: int, width: int) -> bytes:
    """The packet, stating this height and width of the picture where it states any.

    >>> resized(b'tiff:ImageWidth="40" tiff:ImageLength="30"', 60, 80)
    b'tiff:ImageWidth="80" tiff:ImageLength="60"'
    """

    def side(found: re.Match[bytes]) -> bytes:
        is_height = found[1].startswith((b"tiff:ImageLength", b"exif:PixelY"))
        return found[1] + str(height if is_height else width).encode()

    return _SIDE.sub(side, packet)


def alone(packet: bytes) -> bytes:
    """The packet, saying nothing of a gain map or a video behind the picture."""
    for part in _BEHIND:
        packet = part.sub(b"", packet)
    return packet
