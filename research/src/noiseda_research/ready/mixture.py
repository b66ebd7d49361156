"""The noise that the ready weights learn to take away: of all kinds that there are, from nearly none to very much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from noiseda import Degradation
from noiseda.data import Camera, Phone, Shot, White, compress, integer, uniform


def parts() -> tuple[Degradation, ...]:
    """The nine parts of ``white+2*shot+3*camera+3*phone``, each over all of its range."""
    return (
        White(strength=(0, 55)),
        Shot(strength=(1, 50)),
        Shot(strength=(1, 50)),
        Camera(strength=(100, 12000)),
        Camera(strength=(400, 12000), demosaic="malvar"),
        Camera(strength=(1500, 12000)),
        Phone(strength=(200, 16000)),
        Phone(strength=(1000, 16000)),
        Phone(strength=(3000, 16000)),
    )


@dataclass(frozen=True)
class Wide:
    """One of the parts for each image, as likely as the others; white noise and shot noise then half clipped.

    Attributes:
        parts: the degradations.
        white: how many of them, the first ones, make noise that is white.
        clipped: share of those that is clipped, as in a file.
        jpeg: share of those that is clipped and then compressed.
        quality: range of the JPEG quality.
    """

    parts: Sequence[Degradation] = field(default_factory=parts)
    white: int = 3
    clipped: float = 0.5
    jpeg: float = 0.15
    quality: tuple[int, int] = (60, 98)

    @property
    def margin(self) -> int:
        """The largest of theirs."""
        return max(part.margin for part in self.parts)

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        chosen = integer(0, len(self.parts) - 1, generator)
        noisy = self.parts[chosen](clean, generator)
        if chosen >= self.white:
            return noisy
        draw = uniform((0.0, 1.0), generator)
        noisy = noisy.clamp(0, 1) if draw < self.clipped else noisy
        return compress(noisy, self.quality, generator) if draw < self.jpeg else noisy
