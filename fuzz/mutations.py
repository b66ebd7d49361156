"""Ways in which bytes go wrong: on disks, in cameras' firmware, in hands that mean harm."""

from __future__ import annotations

import itertools
import random
import struct
import zlib
from collections.abc import Callable
from typing import TypeAlias

Mutation: TypeAlias = Callable[[bytes, random.Random], bytes]

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
"""Lengths, offsets and counts that programs do not expect."""

_MAGIC = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"RIFF\xff\xff\xff\xffWEBP",
    b"GIF89a",
)


def flip(data: bytes, chance: random.Random) -> bytes:
    """Turn single bits over, anywhere."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def spoil_header(data: bytes, chance: random.Random) -> bytes:
    """Other bytes near the beginning."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        found[chance.randrange(min(len(found), chance.choice((32, 256))))] = chance.randrange(256)
    return bytes(found)


def cut(data: bytes, chance: random.Random) -> bytes:
    """The beginning alone."""
    return data[: chance.randrange(len(data))]


def overwrite(data: bytes, chance: random.Random) -> bytes:
    """A block of a lost sector: zeros, ones, or anything."""
    start, end = _block(data, chance)
    filling = chance.choice((b"\0" * (end - start), b"\xff" * (end - start), chance.randbytes(end - start)))
    return data[:start] + filling + data[end:]


def zero_hole(data: bytes, chance: random.Random) -> bytes:
    """Zeros in place of some sectors behind the header."""
    start = chance.randrange(min(len(data), 600), len(data) + 1)
    length = chance.choice((40, 100, 512, 2048) if data[:2] in (b"II", b"MM") else (40, 100, 512, 2048, 4096))
    return data[:start] + bytes(min(length, len(data) - start)) + data[start + length :]


def zero_tail(data: bytes, chance: random.Random) -> bytes:
    """Zeros to the end, as a download leaves them that broke off in a file of full length; sometimes more of them."""
    start = chance.randrange(len(data))
    if data[:2] in (b"II", b"MM"):  # uncompressed, its zeros are black pixels, which nothing tells from real ones
        start = max(start, len(data) - 1024)
    return data[:start] + bytes(len(data) - start + chance.choice((0, 0, 1, 4096)))


def insert(data: bytes, chance: random.Random) -> bytes:
    """Bytes that do not belong there."""
    place = chance.randrange(len(data) + 1)
    return (
        data[:place] + chance.choice((b"\0", b"\xff", b"\r\n", chance.randbytes(chance.randint(1, 64)))) + data[place:]
    )


def remove(data: bytes, chance: random.Random) -> bytes:
    """Without a block."""
    start, end = _block(data, chance)
    return data[:start] + data[end:]


def append(data: bytes, chance: random.Random) -> bytes:
    """More after the end."""
    return data + chance.choice((b"\0" * 100, data, chance.randbytes(chance.randint(1, 300))))


def rewrite_number(data: bytes, chance: random.Random) -> bytes:
    """A number of two, four or eight bytes becomes one that nobody expects, mostly near the beginning."""
    size, order = chance.choice((2, 4, 4, 8)), chance.choice(("little", "big"))
    place = chance.randrange(max(1, min(len(data), chance.choice((64, 512, len(data)))) - size))
    number = chance.choice(NUMBERS) % 256**size if size < 8 else chance.choice((*NUMBERS, 2**63 - 1, 2**64 - 1))
    return data[:place] + number.to_bytes(size, order) + data[place + size :]


def wrong_magic(data: bytes, chance: random.Random) -> bytes:
    """The beginning of another format."""
    magic = chance.choice(_MAGIC)
    return magic + data[len(magic) :]


def mix_pieces(data: bytes, chance: random.Random) -> bytes:
    """Pieces of the file (chunks, segments) doubled, left out, or in another order."""
    found = pieces(data)
    for _ in range(chance.choice((1, 1, 2))):
        at = chance.randrange(len(found))
        match chance.choice(("double", "leave out", "swap", "reverse")):
            case "double":
                found.insert(chance.randrange(len(found) + 1), found[at])
            case "leave out" if len(found) > 1:
                del found[at]
            case "swap":
                other = chance.randrange(len(found))
                found[at], found[other] = found[other], found[at]
            case _:
                found[at:] = reversed(found[at:])
    return b"".join(found)


def spoil_piece(data: bytes, chance: random.Random) -> bytes:
    """Other bytes in one piece, which keeps its length (and checksum, if it has one)."""
    found = pieces(data)
    at = chance.randrange(len(found))
    piece = bytearray(found[at])
    png = data.startswith(b"\x89PNG") and len(piece) > 12
    first, last = (8, len(piece) - 4) if png else (min(4, len(piece) - 1), len(piece))
    for _ in range(chance.choice((1, 2, 8))):
        piece[chance.randrange(first, last)] = chance.choice((0, 255, chance.randrange(256)))
    if png:
        piece[-4:] = struct.pack(">I", zlib.crc32(piece[4:-4]))
    found[at] = bytes(piece)
    return b"".join(found)


def other_sides(data: bytes, chance: random.Random) -> bytes:
    """Another height or width in the header, with all checksums right."""
    side = chance.choice((0, 1, 60, 65, 300, 10000, 13000, 65535, 2**31 - 1))
    if data.startswith(b"\x89PNG"):
        place = chance.choice((16, 20))
        data = data[:place] + struct.pack(">I", side) + data[place + 4 :]
        return data[:29] + struct.pack(">I", zlib.crc32(data[12:29])) + data[33:]
    if data.startswith(b"\xff\xd8"):
        start = next((at for mark in (b"\xff\xc0", b"\xff\xc2") if (at := data.find(mark)) > 0), 2)
        place = start + chance.choice((5, 7))
        return data[:place] + struct.pack(">H", side % 65536) + data[place + 2 :]
    if data.startswith(b"RIFF"):
        place = chance.choice((24, 26, 27))
        return data[:place] + struct.pack("<I", side)[:2] + data[place + 2 :]
    return set_entry(data, chance, only=(256, 257, 278, 322, 323), values=(side,))


def set_entry(
    data: bytes, chance: random.Random, only: tuple[int, ...] = (), values: tuple[int, ...] = (*NUMBERS, 2, 3, 5, 6, 8)
) -> bytes:
    """A field of an entry of a TIFF's first directory: its tag, type, count or value."""
    places = _entries(data)
    order = "<" if data.startswith(b"II") else ">"
    if only:
        places = [at for at in places if struct.unpack_from(order + "H", data, at)[0] in only]
    if not places:
        return rewrite_number(data, chance)
    at, value = chance.choice(places), chance.choice(values)
    field, form = (8, "I") if only else chance.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "I"), (8, "I")))
    short = field == 8 and struct.unpack_from(order + "H", data, at + 2)[0] == 3
    form = "H" if short else form
    found = bytearray(data)
    struct.pack_into(order + form, found, at + field, value % 256 ** struct.calcsize(form))
    return bytes(found)


def order_entries(data: bytes, chance: random.Random) -> bytes:
    """The entries of a TIFF's first directory in another order, or one of them in another's place."""
    places = _entries(data)
    if len(places) < 2:
        return mix_pieces(data, chance)
    found = bytearray(data)
    one, other = chance.sample(places, 2)
    found[one : one + 12] = data[other : other + 12]
    if chance.random() < 0.6:
        found[other : other + 12] = data[one : one + 12]
    return bytes(found)


def pieces(data: bytes) -> list[bytes]:
    """A file cut where its format cuts it; the whole again when joined."""
    ends = [0, *_ends(data), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(ends) if b > a]


def _ends(data: bytes) -> list[int]:
    if data.startswith(b"\x89PNG"):
        found = [8]
        while found[-1] + 12 <= len(data):
            found.append(found[-1] + 12 + struct.unpack_from(">I", data, found[-1])[0])
        return found
    if data.startswith(b"RIFF"):
        found = [12]
        while found[-1] + 8 <= len(data):
            size = struct.unpack_from("<I", data, found[-1] + 4)[0]
            found.append(found[-1] + 8 + size + size % 2)
        return found
    if data.startswith(b"\xff\xd8"):
        markers = (at for at in range(2, len(data) - 1) if data[at] == 0xFF and data[at + 1] not in (0, 0xFF))
        return list(markers)
    return list(range(8, len(data), max(1, len(data) // 12)))


def _entries(data: bytes) -> list[int]:
    """Where the entries of a TIFF's (not a BigTIFF's) first directory begin."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return []
    start = struct.unpack_from(order + "I", data, 4)[0]
    if start + 2 > len(data):
        return []
    count = struct.unpack_from(order + "H", data, start)[0]
    return [at for index in range(count) if (at := start + 2 + 12 * index) + 12 <= len(data)]


def _block(data: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randrange(len(data))
    return start, min(len(data), start + chance.choice((1, 4, 64, 512, 2048)))


ANY: tuple[Mutation, ...] = (
    flip, spoil_header, cut, overwrite, zero_hole, zero_tail, insert, remove, append, rewrite_number
)  # fmt: skip
"""For files of any format."""

OF_IMAGES: tuple[Mutation, ...] = (
    *ANY,
    wrong_magic,
    mix_pieces,
    mix_pieces,
    spoil_piece,
    spoil_piece,
    other_sides,
    set_entry,
    order_entries,
)
"""For pictures: the same, and what knows of their pieces."""
