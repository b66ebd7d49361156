"""XMP packets: what must change in them when the picture does."""

from __future__ import annotations

import re

_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))[1-8]")
_GAIN_MAP = (
    re.compile(rb"\s*hdrgm:\w+\s*=\s*(\"[^\"]*\"|'[^']*')"),
    re.compile(rb"<hdrgm:(\w+)\b[^>]*?(/>|>.*?</hdrgm:\1>)", re.DOTALL),
    re.compile(rb"<Container:Directory\b.*?</Container:Directory>", re.DOTALL),
)
"""What tells viewers to look for a gain map behind the picture (Ultra HDR 1.0)."""


def upright(packet: bytes) -> bytes:
    """The packet, saying that the picture is stored upright."""
    return _ORIENTATION.sub(rb"\g<1>1", packet)


def without_gain_map(packet: bytes) -> bytes:
    """The packet, saying nothing of a gain map."""
    for part in _GAIN_MAP:
        packet = part.sub(b"", packet)
    return packet
