"""Photoshop's image resources, the wrapping that IPTC records have in JPEG files.

Source: Adobe Photoshop File Formats Specification, "Image Resource Blocks".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_IPTC = 0x0404
_THUMBNAILS = (0x0409, 0x040C)


def without_thumbnail(block: bytes) -> bytes:
    """The resources, but for the thumbnails, which would show the old picture."""
    return b"".join(part for number, _, part in _resources(block) if number not in _THUMBNAILS)


def iptc(block: bytes) -> bytes | None:
    """The IPTC records among the resources."""
    return next((body for number, body, _ in _resources(block) if number == _IPTC), None)


def with_iptc(block: bytes, records: bytes) -> bytes:
    """The resources, with IPTC records added to them."""
    return block + struct.pack(">4sHHI", b"8BIM", _IPTC, 0, len(records)) + records + b"\0" * (len(records) % 2)


def split(block: bytes) -> tuple[bytes | None, bytes | None]:
    """A block that holds either of them as (resources, records)."""
    block = block.removeprefix(b"Photoshop 3.0\0")
    return (block, None) if block[:4] == b"8BIM" else (None, block or None)


def _resources(block: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, content and all bytes of each resource; the last one may be what cannot be understood (number -1)."""
    at = 0
    while at < len(block):
        name = block[at + 6] + 1 if at + 6 < len(block) else 0
        start = at + 6 + name + name % 2 + 4
        if block[at : at + 4] not in (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR") or start > len(block):
            yield -1, b"", block[at:]
            return
        length = int.from_bytes(block[start - 4 : start], "big")
        end = min(len(block), start + length + length % 2)
        yield int.from_bytes(block[at + 4 : at + 6], "big"), block[start : start + length], block[at:end]
        at = end
