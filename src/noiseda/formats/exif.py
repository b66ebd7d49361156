"""EXIF blocks: which way up the picture is, and what must change in the block when it is turned.

An EXIF block is a small TIFF file: a header, then directories (IFDs) of entries. Source: Exif 2.3 (JEITA CP-3451C),
section 4.6. One parser decides both what :func:`orientation` reads and what :func:`oriented` sets, so that a picture is
never turned while its tag stays.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from noiseda.formats import ifd
from noiseda.formats.ifd import Field, Layout

PREFIX = b"Exif\0\0"
"""What stands before the block in JPEG, and sometimes elsewhere."""

_ORIENTATION = 0x0112
_EXIF = 0x8769
_THUMBNAIL = 0x0201  # where it stands; the next tag: its length
_SIDES = {0xA002: 0xA003, 0xA003: 0xA002}  # width and height of the picture, in the Exif directory
_WIDTHS, _HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)  # in the main and in the Exif directory
_COUNTING = {1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4}  # types of whole numbers -> bytes


def turn(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """(H, W, C) as stored -> as meant to be seen, by the orientation tag's eight values; a view."""
    if orientation >= 5:
        samples = samples.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return samples


def turn_back(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """(H, W, C) as meant to be seen -> as stored: what undoes :func:`turn`; a view."""
    return turn(samples, {6: 8, 8: 6}.get(orientation, orientation))


def without_prefix(block: bytes) -> bytes:
    """The block from its TIFF header on."""
    return block[6:] if block[:4] == b"Exif" and block[4:6] in (b"\0\0", b"\0\xff") else block


def orientation(block: bytes) -> int:
    """The orientation that an EXIF block asks for, 1 to 8; 1 where it asks for none.

    Args:
        block: From its TIFF header on.
    """
    try:
        layout, at = ifd.header(block)
    except ValueError:
        return 1
    return orientation_in(block, at, layout)


def orientation_in(data: ifd.Buffer, at: int, layout: Layout) -> int:
    """The orientation in the directory at an offset, 1 to 8; 1 where there is none."""
    found = [_counted(data, field, layout) for field in ifd.fields(data, at, layout) if _is_orientation(field)]
    return next((value for value in found if 1 <= value <= 8), 1)


def oriented(block: bytes, *, sideways: bool) -> bytes:
    """The same block, patched in place: orientation 1 (upright), and no thumbnail, which would show the old picture.

    A block that is no TIFF file is returned as it is; nobody finds an orientation in it either.

    Args:
        block: From its TIFF header on.
        sideways: Whether the picture was turned by a quarter, so that width and height change places.
    """
    try:
        layout, at = ifd.header(block)
    except ValueError:
        return block
    patched = bytearray(block)
    for field in ifd.fields(block, at, layout):
        if _is_orientation(field):
            width = _COUNTING[field.kind]
            patched[field.place : field.place + width] = layout.write(1, width)
        if sideways and field.tag == _EXIF and field.kind in _COUNTING and field.count == 1:
            _swap_sides(block, patched, _counted(block, field, layout), layout)
    if following := ifd.next_directory(block, at, layout):
        word = 8 if layout.big else 4
        patched[following[0] : following[0] + word] = b"\0" * word
        _wipe_thumbnail(block, patched, following[1], layout)
    return bytes(patched)


def resized(block: bytes, height: int, width: int) -> bytes:
    """The same block, patched in place: where it states the height and the width of the picture, these ones.

    A block that is no TIFF file is returned as it is.

    Args:
        block: From its TIFF header on.
        height: In pixels.
        width: In pixels.
    """
    try:
        layout, at = ifd.header(block)
    except ValueError:
        return block
    patched = bytearray(block)
    for directory in (at, *_inner(block, at, layout)):
        for field in ifd.fields(block, directory, layout):
            if field.tag in (*_WIDTHS, *_HEIGHTS) and field.kind in _COUNTING and field.count == 1:
                # As a long in any case: a short may be too small for what grew.
                length = height if field.tag in _HEIGHTS else width
                value = layout.write(4, 2) + layout.write(1, layout.wide) + layout.write(length, 4)
                patched[field.entry + 2 : field.entry + 2 + len(value)] = value
    return bytes(patched)


def _inner(block: bytes, at: int, layout: Layout) -> list[int]:
    """Where the Exif directory stands, as the main one at an offset says; none or one."""
    found = [field for field in ifd.fields(block, at, layout) if field.tag == _EXIF]
    return [_counted(block, field, layout) for field in found if field.kind in _COUNTING and field.count == 1][:1]


def _wipe_thumbnail(block: bytes, patched: bytearray, at: int, layout: Layout) -> None:
    """Take away the thumbnail that the directory at an offset leads to: the end of the block, as a rule."""
    numbers = {
        field.tag: _counted(block, field, layout)
        for field in ifd.fields(block, at, layout)
        if field.tag in (_THUMBNAIL, _THUMBNAIL + 1) and field.kind in _COUNTING and field.count == 1
    }
    start = numbers.get(_THUMBNAIL, 0)
    end = start + numbers.get(_THUMBNAIL + 1, 0)
    if not 0 < at < start < end:  # it follows its directory; else it may be something else
        return
    if end >= len(patched):
        del patched[start:]
    else:
        patched[start:end] = bytes(end - start)


def _is_orientation(field: Field) -> bool:
    return field.tag == _ORIENTATION and field.kind in _COUNTING and field.count >= 1


def _counted(data: ifd.Buffer, field: Field, layout: Layout) -> int:
    """The first value of an entry of whole numbers."""
    return layout.number(data, field.place, _COUNTING[field.kind])


def _swap_sides(block: bytes, patched: bytearray, at: int, layout: Layout) -> None:
    """Give the entries of width and height each other's number, type and value."""
    sides = {field.tag: field for field in ifd.fields(block, at, layout) if field.tag in _SIDES and field.size <= 4}
    if len(sides) == 2:
        for tag, field in sides.items():
            other = sides[_SIDES[tag]].entry
            patched[field.entry + 2 : field.entry + 12] = block[other + 2 : other + 12]
