"""Files of torch.save, in the zip archive of today or the stream of before: tensors described, and read when asked for.

Nothing is unpickled: see :mod:`noiseda.restoration.pickles`. What the file says of sizes is held against its own before
any memory is taken.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from noiseda.restoration import pickles
from noiseda.restoration.kinds import archive_kind
from noiseda.restoration.pickles import Lying, PickleError
from noiseda.restoration.stored import FLOATS, WHOLE, Stored

LONGEST = 2**25
"""Bytes of the longest pickle; a network's has some 200 for each tensor."""

DEPTH = 6
"""How deep weights may lie among what a training program saved."""

DIMENSIONS = 8
_MAGIC = 0x1950A86A20F9469CFC6C
_DAMAGED = "is a damaged zip archive; it may be truncated"

Span = tuple[int, int]  # where in the file, how many bytes
Where = Callable[[str], Span]


def is_archive(start: bytes) -> bool:
    """Whether a file that begins so may be one of torch.save.

    A safetensors file can begin with the mark of a pickle, as the length of its header, but that header, ``{...}``,
    follows.
    """
    return (start[:1] == b"\x80" and start[8:9] != b"{") or start[:4] == b"PK\x03\x04"


def described(path: Path) -> object:
    """What a file of torch.save holds: mappings, lists, numbers and texts, each tensor as :class:`Stored`.

    Raises:
        PickleError: It is none, is damaged, or holds more than tensors.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
        file.seek(0)
        content, where = _zipped(file, path) if zipped else _streamed(file, path)
    return _with_tensors(content, path, where)


class _Frugal(io.BufferedReader):
    """A file of which no list of members longer than a network's is read."""

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file."""
        if size is not None and size > LONGEST // 4:
            raise ValueError("a directory of so many members is no network's")
        return super().read(size)


def _zipped(file: io.BufferedReader, path: Path) -> tuple[object, Where]:
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(_Frugal(path.open("rb", buffering=0))) as archive:
            members = {member.filename: member for member in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error, MemoryError) as error:
        raise PickleError(_DAMAGED) from error
    mains = [name for name in members if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(mains) != 1 or any("/code/" in f"/{name}" for name in members):
        raise PickleError(archive_kind(list(members)))
    # torch.save compresses nothing: a member never needs more memory than it has bytes in the file.
    if any(member.compress_type or member.compress_size != member.file_size for member in members.values()):
        raise PickleError("holds compressed members, which torch.save never writes: refused")
    if sum(member.file_size for member in members.values()) > size:
        raise PickleError("holds members larger than the file itself: refused")

    def span(name: str) -> Span:
        member = members[name]
        file.seek(max(member.header_offset, 0))
        head = file.read(30)
        if member.header_offset < 0 or len(head) < 30 or head[:4] != b"PK\x03\x04":
            raise PickleError(_DAMAGED)
        begins = member.header_offset + 30 + sum(struct.unpack("<HH", head[26:30]))
        if begins + member.file_size > size:
            raise PickleError(_DAMAGED)
        return begins, member.file_size

    folder = mains[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in members and _bytes(file, span(f"{folder}byteorder")) == b"big":
        raise PickleError("was written by a machine of another order of bytes (big-endian)")
    begins, length = span(mains[0])
    if length > LONGEST:
        raise PickleError(f"holds a pickle of {length:,} bytes beside its tensors, which no network needs")
    found = pickles.read(io.BytesIO(_bytes(file, (begins, length))))
    spans = {name: span(name) for name in members if name.startswith(f"{folder}data/")}
    return found, lambda key: spans[f"{folder}data/{key}"]


def _streamed(file: io.BufferedReader, path: Path) -> tuple[object, Where]:
    """The format of torch before 1.6: five pickles, then the numbers, each with its count before it."""
    size = path.stat().st_size
    stream = io.BytesIO(file.read(LONGEST))
    if pickles.read(stream) != _MAGIC:
        raise PickleError("is a plain pickle, not a file of torch.save: it holds no weights by name")
    places: list[pickles.Place] = []
    _, system, content, keys = (pickles.read(stream, places) for _ in range(4))
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise PickleError("was written by a machine of another order of bytes (big-endian)")
    widths = {place.key: _width(place.type) for place in places}
    spans: dict[str, Span] = {}
    at = stream.tell()
    for key in keys if isinstance(keys, list) else []:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head, "little") * widths.get(str(key), 0)
        if len(head) < 8 or not length or at + 8 + length > size:
            raise PickleError("is a pickle whose tensors are missing; it may be truncated")
        spans[str(key)] = at + 8, length
        at += 8 + length
    return content, lambda key: spans[key]


def _width(type: str) -> int:
    """Bytes of a number in a storage of some type; 0 where no such type is known."""
    other = {"int8": 1, "complex64": 8, "complex128": 16, "QInt8": 1, "QUInt8": 1, "QInt32": 4, "QUInt4x2": 1}
    return (FLOATS | WHOLE | other).get(pickles.DTYPES.get(type, type), 0)


def _with_tensors(content: object, path: Path, where: Where) -> object:
    def stored(lying: Lying) -> Stored:
        width = (FLOATS | WHOLE).get(lying.dtype, 0)
        if lying.odd or lying.place is None or not width:
            return Stored((), lying.dtype, _nothing, lying.odd or f"of {lying.dtype}")
        place, shape, strides = lying.place, lying.shape, lying.strides
        try:
            begins, length = where(place.key)
        except KeyError:
            return Stored((), lying.dtype, _nothing, "without its numbers, which are not in the file")
        if len(shape) > DIMENSIONS or min((lying.offset, *shape, *strides)) < 0:
            return Stored((), lying.dtype, _nothing, "of an impossible shape")
        if 0 in shape:
            return Stored(shape, lying.dtype, _nothing)
        numbers = place.count if place.type != "Untyped" else place.count // width
        span = 1 + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))
        if lying.offset + span > numbers or numbers * width > length:
            return Stored((), lying.dtype, _nothing, "larger than its numbers in the file")

        def read() -> Tensor:
            numbers = bytearray(span * width)
            with path.open("rb") as file:
                file.seek(begins + lying.offset * width)
                if file.readinto(numbers) < len(numbers):
                    raise OSError("it became shorter")
            return torch.frombuffer(numbers, dtype=getattr(torch, lying.dtype)).as_strided(shape, strides)

        return Stored(shape, lying.dtype, read, span=span)

    return _changed(content, stored)


def _changed(content: object, change: Callable[[Lying], Stored]) -> object:
    """Mappings and lists with each tensor changed; what lies deep, as in what holds itself, is left out."""
    done: dict[tuple[int, int], object] = {}

    def walk(node: object, depth: int) -> object:
        if isinstance(node, Lying):
            return change(node)
        if not isinstance(node, dict | list | tuple) or depth > DEPTH:
            return None if isinstance(node, dict | list | tuple) else node
        place = id(node), depth
        if place not in done:
            pairs = node.items() if isinstance(node, dict) else enumerate(node)
            changed = {key: walk(value, depth + 1) for key, value in pairs}
            done[place] = changed if isinstance(node, dict) else list(changed.values())
        return done[place]

    return walk(content, 0)


def _bytes(file: io.BufferedReader, span: Span) -> bytes:
    file.seek(span[0])
    content = file.read(span[1])
    if len(content) < span[1]:
        raise PickleError(_DAMAGED)
    return content


def _nothing() -> Tensor:
    raise AssertionError("what is odd is never read")
