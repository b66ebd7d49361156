"""PNG: whether a file ends as it should.

Source: the PNG specification (third edition), section 5.
"""

from __future__ import annotations

from noiseda.formats.ifd import Buffer


def has_end(file: Buffer) -> bool:
    """Whether the chunk that ends a PNG file is there, whole."""
    at = 8
    while at + 12 <= len(file):
        length, name = int.from_bytes(file[at : at + 4], "big"), file[at + 4 : at + 8]
        if name == b"IEND":
            return True
        at += 12 + length
    return False
