"""What a rival is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
"""(H, W, C), C = 1 or 3, usually in [0, 1]; white noise that is not clipped goes beyond."""


@dataclass(frozen=True)
class Rival:
    """A way to restore an image that learns from no other one."""

    restore: Callable[[Image, float], Image]
    """Image and strength, as its authors count it (noise: of 255) -> restored image of the same shape."""

    source: str
    """Where it is published, and with which settings it is run."""

    tried: tuple[int, ...] = ()
    """Strengths that are tried; none where it finds its own."""

    estimate: Callable[[Image], float] | None = None
    """Finds the strength from the image alone."""

    told_sigma: bool = False
    """Whether the strength is the deviation of the noise: where that is known, no other is tried."""
