"""TIFF: an odd directory written anew, if all pixels are where it says.

libtiff takes harmless directories for damage, and without right byte counts takes whatever follows a strip for its
pixels. Source: TIFF 6.0, sections 2 (directories), 3 (strips) and 15 (tiles).
"""

from __future__ import annotations

from noiseda.formats import ifd
from noiseda.formats.ifd import Buffer, Field, Layout
from noiseda.formats.pieces import Piece
from noiseda.formats.tiff_directory import (
    BITS,
    COLOURS,
    COMPRESSION,
    HEIGHT,
    PLANAR,
    ROWS,
    SAMPLES,
    STRIP_BYTES,
    STRIPS,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    TILES,
    WIDTH,
    Page,
    directory,
    numbers,
)

_COUNTED = (WIDTH, HEIGHT, BITS, COMPRESSION, COLOURS, STRIPS, SAMPLES, ROWS, STRIP_BYTES, PLANAR, TILE_WIDTH,
            TILE_HEIGHT, TILES, TILE_BYTES)  # fmt: skip
_PIXELS = frozenset({*_COUNTED, 266, 292, 293, 317, 318, 319, 320, 332, 334, 338, 339, 347, *range(512, 522),
                     529, 530, 531, 532})  # fmt: skip
"""Tags that decide what the pixels are."""

_BESIDE = frozenset({700, 33723, 34377, 34675})
"""XMP, IPTC, Photoshop's block and the ICC profile."""

_SINGLE = {274: 3, 282: 5, 283: 5, 296: 3}
"""Orientation and resolution, with the type of their only value."""

_KNOWN = {274: ("orientation", range(1, 9)), 296: ("unit of resolution", range(1, 4))}
"""Tags that have a few values only, by their names."""

_COUNTS = "the lengths of its strips are missing or wrong, but all of its pixels are there"
_MOST = 1 << 20
"""Strips or tiles."""


def mend(file: Buffer, place: int) -> tuple[list[Piece], list[str]] | str:
    """The same picture with a directory that no decoder stumbles over: sorted, each tag once, right byte counts.

    Args:
        file: The file.
        place: Where the picture's directory lies.

    Returns:
        What the mended file is made of, and what was odd, in sentences; or why pixels are missing.
    """
    layout, _ = ifd.header(file)
    page = directory(file, layout, place, _COUNTED) or Page(place)
    size = len(file)
    fields: dict[int, Field] = {}
    odd = _following(file, layout, place)
    for entry in page.entries:
        if (strange := _strange(file, layout, entry)) is not None:
            odd.append(strange)
            continue
        beside = entry.tag in _BESIDE or (_SINGLE.get(entry.tag), 1) == (entry.kind, entry.count)
        if beside or entry.tag in _PIXELS:
            known = fields.setdefault(entry.tag, entry)
            twice = known is not entry and entry.tag in _PIXELS
            if twice and numbers(file, layout, known) != numbers(file, layout, entry):
                return "its directory says two different things about the pixels"
    counts = _counts(page, size)
    if isinstance(counts, str):
        return counts
    tag = TILE_BYTES if page.values.get(TILES) else STRIP_BYTES
    odd += [] if tuple(counts) == page.values.get(tag) else [_COUNTS]
    lines = {number: bytes(file[field.entry : field.entry + layout.entry]) for number, field in fields.items()}
    anew = _write(layout, lines, counts, tag, size)
    head = 4 if layout.wide == 4 else 8
    first = layout.write(size + size % 2, layout.wide)
    return [(0, head), first, (head + layout.wide, size), b"\0" * (size % 2), anew], odd


def _following(file: Buffer, layout: Layout, place: int) -> list[str]:
    """What is odd about where the next page should be."""
    _, after = ifd.next_directory(file, place, layout) or (0, 0)
    if after and (after == place or not ifd.is_whole(file, after, layout)):
        return ["there is no page where it says that the next one is"]
    return []


def _strange(file: Buffer, layout: Layout, entry: Field) -> str | None:
    """What is odd about the value of a tag that says nothing of the pixels."""
    name, known = _KNOWN.get(entry.tag, ("", range(0)))
    values = numbers(file, layout, entry) if name and entry.kind == 3 and entry.count == 1 else ()
    return f"its {name}, {values[0]}, is unknown and passed over" if values and values[0] not in known else None


def _write(layout: Layout, lines: dict[int, bytes], counts: list[int], tag: int, size: int) -> bytes:
    """A directory that lies at the end of a file of that size, and the byte counts behind it.

    Args:
        layout: The file's.
        lines: Tag -> entry, as it stands.
        counts: The byte counts.
        tag: Theirs.
        size: The file's.
    """
    wide, number = layout.wide, len(lines | {tag: b""})
    behind = size + size % 2 + layout.counting + number * layout.entry + wide
    content = b"".join(layout.write(count, wide) for count in counts)
    place = content if len(counts) == 1 else layout.write(behind, wide)
    kind = 16 if layout.big else 4
    lines[tag] = layout.write(tag, 2) + layout.write(kind, 2) + layout.write(len(counts), wide) + place
    entries = b"".join(line for _, line in sorted(lines.items()))
    return layout.write(number, layout.counting) + entries + bytes(wide) + content


def _counts(page: Page, size: int) -> list[int] | str:
    """How many bytes each strip or tile has, or why they cannot all be there."""
    tiled = bool(page.values.get(TILES))
    starts, counts = (page.values.get(tag, ()) for tag in ((TILES, TILE_BYTES) if tiled else (STRIPS, STRIP_BYTES)))
    taken = sorted({*starts, page.place, size})
    room = [next((after for after in taken if after > place), place) - place for place in starts]
    if page.one(COMPRESSION, 1) != 1:
        known = list(counts) if len(counts) == len(starts) and all(counts) else room
        inside = all(place + count <= size for place, count in zip(starts, known, strict=True))
        return known if inside and starts else "some of its pixels are missing"
    needed = _needed(page, tiled)
    whole = len(needed) == len(set(starts)) == len(starts) > 0 and min(starts) >= 8
    if not whole or any(there < length for there, length in zip(room, needed, strict=True)):
        return "some of its pixels are missing"
    return needed


def _needed(page: Page, tiled: bool) -> list[int]:
    """The bytes of each strip or tile of an uncompressed page."""
    samples, width, height = page.one(SAMPLES, 1), page.one(WIDTH), page.one(HEIGHT)
    planes = samples if page.one(PLANAR, 1) == 2 else 1
    bits = page.one(BITS, 1) * samples // max(planes, 1)
    if tiled:
        across, down = (max(page.one(tag), 1) for tag in (TILE_WIDTH, TILE_HEIGHT))
        return [-(-across * bits // 8) * down] * min(-(-width // across) * -(-height // down) * planes, _MOST)
    rows = max(min(page.one(ROWS, height) or height, height), 1)
    if planes * -(-height // rows) > _MOST:  # more than any file has: its height is nonsense
        return []
    row = -(-width * bits // 8)
    return [row * min(rows, height - top) for _ in range(planes) for top in range(0, height, rows)]
