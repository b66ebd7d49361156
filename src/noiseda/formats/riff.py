"""WebP: the length that a file's header tells, put right where all of its chunks are there.

Source: RFC 9649, section 2 (RIFF).
"""

from __future__ import annotations

from noiseda.formats.ifd import Buffer
from noiseda.formats.pieces import Piece

_PIXELS = frozenset({b"VP8 ", b"VP8L", b"ANMF"})


def mend(file: Buffer) -> tuple[list[Piece], list[str]] | None:
    """The same picture with the length it has.

    Args:
        file: A file that begins as WebP files do.

    Returns:
        What the mended file is made of, and what was odd; None where nothing can be mended.
    """
    size = len(file)
    told = int.from_bytes(file[4:8], "little") + 8
    at, found = 12, False
    while at + 8 <= size:
        name, length = bytes(file[at : at + 4]), int.from_bytes(file[at + 4 : at + 8], "little")
        if at + 8 + length > size or not name.isascii():
            break
        found |= name in _PIXELS
        at += 8 + length + length % 2
    if not found or min(at, size) == told or (told > size and at < size):
        return None
    padding = b"\0" * max(at - size, 0)
    pieces: list[Piece] = [(0, 4), (at - 8).to_bytes(4, "little"), (8, min(at, size)), padding]
    return pieces, ["its header tells a wrong length, but all of its pixels are there"]
