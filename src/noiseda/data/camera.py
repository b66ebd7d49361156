"""A simulated camera: the photograph is taken back to raw sensor light, gets its noise there, and is developed again.

Demosaicing, colour correction, gamma and JPEG turn the independent noise of the sensor's pixels into what real
photographs show: noise correlated between neighbours and colours, dependent on brightness, clipped at black.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.data.sampling import Range, check_strength, integer, log_uniform, one_thread, uniform
from noiseda.images import jpeg

Demosaic = Literal["bilinear", "malvar"]

# Share of its signal that each colour of the sensor (rows R, G, B) takes from the sRGB primaries when the filters
# overlap fully; each row sums to 1, so that greys stay grey. Green overlaps with both, red and blue hardly meet.
_OVERLAP = torch.tensor([[0.00, 0.85, 0.15], [0.45, 0.00, 0.55], [0.10, 0.90, 0.00]])

_LEAST = 3  # pixels a side: demosaicing reflects two at each border

# Luma of BT.601, to develop grey photographs.
_LUMA = torch.tensor([0.299, 0.587, 0.114])


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A photograph taken again by a noisy camera.

    sRGB -> linear light -> sensor colours C -> inverse white balance -> Bayer mosaic of random phase -> noise -> clip
    -> white balance -> demosaic -> C^-1 -> clip -> sRGB -> JPEG. The noise of a raw value v in [0, 1] has the variance

        shot v + read^2,    shot = 1e-6 ISO,    ln read^2 = 2.18 ln shot + 1.20 + 0.26 n,  n ~ N(0, 1)

    ISO, drawn log-uniformly, is the strength. A grey image is photographed as grey RGB and reduced to its luma.

    Source: Brooks et al. 2019, "Unprocessing Images for Learned Raw Denoising", section 3 (gains, noise levels; their
    shot spans 1e-4..1.2e-2, ISO 100..12000 here).
    """

    strength: Range = (1500.0, 12000.0)
    """ISO-like gain: a millionth of the shot noise's variance at full signal."""

    red_gain: Range = (1.9, 2.4)
    """Range of the white-balance gain of red: that much less red light reaches the sensor than green."""

    blue_gain: Range = (1.5, 1.9)
    """Range of the white-balance gain of blue."""

    crosstalk: Range = (0.1, 0.35)
    """Overlap of the sensor's colour filters, 0 (sRGB primaries) to below 0.5; undoing it amplifies colour noise."""

    clip_black: bool = True
    """Clip raw values at 0, as real files do, which lifts noisy shadows; off, only the end result is clipped."""

    demosaic: Demosaic = "bilinear"
    """How the missing colours are filled in: bilinear, or gradient-corrected (Malvar, He, Cutler 2004), which is
    sharper and correlates the noise less."""

    demosaic_signal: bool = False
    """Demosaic the photograph too, which costs it fine detail and gives it false colours; off, only the noise. In real
    pairs the target is a developed photograph as well, so that this loss is no part of their degradation."""

    mosaic: bool = True
    """Each place of the sensor sees one colour; off, all three, and there is no demosaicing."""

    quality: tuple[int, int] | None = (70, 98)
    """Range of the JPEG quality, 1..100; None leaves JPEG out."""

    margin: ClassVar[int] = 8

    def __post_init__(self) -> None:
        check_strength(self.strength, "ISO", positive=True)

    @one_thread()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1], C = 1 or 3; tiny ones have their border repeated before."""
        height, width = clean.shape[-2:]
        if min(height, width) < _LEAST:
            larger = F.pad(clean[None], (0, max(_LEAST - width, 0), 0, max(_LEAST - height, 0)), mode="replicate")[0]
            return self(larger, generator)[:, :height, :width].contiguous()
        shot = 1e-6 * log_uniform(self.strength, generator)
        read = math.exp(2.18 * math.log(shot) + 1.20 + 0.26 * torch.randn((), generator=generator).item())  # variance
        gains = torch.tensor([uniform(self.red_gain, generator), 1.0, uniform(self.blue_gain, generator)])
        overlap = uniform(self.crosstalk, generator)
        row, column = integer(0, 1, generator), integer(0, 1, generator)

        to_sensor = (1 - overlap) * torch.eye(3) + overlap * _OVERLAP
        to_srgb = torch.linalg.inv(to_sensor)
        rgb = linear_from_srgb(clean.expand(3, -1, -1))
        sensor = torch.einsum("dc,chw->dhw", to_sensor / gains[:, None], rgb)
        sites = bayer_sites(clean.shape[-2], clean.shape[-1], row, column)
        raw = (sensor * sites).sum(0) if self.mosaic else sensor
        noisy = raw + (shot * raw + read).sqrt() * torch.randn(raw.shape, generator=generator)
        noisy = noisy.clamp(0 if self.clip_black else -1, 1)

        # White balance comes before demosaicing, which can then expect colours to rise and fall together.
        balance = torch.einsum("c,chw->hw", gains, sites)
        if not self.mosaic:
            balanced = gains[:, None, None] * noisy
        elif self.demosaic_signal:
            balanced = demosaic(balance * noisy, sites, self.demosaic)
        else:  # demosaicing is linear, so the noise can go through it alone
            balanced = gains[:, None, None] * sensor + demosaic(balance * (noisy - raw), sites, self.demosaic)
        developed = torch.einsum("dc,chw->dhw", to_srgb, balanced)
        photo = srgb_from_linear(developed.clamp(0, 1))
        if clean.shape[0] == 1:
            photo = torch.einsum("c,chw->hw", _LUMA, photo)[None]
        return photo if self.quality is None else compress(photo, self.quality, generator)


@dataclass(frozen=True, kw_only=True)
class Shrunk(Camera):
    """A camera's photograph that was shrunk by leaving pixels out: its noise is independent from pixel to pixel.

    As :class:`Camera`, but every pixel has seen all colours, and there is no JPEG before it was shrunk.
    """

    strength: Range = (100.0, 12000.0)
    """ISO-like gain, as of the camera."""

    mosaic: bool = False
    """The pixels that are left were too far apart for demosaicing to show."""

    quality: tuple[int, int] | None = None
    """No JPEG."""


def compress(photo: Tensor, qualities: tuple[int, int], generator: torch.Generator, colours: str = "4:2:0") -> Tensor:
    """JPEG with a block grid of random phase: patches of real photographs lie anywhere on it.

    Args:
        photo: (C, H, W) in [0, 1], C = 1 or 3.
        qualities: range of the quality, 1..100.
        generator: source of every draw.
        colours: chroma subsampling, as of :func:`noiseda.images.jpeg`.
    """
    quality, down, right = (integer(*bounds, generator) for bounds in (qualities, (0, 15), (0, 15)))
    shifted = F.pad(photo[None], (right, 0, down, 0), mode="replicate")[0]
    return jpeg(shifted, quality, colours)[:, down:, right:]


def linear_from_srgb(srgb: Tensor) -> Tensor:
    """Light (linear, [0, 1]) of sRGB values in [0, 1], any shape: the transfer function of IEC 61966-2-1."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(light: Tensor) -> Tensor:
    """The inverse of :func:`linear_from_srgb`, for light in [0, 1], any shape."""
    # The clamp keeps the power's branch finite where it is not taken.
    power = 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, 12.92 * light, power)


def bayer_sites(height: int, width: int, row: int, column: int) -> Tensor:
    """Where a Bayer sensor measures which colour.

    Args:
        height: of the sensor, in pixels.
        width: of the sensor, in pixels.
        row: row, 0 or 1, of the first red pixel.
        column: column, 0 or 1, of the first red pixel.

    Returns:
        (3, H, W), 1 where a pixel measures red, green, blue, else 0: exactly one 1 a pixel.
    """
    red_row = (torch.arange(height) % 2 == row)[:, None]
    red_column = (torch.arange(width) % 2 == column)[None]
    return torch.stack([red_row & red_column, red_row ^ red_column, ~red_row & ~red_column]).float()


def demosaic(raw: Tensor, sites: Tensor, method: Demosaic = "bilinear") -> Tensor:
    """Fill in the two colours that each pixel of a Bayer sensor misses.

    Borders are reflected without repeating the edge, which continues the mosaic. Measured values are kept.

    Args:
        raw: (H, W), one value a pixel.
        sites: (3, H, W) of :func:`bayer_sites`.
        method: ``bilinear``, or ``malvar`` (Malvar, He, Cutler 2004, "High-quality linear interpolation for demosaicing
            of Bayer-patterned color images", figure 2).

    Returns:
        (3, H, W)
    """
    if method == "bilinear":
        measured = F.pad((sites * raw)[None], (1, 1, 1, 1), mode="reflect")
        return F.conv2d(measured, _bilinear_filters(), groups=3)[0]
    red, green, blue = sites
    # A green pixel has red neighbours in its row or in its column; the filters along and across differ.
    red_row = (red.amax(1) > 0).float()[:, None]
    padded = F.pad(raw[None, None], (2, 2, 2, 2), mode="reflect")
    green_at_colour, colour_in_row, colour_in_column, colour_at_opposite = F.conv2d(padded, _malvar_filters())[0]
    red_at_green = red_row * colour_in_row + (1 - red_row) * colour_in_column
    blue_at_green = red_row * colour_in_column + (1 - red_row) * colour_in_row
    return torch.stack(
        [
            red * raw + green * red_at_green + blue * colour_at_opposite,
            green * raw + (1 - green) * green_at_colour,
            blue * raw + green * blue_at_green + red * colour_at_opposite,
        ]
    )


@cache
def _bilinear_filters() -> Tensor:
    """(3, 1, 3, 3): means over the nearest neighbours of the colour; 1 at the centre, where it is measured."""
    tent = torch.tensor([0.5, 1.0, 0.5])
    sparse = torch.outer(tent, tent)  # red and blue: every second pixel of every second row
    dense = torch.tensor([[0.0, 0.25, 0.0], [0.25, 1.0, 0.25], [0.0, 0.25, 0.0]])  # green: a chequerboard
    return torch.stack([sparse, dense, sparse])[:, None]


@cache
def _malvar_filters() -> Tensor:
    """(4, 1, 5, 5): green at red or blue; red or blue at green, from its row, from its column; red at blue and back."""
    green = [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]
    in_row = [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]
    opposite = [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]
    filters = torch.tensor([green, in_row, in_row, opposite]) / 8
    filters[2] = filters[2].T.contiguous()
    return filters[:, None]
