"""How many JPEGs that lost bytes of their scan are noticed: `python -m bench.cuts`, for docs/files.md (about a minute)."""

from __future__ import annotations

import io
import random
import tempfile
from pathlib import Path

import numpy as np
import PIL.Image
from skimage import data

from noiseda import raster
from noiseda.errors import ImageError

PICTURE = PIL.Image.fromarray(data.astronaut()[:240, :320])
KINDS = {
    "4:4:4": (PICTURE, {"subsampling": 0}),
    "4:2:0": (PICTURE, {"subsampling": 2}),
    "4:2:2": (PICTURE, {"subsampling": 1}),
    "progressive": (PICTURE, {"progressive": True}),
    "restarts": (PICTURE, {"restart_marker_blocks": 8}),
    "a restart a row": (PICTURE, {"restart_marker_rows": 1}),
    "grey": (PICTURE.convert("L"), {}),
    "CMYK": (PICTURE.convert("CMYK"), {}),
}


def unnoticed(content: bytes, length: int, tries: int, draw: random.Random, folder: Path) -> int:
    """Of some random cuts, how many are read although their pixels differ."""
    start = content.index(b"\xff\xda") + 14
    (folder / "whole.jpg").write_bytes(content)
    whole, came_through = raster.read(folder / "whole.jpg").samples, 0
    for _ in range(tries):
        at = draw.randrange(start, len(content) - 2 - length)
        (folder / "cut.jpg").write_bytes(content[:at] + content[at + length :])
        try:
            came_through += not np.array_equal(raster.read(folder / "cut.jpg").samples, whole)
        except ImageError:
            continue
    return came_through


def main() -> None:
    """Print the table."""
    lengths, tries = (1, 10, 100, 1000, 3000), 100
    print(f"cuts that were not noticed, of {tries}:", *(f"{length} bytes" for length in lengths), sep="  ")
    with tempfile.TemporaryDirectory() as folder:
        for name, (picture, saving) in KINDS.items():
            made = io.BytesIO()
            picture.save(made, "JPEG", quality=90, **saving)
            draw = random.Random(0)
            row = [unnoticed(made.getvalue(), length, tries, draw, Path(folder)) for length in lengths]
            print(f"{name:>16}", *(f"{number:4}" for number in row))


if __name__ == "__main__":
    main()
