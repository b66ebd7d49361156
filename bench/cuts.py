"""How many JPEGs are noticed whose data lost bytes, or got zeros in their place: `python -m bench.cuts`.

For docs/reference/files.md; takes a few minutes.
"""

from __future__ import annotations

import io
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import PIL.Image
from skimage import data

from noiseda import raster
from noiseda.errors import ImageError

Damage: TypeAlias = Callable[[bytes, int, int], bytes]

PICTURE = PIL.Image.fromarray(data.astronaut()[:240, :320])
KINDS = {
    "4:4:4": (PICTURE, {"subsampling": 0}),
    "4:2:0": (PICTURE, {"subsampling": 2}),
    "4:2:2": (PICTURE, {"subsampling": 1}),
    "progressive": (PICTURE, {"progressive": True}),
    "restarts": (PICTURE, {"restart_marker_blocks": 8}),
    "a restart a row": (PICTURE, {"restart_marker_rows": 1}),
    "best codes": (PICTURE, {"optimize": True}),
    "grey": (PICTURE.convert("L"), {}),
    "CMYK": (PICTURE.convert("CMYK"), {}),
}


def removed(content: bytes, at: int, length: int) -> bytes:
    """The file without some bytes."""
    return content[:at] + content[at + length :]


def hole(content: bytes, at: int, length: int) -> bytes:
    """The file with zero bytes in place of some."""
    return content[:at] + bytes(length) + content[at + length :]


def tail(content: bytes, at: int, length: int) -> bytes:
    """The file whose last bytes are zeros, as a download leaves it that was given its length beforehand."""
    return content[:-length] + bytes(length)


def unnoticed(content: bytes, damage: Damage, length: int, tries: int, draw: random.Random, folder: Path) -> int:
    """Of some files that are damaged at random places, how many are read although their pixels differ."""
    start = content.index(b"\xff\xda") + 14
    (folder / "whole.jpg").write_bytes(content)
    whole, came_through = raster.read(folder / "whole.jpg").samples, 0
    for _ in range(tries):
        exact = length + draw.randrange(length) // 4 if damage is tail else length
        at = draw.randrange(start, len(content) - 2 - length)
        (folder / "damaged.jpg").write_bytes(damage(content, at, exact))
        try:
            came_through += not np.array_equal(raster.read(folder / "damaged.jpg").samples, whole)
        except ImageError:
            continue
    return came_through


def main() -> None:
    """Print the tables."""
    lengths, tries = (1, 10, 100, 1000, 3000), 100
    with tempfile.TemporaryDirectory() as folder:
        for damage in (removed, hole, tail):
            print(f"{damage.__name__}: not noticed, of {tries}:", *(f"{length} bytes" for length in lengths), sep="  ")
            sums = [0] * len(lengths)
            for name, (picture, saving) in KINDS.items():
                made = io.BytesIO()
                picture.save(made, "JPEG", quality=90, **saving)
                draw = random.Random(0)
                row = [unnoticed(made.getvalue(), damage, length, tries, draw, Path(folder)) for length in lengths]
                sums = [a + b for a, b in zip(sums, row, strict=True)]
                print(f"{name:>16}", *(f"{number:4}" for number in row), flush=True)
            print(f"{f'of {tries * len(KINDS)}':>16}", *(f"{number:4}" for number in sums))


if __name__ == "__main__":
    main()
