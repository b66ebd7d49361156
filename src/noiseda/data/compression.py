"""JPEG as what a photograph went through: blocks, rings, and colours that run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from noiseda.data.camera import compress
from noiseda.data.sampling import Range, check_strength, integer, one_thread
from noiseda.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Jpeg:
    """JPEG of a random quality, now and then twice: pictures of the internet were saved, cut and saved again.

    The grid of its blocks lies anywhere, anew each time. What Pillow (libjpeg) calls quality is meant.

    Source of the second pass: Jiang, Zhang and Timofte 2021, "Towards Flexible Blind JPEG Artifacts Removal"
    (images compressed twice, whose grids do not lie on each other, defeat networks that saw one pass alone).
    """

    strength: Range = (8.0, 80.0)
    """Quality, from 1 (worst) to 100."""

    twice: float = 0.25
    """Share of the images that are compressed a second time, with a quality of its own."""

    colours: tuple[Literal["4:2:0", "4:4:4"], ...] = ("4:2:0", "4:2:0", "4:4:4")
    """How much is left of the colours' resolution: one of these, as likely as the others."""

    margin: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_strength(self.strength, "JPEG quality")
        low, high = self.strength
        if low < 1 or high > 100:
            raise UserError(f"--degradation.strength of jpeg is its quality, 1 to 100, not [{low:g}, {high:g}]")

    @one_thread()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        times = 2 if float(torch.rand((), generator=generator)) < self.twice else 1
        qualities = round(self.strength[0]), round(self.strength[1])
        for _ in range(times):
            colours = self.colours[integer(0, len(self.colours) - 1, generator)]
            clean = compress(clean, qualities, generator, colours)
        return clean
