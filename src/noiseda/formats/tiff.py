"""TIFF: what a page's directory says beside how its samples are stored, read, and put into a new file's directory.

Source: TIFF 6.0; tags of others by their registration.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from typing import BinaryIO

from noiseda.formats import ifd, photoshop
from noiseda.formats.colour import BT709, Colour
from noiseda.formats.exif import orientation_in
from noiseda.formats.extras import DENSITY, Buffer, Extras
from noiseda.formats.ifd import Directory, Layout

YCBCR, LAB = 6, (8, 9)
"""Numbers of colour models."""

STORAGE = frozenset(
    {*range(254, 260), *range(262, 267), 273, 274, *range(277, 282), 284, *range(288, 294), 297, 317}
    | {*range(320, 348), 351, *range(512, 533), 559, 32995, 32996, 32997, 37439}
)
"""Tags that say how samples are stored (or where other pictures are): of the old file, and wrong in the new one."""
_LAYERS = 37724
_DNG = range(50706, 51200)
_NOT_DNG = frozenset({50838, 50839})  # ImageJ's
_RESOLUTION = (282, 283, 296)
_COLOURS = (301, 318, 319)
_XMP, _IPTC, _PHOTOSHOP, _ICC = 700, 33723, 34377, 34675
_WIDTH, _HEIGHT, _SAMPLES = 256, 257, 277
_UNITS = {2: 25.4, 3: 10.0}  # of a resolution -> millimetres
_FURTHEST = 2**32 - 2**20
"""What a 32-bit offset reaches, with room for a directory."""


def read(content: Buffer, place: int = 0) -> Extras:
    """What a page of a TIFF file holds beside its samples.

    What describes the photograph in the first page's directory counts for the others too.

    Args:
        content: The file.
        place: Where the page's directory stands; 0 for the first page.
    """
    try:
        layout, first = ifd.header(content)
    except ValueError:
        return Extras()
    at = place or first
    main = ifd.read(content, at, layout, skip=STORAGE)
    if at != first:
        main = {**ifd.read(content, first, layout, skip=STORAGE), **main}
    left_out = ["its layers (Photoshop's) are of the old picture and were left out"] if main.pop(_LAYERS, None) else []
    if 50706 in main:
        left_out.append("it is a DNG; what describes the raw samples was left out")
        main = {tag: value for tag, value in main.items() if tag not in _DNG or tag in _NOT_DNG}
    unit = main.get(_RESOLUTION[2])
    if isinstance(unit, tuple) and unit[2][:2] not in (b"\1\0", b"\2\0", b"\3\0"):
        main[_RESOLUTION[2]] = (3, 1, b"\1\0")  # none: in the new file, too, an unknown one would be odd
    blocks = [_bytes(main.pop(tag, None)) for tag in (_XMP, _IPTC, _PHOTOSHOP, _ICC)]
    resolution = _resolution(content, at, layout)
    colour = _colour(content, at, layout)
    described = {tag: value for tag, value in main.items() if tag not in (*_RESOLUTION, *_COLOURS)}
    # The tags of colours stay with TIFF, where they are; elsewhere a profile says the same.
    apart = (("colours", _COLOURS), (DENSITY, _RESOLUTION))
    native = [(name, ifd.lay({tag: main[tag] for tag in tags if tag in main}, 0)) for name, tags in apart]
    return Extras(
        exif=_block(described),
        xmp=blocks[0],
        iptc=blocks[1],
        photoshop=blocks[2] and (photoshop.without_thumbnail(blocks[2]) or None),
        colour=colour,
        native=tuple(block for block in native if block[1] != ifd.lay({}, 0)),
        resolution=resolution,
        orientation=orientation_in(content, at, layout),
        left_out=tuple(left_out),
    )


def orientation(content: Buffer, place: int = 0) -> int:
    """The orientation of the page whose directory stands at a place (0: the first page), 1 to 8."""
    try:
        layout, first = ifd.header(content)
    except ValueError:
        return 1
    return orientation_in(content, place or first, layout)


@dataclass(frozen=True)
class Photometric:
    """What the samples of a page mean."""

    kind: int
    """PhotometricInterpretation: 2 RGB, 6 YCbCr, 8 CIELab, 9 ICCLab, ..."""
    place: int
    """Where that value stands in the file, and how (2 bytes)."""
    order: str
    samples: int
    """Samples a pixel."""
    compression: int
    subsampling: tuple[int, int]
    coefficients: tuple[float, float, float]
    """Luma of red, green and blue."""
    reference: tuple[float, ...] | None
    """Black and white of each sample, as they are stored."""

    @property
    def plain(self) -> bool:
        """Whether each pixel has its own samples, which no JPEG codec has turned into RGB."""
        return self.subsampling == (1, 1) and self.compression not in (6, 7)


def photometric(content: Buffer, place: int = 0) -> Photometric | None:
    """What the samples of a page mean whose directory stands at a place (0: the first page); None: not found out."""
    try:
        layout, first = ifd.header(content)
        found = {field.tag: field for field in ifd.fields(content, place or first, layout)}
        kind = found[262]
        numbers = {
            tag: ifd.integers(content, found[tag], layout)
            for tag in (262, 259, 277, 530)
            if tag in found and found[tag].kind in (3, 4) and found[tag].count
        }
        ratios = {
            tag: ifd.rationals(content, found[tag], layout)
            for tag in (529, 532)
            if tag in found and found[tag].kind == 5
        }
        across, down, *_ = numbers.get(530, [2, 2])
        red, green, blue = ratios.get(529, [0.299, 0.587, 0.114])
        model = numbers[262][0]
    except (ValueError, IndexError, KeyError):
        return None
    reference = ratios.get(532, [])
    return Photometric(
        kind=model,
        place=kind.place,
        order=layout.order,
        samples=numbers.get(277, [1])[0],
        compression=numbers.get(259, [1])[0],
        subsampling=(across, down),
        coefficients=(red, green, blue) if 0 < green < 1 else (0.299, 0.587, 0.114),
        reference=tuple(reference) if len(reference) == 6 else None,
    )


def put(file: BinaryIO, extras: Extras) -> bool:
    """Give a TIFF file all this: its main directory is written anew, with both sets of entries, at the file's end.

    Args:
        file: The file, open for reading and writing.
        extras: What to put in.

    Returns:
        Whether the file could be changed: a BigTIFF, or one near 4 GB, is left as it is.
    """
    file.flush()
    length = os.fstat(file.fileno()).st_size
    with mmap(file.fileno(), length, access=ACCESS_READ) as content:
        layout, at = ifd.header(content)
        if layout != Layout("<") or length > _FURTHEST:
            return False
        main = ifd.read(content, at, layout)
    main = {tag: value for tag, value in main.items() if tag not in _RESOLUTION} | _directory(extras)
    end = length + length % 2  # offsets are even
    file.seek(length)
    file.write(b"\0" * (end - length) + ifd.lay(main, end))
    file.seek(4)
    file.write(struct.pack("<I", end))
    return True


def _directory(extras: Extras) -> Directory:
    found: Directory = {}
    for block in (extras.exif, *(block for _, block in extras.native)):
        if block is not None:
            found |= _entries(block)
    for tag, content in ((_XMP, extras.xmp), (_PHOTOSHOP, extras.photoshop)):
        if content is not None:
            found[tag] = (1, len(content), content)
    records = extras.iptc or (photoshop.iptc(extras.photoshop) if extras.photoshop else None)
    if records is not None:
        found[_IPTC] = (7, len(records), records)
    if extras.resolution is not None and not any(name == DENSITY for name, _ in extras.native):
        for tag, value in zip(_RESOLUTION, extras.resolution, strict=False):
            found[tag] = (5, 1, struct.pack("<II", round(min(value, 4e5) * 10_000), 1000))  # per centimetre
        found[296] = (3, 1, struct.pack("<H", 3))
    return found


def resolution_block(resolution: tuple[float, float]) -> bytes:
    """An EXIF block that says nothing but a resolution, in pixels per millimetre."""
    found = _directory(Extras(resolution=resolution))
    return b"II*\0\x08\0\0\0" + ifd.lay(found, 8)


def _entries(block: bytes) -> Directory:
    """What describes the photograph in an EXIF block (or another directory laid at its beginning)."""
    try:
        layout, at = ifd.header(block)
    except ValueError:
        layout, at = Layout("<"), 0
    skip = STORAGE | {_XMP, _IPTC, _PHOTOSHOP, _ICC, _LAYERS}
    return ifd.read(block, at, layout, skip=skip)


def _block(directory: Directory) -> bytes | None:
    """A directory as an EXIF block."""
    return b"II*\0\x08\0\0\0" + ifd.lay(directory, 8) if directory else None


def _bytes(value: ifd.Value | Directory | None) -> bytes | None:
    return value[2] if isinstance(value, tuple) and value[2] else None


def _resolution(content: Buffer, at: int, layout: Layout) -> tuple[float, float] | None:
    found = {field.tag: field for field in ifd.fields(content, at, layout) if field.tag in _RESOLUTION}
    if not {282, 283} <= found.keys() or any(found[tag].kind != 5 or found[tag].count != 1 for tag in (282, 283)):
        return None
    unit = ifd.integers(content, found[296], layout)[0] if 296 in found and found[296].count else 2
    across, down = (ifd.rationals(content, found[tag], layout)[0] for tag in (282, 283))
    millimetres = _UNITS.get(unit)
    return (across / millimetres, down / millimetres) if millimetres and across > 0 and down > 0 else None


def _colour(content: Buffer, at: int, layout: Layout) -> Colour | None:
    """What the tags of white point, primaries and transfer function say; None where there are no primaries."""
    found = {field.tag: field for field in ifd.fields(content, at, layout) if field.tag in _COLOURS}
    if 319 not in found or found[319].kind != 5 or found[319].count != 6:
        return None
    flat = ifd.rationals(content, found[319], layout)
    white = BT709[0]
    if 318 in found and found[318].kind == 5 and found[318].count == 2:
        x, y = ifd.rationals(content, found[318], layout)
        white = (x, y)
    curve = None
    if 301 in found and found[301].kind == 3 and found[301].count >= 256:
        values = ifd.integers(content, found[301], layout)
        length = len(values) // 3 if len(values) % 3 == 0 and len(values) // 3 >= 256 else len(values)
        step = max(1, length // 4096)
        curve = tuple(value / 65535 for value in values[:length:step])
    primaries = (white, (flat[0], flat[1]), (flat[2], flat[3]), (flat[4], flat[5]))
    return Colour(primaries, gamma=None if curve else 2.2, curve=curve)
