"""Images as a modality, for signals of any rank side by side; ``noiseda restore`` has more for photographs.

That enlarges alpha, and holds a few rows of a large file at a time.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from noiseda import images
from noiseda.modalities.base import Modality, Signal


class Images(Modality):
    """A grey or colour image."""

    name = "image"
    dims = 2
    suffixes = frozenset(images.SUFFIXES)

    def read(self, path: Path) -> Signal:
        """Read an image in full depth; what else its file holds is kept for writing."""
        picture = images.read(path)
        return Signal(picture.pixels, {"picture": picture})

    def write(self, signal: Signal, path: Path) -> None:
        """Write an image in the format of its suffix, with the metadata and the depth of the one that was read."""
        read = signal.about.get("picture")
        images.write(images.Picture(signal.values) if read is None else replace(read, pixels=signal.values), path)

    def symmetries(self) -> int:
        """The eight turns and flips of a square."""
        return 8

    def turned(self, values: Tensor, way: int) -> Tensor:
        """Turn by a right angle, ``way % 4`` times, and flip where it is 4 and more."""
        turned = torch.rot90(values, way % 4, (-2, -1))
        return turned.flip(-1) if way >= 4 else turned

    def turned_back(self, values: Tensor, way: int) -> Tensor:
        """Flip where it is 4 and more, and turn the other way."""
        return torch.rot90(values.flip(-1) if way >= 4 else values, -(way % 4), (-2, -1))
