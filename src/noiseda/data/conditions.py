"""Batches for a noise predictor: a clean image, and two conditions that are it, or it after many corruptions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from noiseda.data.batches import Batch, DomainBatches, Domains, Images
from noiseda.data.blur import CameraShake, Defocus
from noiseda.data.camera import Camera, Shrunk
from noiseda.data.compression import Jpeg
from noiseda.data.degradations import Degradation, Mixture, degraded
from noiseda.data.noise import PoissonGaussian, White
from noiseda.data.phone import Phone
from noiseda.data.sampling import integer, uniform

CORRUPTIONS: tuple[Degradation, ...] = (
    White(),
    PoissonGaussian(),
    Camera(),
    Phone(),
    Shrunk(),
    Defocus(strength=(0.5, 5.0)),
    CameraShake(strength=(3.0, 15.0)),
    Jpeg(strength=(5.0, 80.0)),
)
"""What conditions go through: noise, that of real cameras, blur, JPEG; each draws its own strength."""


@dataclass(frozen=True)
class Partly:
    """A degradation of every strength from none on: the image lies anywhere between the clean one and the degraded.

    An image that a network has restored in part lies so too.

    Attributes:
        of: the degradation.
        untouched: share of the images that are left as they are, in [0, 1].
    """

    of: Degradation
    untouched: float = 0.25

    @property
    def margin(self) -> int:
        """That of the degradation."""
        return math.ceil(self.of.margin)

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]: clean + share (degraded - clean), share ~ U[0, 1]."""
        if uniform((0.0, 1.0), generator) < self.untouched:
            return clean
        share = uniform((0.0, 1.0), generator)
        return torch.lerp(clean, degraded(self.of, clean, generator), share)


class ConditionBatches(DomainBatches):
    """Batches by number: ``y_syn`` is the clean image, ``x_syn`` and ``x_real`` are the conditions.

    Each condition is degraded by itself. In some samples one of them shows another image, as the real one does in
    adaptation; either of them does so as often.

    Args:
        images: clean images.
        degradation: what each condition goes through.
        unrelated: share of the samples of which one condition shows another image.
        size: samples in a batch.
        patch: side of the patches in pixels.
        channels: 1 or 3.
        seed: the run's seed.
        rank: number of this process among those that train together.
        processes: how many train together.
    """

    def __init__(
        self,
        images: Images,
        degradation: Degradation,
        *,
        unrelated: float,
        size: int,
        patch: int,
        channels: int,
        seed: int,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        domains = Domains(images, degradation)
        super().__init__(domains, size=size, patch=patch, channels=channels, seed=seed, rank=rank, processes=processes)
        self.images, self.degradation, self.unrelated = images, degradation, unrelated

    def __getitem__(self, number: int) -> Batch:
        """Batch ``number``, always the same for the same seed and rank."""
        files: list[str] = []
        draws = zip(self.samples(number), self.generators("conditions", number), strict=True)
        found = [self._sample(files, sample, generator) for sample, generator in draws]
        clean, first, second = (torch.stack(column) for column in zip(*found, strict=True))
        return Batch(first, clean, second, None, tuple(files))

    def _sample(self, files: list[str], sample: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        clean = self._patch(files, sample, generator)
        shown = [clean, clean]
        if uniform((0.0, 1.0), generator) < self.unrelated:
            shown[integer(0, 1, generator)] = self._patch(files, sample, generator)
        first, second = (self.degradation(image, generator) for image in shown)
        return self._inner(clean), self._inner(first), self._inner(second)

    def _patch(self, files: list[str], sample: int, generator: torch.Generator) -> Tensor:
        names, patches = self.images.draw(sample, self.patch + 2 * self.degradation.margin, generator, self.channels)
        files.extend(names)
        return patches[-1]

    def _inner(self, image: Tensor) -> Tensor:
        """The image without the margin that its degradation needed."""
        inner = slice(self.degradation.margin, self.degradation.margin + self.patch)
        return image[:, inner, inner]


def mixed(corruptions: Sequence[Degradation] = CORRUPTIONS, untouched: float = 0.25) -> Partly:
    """Every corruption as often as the others, each in part.

    Args:
        corruptions: the degradations.
        untouched: share of the conditions that are left as they are.
    """
    return Partly(Mixture(tuple(corruptions)), untouched)
