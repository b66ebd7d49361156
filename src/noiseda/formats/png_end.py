"""PNG: whether a file ends as it should.

Source: the PNG specification (third edition), section 5.
"""

from __future__ import annotations

from typing import BinaryIO


def has_end(file: BinaryIO) -> bool:
    """Whether the chunk that ends a PNG file is there, whole."""
    size = file.seek(0, 2)
    file.seek(max(size - 8, 0))
    if file.read(4) == b"IEND":
        return True
    at = 8
    while at + 12 <= size:
        file.seek(at)
        length, name = int.from_bytes(file.read(4), "big"), file.read(4)
        if name == b"IEND":
            return True
        at += 12 + length
    return False
