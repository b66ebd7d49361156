"""What the ready weights of each task learn to undo, and how much the clean photographs are varied for it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from noiseda import Degradation
from noiseda.data import CameraShake, Defocus, FrameAverage, Images, Jpeg, Rain, compress, integer, uniform
from noiseda.tasks import TaskName
from noiseda_research.ready.mixture import Wide
from noiseda_research.ready.varied import Varied


@dataclass(frozen=True)
class AsAFile:
    """One of several degradations, and then what files do to it: some noise, and a JPEG. A few images get those alone.

    Attributes:
        parts: the degradations, each as likely as the others.
        spared: share of the images that get none of them: what is good is to stay as it is.
        noisy: share that gets white noise.
        sigma: range of its standard deviation, in steps of 8 bits.
        jpeg: share that is compressed.
        quality: range of the JPEG quality.
    """

    parts: tuple[Degradation, ...]
    spared: float = 0.05
    noisy: float = 0.3
    sigma: tuple[float, float] = (0.0, 4.0)
    jpeg: float = 0.4
    quality: tuple[int, int] = (70, 98)

    @property
    def margin(self) -> int:
        """The largest of theirs."""
        return max(part.margin for part in self.parts)

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""

        def happens(share: float) -> bool:
            return uniform((0.0, 1.0), generator) < share

        degraded = clean
        if not happens(self.spared):
            degraded = self.parts[integer(0, len(self.parts) - 1, generator)](clean, generator)
        if happens(self.noisy):
            degraded = degraded + uniform(self.sigma, generator) / 255 * torch.randn(clean.shape, generator=generator)
        degraded = degraded.clamp(0, 1)
        return compress(degraded, self.quality, generator) if happens(self.jpeg) else degraded


def rain() -> AsAFile:
    """Rain of every kind."""
    return AsAFile(parts=(Rain(),))


def blur() -> AsAFile:
    """Camera shake, defocus and moving frames, from none to a kernel of 24 pixels; in light, and as pixel values."""
    return AsAFile(
        parts=(
            CameraShake(strength=(2.0, 24.0)),
            CameraShake(strength=(2.0, 16.0), linear=False),
            Defocus(strength=(0.5, 5.0)),
            FrameAverage(strength=(2.0, 20.0)),
        ),
        noisy=0.0,
    )


def blocks() -> AsAFile:
    """JPEG of all qualities, the low ones more often."""
    return AsAFile(parts=(Jpeg(), Jpeg(strength=(8.0, 40.0)), Jpeg(strength=(30.0, 95.0))), noisy=0.1, jpeg=0.0)


@dataclass(frozen=True)
class Lesson:
    """What the ready weights of a task learn from.

    Attributes:
        degraded: what clean photographs go through.
        soft: share of the clean photographs that are made soft first. What blur is taken from is to be sharp.
        absolute: whether the loss is the absolute error, and not the PSNR of each sample.
    """

    degraded: Degradation
    soft: float = Varied.soft
    absolute: bool = False

    def varied(self, images: Images) -> Varied:
        """Clean photographs, varied for it."""
        return Varied(images=images, soft=self.soft)


LESSONS: dict[TaskName, Lesson] = {
    "denoise": Lesson(Wide()),
    "derain": Lesson(rain()),
    "deblur": Lesson(blur(), soft=0.0, absolute=True),
    "dejpeg": Lesson(blocks(), absolute=True),
}
"""A row for each task."""
