"""The noise that the ready weights learn to take away: of all kinds that there are, from nearly none to very much."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from noiseda import Degradation
from noiseda.data import Camera, Phone, Shot, White, compress, gaussian, integer, log_uniform, uniform
from noiseda.estimation import sharpened, smoothed_where_flat

# BT.601, full range: how far brightness and the two differences of colour move red, green and blue.
_FROM_YCC = torch.tensor([[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]])

STRONG = 0.12
"""Deviation up to which noise is made stronger in texture."""


@dataclass(frozen=True, kw_only=True)
class Coarse:
    """Noise of any coarseness, as no one camera makes it: what cameras do to noise is known of few of them.

    n = w(y) (s_Y a + colour), a white noise seen through a Gaussian of ``fine`` pixels and another, weaker one, of
    ``blotches`` pixels; the two differences of colour through one of ``colour`` pixels. w = (y + 0.1)^g with a random
    exponent g, 1 on average: noise may rise or fall with brightness. Then half of the images are sharpened, all are
    clipped, and most are compressed.

    In flat places of PolyU's unlabelled photographs brightness noise of neighbours has a correlation of 0.63 to 0.76,
    two pixels away 0.23 to 0.46; that of the simulated cameras and phones has 0.41 to 0.58, and 0.17 at most. A sixth
    of its energy lies in the means of blocks of 8 pixels, where blotches of up to 5 pixels and 0.5 put a twelfth.
    """

    strength: tuple[float, float] = (1.0, 12.0)
    """Standard deviation of brightness, in steps of 8 bits."""

    fine: tuple[float, float] = (0.3, 1.6)
    blotches: tuple[float, float] = (1.2, 8.0)
    share: tuple[float, float] = (0.0, 0.9)
    """Standard deviation of the blotches, where that of the fine noise is 1."""

    colour: tuple[float, float] = (0.6, 5.0)
    colourful: tuple[float, float] = (0.1, 1.0)
    """Standard deviation of each difference of colour, where that of brightness is 1."""

    exponent: tuple[float, float] = (-0.5, 0.6)
    sharpening: tuple[float, float] = (0.0, 0.8)
    quality: tuple[int, int] = (70, 98)
    compressed: float = 0.8
    margin: int = 16

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        height, width = clean.shape[-2:]

        def seen(scale: float, planes: int = 1) -> Tensor:
            return _unit(gaussian(torch.randn(planes, height, width, generator=generator), scale))

        brightness = seen(log_uniform(self.fine, generator))
        brightness = _unit(brightness + uniform(self.share, generator) * seen(log_uniform(self.blotches, generator)))
        colour = torch.cat([seen(log_uniform(self.colour, generator)) for _ in range(2)])
        much = torch.tensor([log_uniform(self.colourful, generator) for _ in range(2)])
        noise = torch.einsum("dc,chw->dhw", _FROM_YCC, torch.cat([brightness, much[:, None, None] * colour]))
        if integer(0, 1, generator):
            noise = noise + uniform(self.sharpening, generator) * (noise - gaussian(noise, 1.0))
        light = (gaussian(clean.mean(0, keepdim=True), 1.0).clamp(0, 1) + 0.1) ** uniform(self.exponent, generator)
        noise = noise if clean.shape[0] == 3 else brightness
        noisy = clean + log_uniform(self.strength, generator) / 255 * light / light.mean() * noise
        noisy = noisy.clamp(0, 1)
        return (
            compress(noisy, self.quality, generator) if torch.rand((), generator=generator) < self.compressed else noisy
        )


@dataclass(frozen=True, kw_only=True)
class Speckle:
    """What waves make of a rough surface: optical coherence tomography, ultrasound, radar.

    The intensity of a pixel is a mean of some exponential draws (Goodman 1976). Half of the images show its logarithm,
    as those of eyes do, where noise is added and as strong everywhere; in the others it multiplies. Neighbours share a
    little of it. The result is clipped, and now and then compressed.
    """

    strength: tuple[float, float] = (5.0, 60.0)
    """Standard deviation, in steps of 8 bits: of what is added, or of what is multiplied at full light."""

    looks: tuple[int, int] = (1, 4)
    """How many draws the mean is of."""

    grain: tuple[float, float] = (0.2, 0.8)
    """The Gaussian that it is seen through, in pixels."""

    quality: tuple[int, int] = (70, 98)
    compressed: float = 0.2
    margin: int = 16

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1], all of its channels alike."""
        draws = torch.rand(integer(*self.looks, generator), *clean.shape[-2:], generator=generator)
        intensity = -(1 - draws).log().mean(0, keepdim=True) + 1e-4
        added = integer(0, 1, generator)
        seen = intensity.log() if added else intensity
        seen = gaussian(_unit(seen - seen.mean()), uniform(self.grain, generator))
        noise = log_uniform(self.strength, generator) / 255 * _unit(seen)
        noisy = (clean + (noise if added else clean * noise)).clamp(0, 1)
        return (
            compress(noisy, self.quality, generator) if torch.rand((), generator=generator) < self.compressed else noisy
        )


def _unit(noise: Tensor) -> Tensor:
    return noise / math.sqrt(float(noise.square().mean()) + 1e-12)


def parts() -> tuple[Degradation, ...]:
    """The nine parts of ``white+2*shot+3*camera+3*phone``, each over all of its range, and four of :class:`Coarse`."""
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
        Coarse(),
        Coarse(),
        Coarse(strength=(2.0, 30.0)),
        Coarse(strength=(8.0, 60.0), compressed=0.3),
    )


@dataclass(frozen=True)
class Wide:
    """One of the parts for each image, as likely as the others; white noise and shot noise then half clipped.

    Part of the images then gets only a share of its noise, down to none. Without that, a network that never saw a clean
    photograph takes the finest structure of one for noise: one of the weights made so gave back a clean photograph with
    29.6 dB.

    Attributes:
        parts: the degradations.
        white: how many of them, the first ones, make noise that is white.
        clipped: share of those that is clipped, as in a file.
        jpeg: share of those that is clipped and then compressed.
        quality: range of the JPEG quality.
        weaker: share of the images that get a share of their noise alone, the square of a uniform draw.
        speckled: share of the grey images that speckle degrades.
        textured: share of the coloured noise that is up to four times as strong in texture as in flat places, as
            cameras leave it that smooth.
        sharpened: share of the coloured noise that is sharpened afterwards.
    """

    parts: Sequence[Degradation] = field(default_factory=parts)
    white: int = 3
    clipped: float = 0.5
    jpeg: float = 0.15
    quality: tuple[int, int] = (60, 98)
    weaker: float = 0.35
    speckled: float = 0.4
    textured: float = 0.4
    sharpened: float = 0.4

    @property
    def margin(self) -> int:
        """The largest of theirs."""
        return max(part.margin for part in self.parts)

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        noisy = (self._grey if _colourless(clean) else self._noisy)(clean, generator)
        if uniform((0.0, 1.0), generator) < self.weaker:
            noisy = torch.lerp(clean, noisy, uniform((0.0, 1.0), generator) ** 2)
        return noisy

    def _grey(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Noise of an image whose channels are alike: a third as many draws, or what a colour camera's noise leaves."""
        if uniform((0.0, 1.0), generator) < self.speckled:
            return Speckle()(clean, generator)
        noisy = self._noisy(clean, generator)
        one, rest = noisy[:1], noisy.mean(0, keepdim=True)
        return (one if integer(0, 1, generator) else rest).expand_as(clean).contiguous()

    def _noisy(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        chosen = integer(0, len(self.parts) - 1, generator)
        noisy = self.parts[chosen](clean, generator)
        if chosen >= self.white:
            return self._processed(noisy, clean, generator)
        draw = uniform((0.0, 1.0), generator)
        noisy = noisy.clamp(0, 1) if draw < self.clipped else noisy
        return compress(noisy, self.quality, generator) if draw < self.jpeg else noisy

    def _processed(self, noisy: Tensor, clean: Tensor, generator: torch.Generator) -> Tensor:
        """What a camera that smooths flat places, and then sharpens, makes of coloured noise."""
        if uniform((0.0, 1.0), generator) < self.textured:
            usual = float((noisy - clean).square().mean().sqrt())
            times = log_uniform((1.0, min(4.0, max(1.01, STRONG / max(usual, 1e-4)))), generator)
            noisy = smoothed_where_flat(clean + times * (noisy - clean), clean, times)
        if uniform((0.0, 1.0), generator) < self.sharpened:
            noisy = clean + sharpened(noisy - clean, generator)
        return noisy.clamp(0, 1)


def _colourless(clean: Tensor) -> bool:
    return clean.shape[0] == 3 and bool((clean[0] == clean[1]).all() and (clean[0] == clean[2]).all())
