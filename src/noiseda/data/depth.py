"""How deep the user's files are: the steps between their levels, and how much of their range they use.

A file of 16 bits may hold a camera's 12 (0..4095, or these times 16), or 8 (times 257). What is simulated and measured
beside it has steps as fine, no finer. And where files use the lowest part of their range alone, as those of 12-bit
cameras do that hold the sensor's numbers as they are, networks and estimates would see next to black: the values are
divided by the largest that the camera can give, its *white level*, and multiplied by it again when restored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from noiseda.errors import ImageError
from noiseda.images import Picture, fits, from_integers, read, read_bits, to_uint16
from noiseda.precision import FULL

DARK = FULL // 4
"""Largest value of files that use the lowest part of their range alone."""

PHOTOGRAPHS = 16
"""Files that are looked at, at most."""


@dataclass(frozen=True)
class Depth:
    """What is known of the depth of some photographs.

    Attributes:
        levels: steps from black to white: 255 of 8 bits, 65535 of 16, 4095 of 12.
        white: value in files of 16 bits that counts as white; of use to those that have none above it.
    """

    levels: float = 255.0
    white: int = FULL

    @property
    def deep(self) -> bool:
        """Whether they have more than 8 bits."""
        return self.levels > 256

    def __str__(self) -> str:
        """What is said of files that use the lowest part of their range alone."""
        return (
            f"the photographs use only the lowest {100 * self.white / FULL:.2g}% of their 16-bit range, as files of "
            f"{self.white.bit_length()}-bit cameras do: values are divided by {self.white}, here and by noiseda "
            f"restore, which multiplies by it again (--white_level; {FULL} leaves them as they are)"
        )


EIGHT_BITS = Depth()


def depth_of(paths: Sequence[Path], white: int | None = None) -> Depth:
    """Look how deep some photographs are.

    Args:
        paths: their files; 16 of them, evenly spread, are looked at. What cannot be read does not count.
        white: the white level, where it is known. Else it is the full range, or, where all are of 16 bits and none uses
            more than the lowest quarter of them, the next of 255, 511, ..., 4095, ...

    Returns:
        The depth that half of them have at least, as most have.
    """
    count = min(PHOTOGRAPHS, len(paths))
    bits, found = [], []
    for path in (paths[index * len(paths) // count] for index in range(count)):
        try:
            bits.append(read_bits(path))
            if bits[-1] == 16:
                found.append(used(to_uint16(read(path).pixels).numpy()))
        except ImageError:
            continue
    if not found:
        return Depth(white=white or FULL)
    highest = max(top for top, _ in found)
    if white is None:
        white = 2 ** highest.bit_length() - 1 if 0 < highest <= DARK and len(found) == len(bits) else FULL
    levels = [level_count(top, step, white) for top, step in found] + [255.0] * bits.count(8)
    return Depth(median_low(levels), white)


def used(samples: NDArray[Any]) -> tuple[int, int]:
    """The largest of some values of 16 bits, and the largest step that all of them are multiples of.

    >>> used(np.array([0, 16, 4080, 48], np.uint16))
    (4080, 16)
    """
    there = np.zeros(FULL + 1, bool)
    there[samples.reshape(-1)] = True
    values = np.flatnonzero(there)
    return int(values[-1]), max(1, int(np.gcd.reduce(values)))


def level_count(highest: int, step: int, white: int) -> float:
    """Steps from black to white: no fewer than 255, which a photograph of one value would have."""
    return max(255.0, (white if highest <= white else FULL) / step)


def shown(pictures: Sequence[Picture], white: int = FULL) -> list[Tensor]:
    """The pixels (C, H, W) of some pictures that belong together, in [0, 1] of their range.

    Args:
        pictures: as they were read.
        white: the white level, by which those of 16 bits are divided, unless one of them goes beyond it.
    """
    deep = [picture.bits == 16 for picture in pictures]
    if white == FULL or not fits([picture.pixels for picture in pictures if picture.bits == 16], white):
        return [picture.pixels for picture in pictures]
    return [
        from_integers(to_uint16(picture.pixels), white) if is_deep else picture.pixels
        for picture, is_deep in zip(pictures, deep, strict=True)
    ]
