"""Noise that is independent from pixel to pixel: white Gaussian; Poisson-Gaussian, in the values or in the light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from noiseda.data.camera import linear_from_srgb, srgb_from_linear
from noiseda.data.sampling import Range, check_strength, log_uniform, one_thread, uniform


@dataclass(frozen=True, kw_only=True)
class White:
    """White Gaussian noise, x = y + sigma n, the paper's synthetic domain of denoising.

    One sigma ~ U[strength] / 255 per image; n is independent in every pixel and channel. Values are *not* clipped, as
    in the paper, so that the noise keeps a mean of zero in black and white areas too.

    Source: section 4 of arXiv 2406.18516.
    """

    strength: Range = (0.0, 75.0)
    """Standard deviation of the noise, in 1/255."""

    clip: bool = False
    """Clip the noisy image to [0, 1], as a file would."""

    margin: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_strength(self.strength, "sigma in 1/255")

    @one_thread()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        sigma = uniform(self.strength, generator) / 255
        noisy = clean + sigma * torch.randn(clean.shape, generator=generator)
        return noisy.clamp(0, 1) if self.clip else noisy


@dataclass(frozen=True, kw_only=True)
class PoissonGaussian:
    """Signal-dependent noise, x = y + sqrt(a y + b) n: photon noise a y plus read noise b.

    The strength sigma is the standard deviation at mid-grey (y = 1/2), drawn log-uniformly per image; a share of that
    variance, drawn uniformly, is read noise:

        b = share sigma^2,    a = (1 - share) sigma^2 / (1/2)

    Source: Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data", with
    the Gaussian approximation of the Poisson law that the paper uses for its fit.
    """

    strength: Range = (2.0, 60.0)
    """Standard deviation at mid-grey, in 1/255."""

    read: Range = (0.0, 0.5)
    """Share of the mid-grey variance that does not depend on the signal."""

    clip: bool = True
    """Clip the noisy image to [0, 1], as a sensor does; the noise of dark and bright areas then has a mean."""

    margin: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_strength(self.strength, "sigma at mid-grey in 1/255", positive=True)

    @one_thread()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        variance = (log_uniform(self.strength, generator) / 255) ** 2
        share = uniform(self.read, generator)
        a, b = 2 * (1 - share) * variance, share * variance
        noisy = clean + (a * clean + b).sqrt() * torch.randn(clean.shape, generator=generator)
        return noisy.clamp(0, 1) if self.clip else noisy


@dataclass(frozen=True, kw_only=True)
class Shot:
    """Photon and read noise in the light, before the tone curve: x = s(l(y) + sqrt(a l(y) + b) n), l = s^-1.

    As :class:`PoissonGaussian`, but where a sensor has it: s is the sRGB transfer function. Being concave, it makes the
    noisy image darker on average, the more the stronger the noise and the darker the place; the sensor's clipping
    makes black brighter. Independent from pixel to pixel, as in photographs that were shrunk by leaving pixels out.

    Source: Brooks et al. 2019, "Unprocessing Images for Learned Raw Denoising", section 3.1, for noise in the light.
    """

    strength: Range = (2.0, 60.0)
    """Standard deviation at mid-grey (y = 1/2), in 1/255, drawn log-uniformly."""

    read: Range = (0.0, 0.5)
    """Share of the mid-grey variance that does not depend on the light."""

    margin: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_strength(self.strength, "sigma at mid-grey in 1/255", positive=True)

    @one_thread()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        light = linear_from_srgb(clean)
        grey = linear_from_srgb(torch.tensor([0.5, 0.5 + 1e-3]))
        slope = float(grey[1] - grey[0]) / 1e-3  # of light against values, at mid-grey
        variance = (slope * log_uniform(self.strength, generator) / 255) ** 2
        share = uniform(self.read, generator)
        a, b = (1 - share) * variance / float(grey[0]), share * variance
        noisy = light + (a * light + b).sqrt() * torch.randn(clean.shape, generator=generator)
        return srgb_from_linear(noisy.clamp(0, 1))
