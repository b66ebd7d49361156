"""WebP: chunks of its container (RFC 9649, section 2.7), read, and put into a new file."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from noiseda.formats.exif import orientation, without_prefix
from noiseda.formats.extras import Buffer, Extras
from noiseda.formats.pieces import Piece

_FLAGS = {b"ICCP": 0x20, b"ALPH": 0x10, b"EXIF": 0x08, b"XMP ": 0x04}


def read(content: Buffer) -> Extras:
    """What a WebP file holds beside its samples."""
    found: dict[bytes, bytes] = {}
    left_out = []
    for kind, start, length in _chunks(content):
        if kind in (b"EXIF", b"XMP "):
            found.setdefault(kind, bytes(content[start : start + length]))
        elif kind not in (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP", b"ANIM", b"ANMF"):
            left_out.append(f"its {kind.decode('latin-1').strip()!r} chunk is unknown and was left out")
    exif = without_prefix(found[b"EXIF"]) if b"EXIF" in found else None
    return Extras(
        exif=exif,
        xmp=found.get(b"XMP "),
        orientation=1 if exif is None else orientation(exif),
        left_out=tuple(dict.fromkeys(left_out)),
    )


def mend(content: Buffer) -> tuple[list[Piece], list[str]] | None:
    """The same picture with the length it has, where its header states a wrong one and all of its chunks are there.

    Returns:
        What the mended file is made of, and what was odd; None where nothing can be mended.
    """
    parts = list(_chunks(content))
    if not any(kind in (b"VP8 ", b"VP8L", b"ANMF") for kind, _, _ in parts):
        return None
    _, start, length = parts[-1]
    end, size = start + length + length % 2, len(content)
    stated = int.from_bytes(content[4:8], "little") + 8
    if min(end, size) == stated or (stated > size and end < size):
        return None
    padding = b"\0" * max(end - size, 0)
    pieces: list[Piece] = [(0, 4), struct.pack("<I", end - 8), (8, min(end, size)), padding]
    return pieces, ["its header has a wrong length, but all of its pixels are there"]


def put(content: bytes, extras: Extras) -> bytes:
    """A WebP file that holds all this too.

    Args:
        content: The whole file, as it was encoded.
        extras: What to put in.
    """
    parts = [(kind, content[start : start + length]) for kind, start, length in _chunks(content)]
    image = [part for part in parts if part[0] in (b"ALPH", b"VP8 ", b"VP8L")]
    profile = [part for part in parts if part[0] == b"ICCP"]
    blocks = [(kind, block) for kind, block in ((b"EXIF", extras.exif), (b"XMP ", extras.xmp)) if block is not None]
    if not (profile or blocks):
        return content
    extended = next((bytearray(body) for kind, body in parts if kind == b"VP8X"), None) or _extended(image)
    extended[0] |= sum({_FLAGS[kind] for kind, _ in [*profile, *blocks]})
    made = b"".join(_chunk(kind, body) for kind, body in [(b"VP8X", bytes(extended)), *profile, *image, *blocks])
    return b"RIFF" + struct.pack("<I", 4 + len(made)) + b"WEBP" + made


def _extended(image: list[tuple[bytes, bytes]]) -> bytearray:
    """The body of a VP8X chunk for the lossless or lossy image data of a simple file."""
    kind, body = image[-1]
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        width, height, alpha = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bits >> 28 & 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack("<HH", body[6:10]))
        alpha = int(len(image) > 1)
    flags = _FLAGS[b"ALPH"] if alpha else 0
    return bytearray(struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


def _chunks(content: Buffer) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and length of the body of each chunk."""
    at = 12
    while at + 8 <= len(content):
        kind, length = struct.unpack("<4sI", content[at : at + 8])
        if at + 8 + length > len(content) or not kind.isascii():
            return
        yield kind, at + 8, length
        at += 8 + length + length % 2


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
