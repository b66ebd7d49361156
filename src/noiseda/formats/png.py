"""PNG: chunks (PNG, third edition), read from anywhere in the file, and put behind the header of a new one."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from noiseda.formats import colour, photoshop
from noiseda.formats.colour import Colour
from noiseda.formats.exif import orientation, without_prefix
from noiseda.formats.extras import DENSITY, Buffer, Extras, Native

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP = b"XML:com.adobe.xmp"
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_COLOUR = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"mDCv", b"cLLi")
_KEPT = {b"tIME": "time"}
_RAW = re.compile(rb"Raw profile type (\w+)\0")
_LARGEST = 64 << 20
"""Bytes that a compressed text may unpack to."""


def read(content: Buffer) -> Extras:
    """What a PNG file holds beside its samples; chunks that are cut or damaged are passed over."""
    native: list[Native] = []
    exif = xmp = icc = iptc = irb = None
    chunks: dict[bytes, bytes] = {}
    animated = False
    left_out: list[str] = []
    for kind, start, length in _chunks(content):
        if kind in (b"IHDR", b"IDAT", b"PLTE", b"tRNS", b"iCCP", b"fdAT", b"fcTL", b"hIST", b"sBIT", b"IEND"):
            continue
        body = bytes(content[start : start + length])
        if int.from_bytes(content[start + length : start + length + 4], "big") != zlib.crc32(kind + body):
            left_out.append(f"its {_name(kind)} block is damaged: CRC error")
            continue
        chunks.setdefault(kind, body)
        if kind == b"eXIf":
            exif = exif or without_prefix(body)
        elif kind == b"iTXt" and (packet := _packet(body)) is not None:
            xmp = xmp or packet
        elif kind in (b"tEXt", b"zTXt") and (raw := _raw_profile(kind, body)) is not None:
            name, profile = raw
            if name in (b"exif", b"app1") and profile[:4] == b"Exif":
                exif = exif or without_prefix(profile)
            elif name == b"xmp" or (name == b"app1" and b"xpacket" in profile[:400]):
                xmp = xmp or profile.removeprefix(b"http://ns.adobe.com/xap/1.0/\0")
            elif name in (b"icc", b"icm"):
                icc = icc or profile
            elif name in (b"iptc", b"8bim"):
                irb, iptc = photoshop.split(profile)
            else:
                native.append(("text", chunk(kind, body)))
        elif kind in _TEXT:
            native.append(("text", chunk(kind, body)))
        elif kind in _COLOUR:
            native.append(("colours", chunk(kind, body)))
        elif kind == b"pHYs":
            native.append((DENSITY, chunk(kind, body)))
        elif kind == b"acTL":
            animated = True
        elif kind in _KEPT or kind[3:4].islower():  # safe to copy, says the chunk itself
            native.append((_KEPT.get(kind, f"{_name(kind)} chunk"), chunk(kind, body)))
        elif kind not in (b"bKGD", b"sPLT"):
            left_out.append(f"its {_name(kind)} chunk may not be copied to a changed picture and was left out")
    if animated:
        left_out.append("it is animated; the first picture was taken")
    return Extras(
        exif=exif,
        xmp=xmp,
        iptc=iptc,
        photoshop=irb,
        icc=icc,
        colour=_colour(chunks),
        native=tuple(native),
        resolution=_resolution(chunks.get(b"pHYs", b"")),
        orientation=1 if exif is None else orientation(exif),
        left_out=tuple(left_out),
    )


def put(head: bytes, extras: Extras) -> bytes | None:
    """The beginning of a PNG file that holds all this too.

    Args:
        head: The beginning as it was encoded.
        extras: What to put in; its native blocks must be PNG's.

    Returns:
        None where ``head`` ends before its first samples.
    """
    chunks = list(_chunks(head))
    if not any(kind in (b"IDAT", b"PLTE") for kind, _, _ in chunks) and b"IDAT" not in head:
        return None
    made, at = SIGNATURE, len(SIGNATURE)
    for kind, start, length in chunks:
        if kind in (b"IDAT", b"PLTE"):
            break
        at = start + length + 4
        if kind != b"pHYs":  # the encoder's own
            made += head[start - 8 : at]
    return made + b"".join(_made(extras)) + head[at:]


def _made(extras: Extras) -> Iterator[bytes]:
    native = [block for _, block in extras.native]
    yield from native
    if extras.resolution is not None and not any(name == DENSITY for name, _ in extras.native):
        across, down = (min(2**31 - 1, round(value * 1000)) for value in extras.resolution)
        yield chunk(b"pHYs", struct.pack(">IIB", across, down, 1))
    if extras.exif is not None:
        yield chunk(b"eXIf", extras.exif)
    if extras.xmp is not None:
        yield chunk(b"iTXt", _XMP + b"\0\0\0\0\0" + extras.xmp)
    if extras.photoshop or extras.iptc:  # as ImageMagick and ExifTool write and read it
        block = extras.photoshop or photoshop.with_iptc(b"", extras.iptc or b"")
        text = b"\niptc\n%8d\n" % len(block) + re.sub(rb"(.{72})", rb"\1\n", block.hex().encode()) + b"\n"
        yield chunk(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text))


def has_end(content: Buffer) -> bool:
    """Whether the chunk that ends a PNG file is there, whole."""
    return content[-8:-4] == b"IEND" or any(kind == b"IEND" for kind, _, _ in _chunks(content))


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(content: Buffer) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and length of the body of each whole chunk."""
    at = len(SIGNATURE)
    while at + 12 <= len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        if at + 12 + length > len(content) or not kind.isalpha():
            return
        yield kind, at + 8, length
        at += 12 + length
        if kind == b"IEND":
            return


def _name(kind: bytes) -> str:
    return kind.decode("ascii")


def _packet(body: bytes) -> bytes | None:
    """The XMP packet of an iTXt chunk, if it holds one."""
    key, _, rest = body.partition(b"\0")
    parts = rest[2:].split(b"\0", 2)
    if key != _XMP or len(rest) < 2 or len(parts) < 3:
        return None
    return _unpacked(parts[2]) if rest[0] else parts[2]


def _raw_profile(kind: bytes, body: bytes) -> tuple[bytes, bytes] | None:
    """Name and bytes of a block that an old program wrote as hexadecimal text, if a text chunk is one."""
    found = _RAW.match(body)
    if found is None:
        return None
    text = body[found.end() :]
    content = _unpacked(text[1:]) if kind == b"zTXt" else text
    fields = (content or b"").split(None, 2)  # its name, its length, and the bytes
    try:
        return found[1].lower(), bytes.fromhex(fields[2].decode("ascii"))[: int(fields[1])]
    except (IndexError, ValueError):
        return None


def _unpacked(data: bytes) -> bytes | None:
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(data, _LARGEST)
    except zlib.error:
        return None
    return content if unpacker.eof else None


def _resolution(body: bytes) -> tuple[float, float] | None:
    if len(body) != 9:
        return None
    across, down, unit = struct.unpack(">IIB", body)
    return (across / 1000, down / 1000) if unit == 1 and across and down else None


def _colour(chunks: dict[bytes, bytes]) -> Colour | None:
    """What the chunks say, the strongest first: cICP, sRGB, then gAMA and cHRM."""
    if len(codes := chunks.get(b"cICP", b"")) == 4 and (found := colour.from_cicp((*codes,))) is not None:
        return found
    if b"sRGB" in chunks:
        return None
    gamma = int.from_bytes(body, "big") / 100_000 if len(body := chunks.get(b"gAMA", b"")) == 4 else 0.0
    points = struct.unpack(">8I", body) if len(body := chunks.get(b"cHRM", b"")) == 32 else ()
    if not gamma and not points:
        return None
    pairs = [(x / 100_000, y / 100_000) for x, y in zip(points[::2], points[1::2], strict=True)]
    primaries = (pairs[0], pairs[1], pairs[2], pairs[3]) if pairs else colour.BT709
    return Colour(primaries, gamma=1 / gamma if gamma else None)
