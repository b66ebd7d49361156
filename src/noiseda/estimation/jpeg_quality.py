"""JPEG like the user's own: at which qualities their photographs were compressed, as the tables in the files tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import ClassVar

import PIL.Image
import torch
from PIL.JpegImagePlugin import get_sampling
from torch import Tensor

from noiseda.data.camera import compress
from noiseda.data.sampling import integer, one_thread
from noiseda.errors import UserError

# What quantises brightness at quality 50: ITU-T T.81, table K.1, row by row.
_HALF = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip

VISIBLE = 85
"""Quality above which no blocks are seen: such a file was saved again, and its tables tell nothing of what is seen."""

SPREAD = 5
"""By how much a quality is varied, up or down."""

_SAMPLINGS = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}


@dataclass(frozen=True)
class MatchedJpeg:
    """JPEG at the qualities that the user's files have, each as often as it occurs, and varied a little.

    Attributes:
        found: the quality of each file, and what is left of its colours' resolution (4:2:0, 4:2:2 or 4:4:4).
    """

    found: tuple[tuple[int, str], ...]
    margin: ClassVar[int] = 0

    @one_thread()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        quality, colours = self.found[integer(0, len(self.found) - 1, generator)]
        quality = min(max(quality + integer(-SPREAD, SPREAD, generator), 1), 100)
        return compress(clean, (quality, quality), generator, colours)

    def __str__(self) -> str:
        """The lowest, the middle and the highest quality.

        >>> print(MatchedJpeg(((20, "4:2:0"), (40, "4:2:0"), (75, "4:4:4"))))
        JPEG of quality 20 to 75 (median 40, of 3 found), mostly 4:2:0
        """
        qualities = [quality for quality, _ in self.found]
        ((colours, _),) = Counter(colours for _, colours in self.found).most_common(1)
        span = f"{min(qualities)} to {max(qualities)} (median {median(qualities):.0f}, of {len(qualities)} found)"
        return f"JPEG of quality {span}, mostly {colours}"


def matched_jpeg(real: Sequence[Path]) -> MatchedJpeg:
    """Read how photographs were compressed.

    Args:
        real: their files. Those that are no JPEG, or of a quality above :data:`VISIBLE`, tell nothing.

    Raises:
        UserError: where none tells anything.
    """
    found = [compression for path in real if (compression := compression_of(path)) is not None]
    seen = tuple(one for one in found if one[0] <= VISIBLE)
    if not seen:
        why = f"all are of a quality above {VISIBLE}" if found else "none is a JPEG file"
        raise UserError(f"at which quality your {len(real)} photographs were compressed is not known: {why}")
    return MatchedJpeg(seen)


def compression_of(path: Path) -> tuple[int, str] | None:
    """The quality of a JPEG file, as libjpeg counts it, and its chroma subsampling; None of any other file.

    Where its tables are not libjpeg's, the quality is that whose table is as coarse on the whole.
    """
    try:
        with PIL.Image.open(path) as image:
            tables = getattr(image, "quantization", None)
            if image.format not in ("JPEG", "MPO") or not tables:
                return None
            return _quality(sum(tables[0])), _SAMPLINGS.get(get_sampling(image), "4:4:4")
    except (OSError, SyntaxError, ValueError):
        return None


def _quality(total: int) -> int:
    """The quality at which the table of brightness has the nearest sum.

    >>> _quality(sum(_HALF)), _quality(64)
    (50, 100)
    """
    return min(range(100, 0, -1), key=lambda quality: abs(_total(quality) - total))


def _total(quality: int) -> int:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return sum(min(max((value * scale + 50) // 100, 1), 255) for value in _HALF)
