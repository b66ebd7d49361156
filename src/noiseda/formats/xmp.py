"""XMP packets: what must change in them when the picture does."""

from __future__ import annotations

import re

_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))[1-8]")
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


def alone(packet: bytes) -> bytes:
    """The packet, saying nothing of a gain map or a video behind the picture."""
    for part in _BEHIND:
        packet = part.sub(b"", packet)
    return packet
