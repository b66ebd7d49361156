"""Rain: two renderers with nothing in common but the haze, so that one can play the other's real domain; and both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from noiseda.data.sampling import Range, check_strength, integer, log_uniform, one_thread, uniform


@dataclass(frozen=True, kw_only=True)
class Streaks:
    """Rain as layers of blurred noise: haze, then streaks laid over it.

    Each layer k lies at a depth z_k in [1, 3] and is sparse noise N_k (few pixels hold a streak) convolved with one
    soft line of the image's angle: streaks of a layer are alike. Farther layers are shorter, thinner, fainter and
    denser. With the transmission t and the air's light A:

        J = t y + (1 - t) A,    S = sum_k N_k * line_k,    x = J + S (additive) or 1 - (1 - J)(1 - S) (screen)

    clipped to [0, 1]. Streaks are white: drops collect light from all around (Garg & Nayar 2007, "Vision and Rain").

    Source: the rain-streak model with layers and atmospheric light of Yang et al. 2017, "Deep Joint Rain Detection and
    Removal from a Single Image", Eq. 1 and 5.
    """

    strength: Range = (2.0, 25.0)
    """Coverage: streak area (length x width, overlaps counted twice) in percent of the image."""

    length: Range = (25.0, 80.0)
    """Range of the nearest layer's streak length, in pixels; one draw per image."""

    width: Range = (1.0, 2.5)
    """Range of the nearest layer's streak width (full width at half maximum), in pixels; one draw per image."""

    slant: float = 35.0
    """Largest angle of the rain against the vertical, in degrees; layers differ by a few degrees from the image's."""

    brightness: Range = (0.3, 0.9)
    """Range of the brightest streaks' opacity; one draw per image."""

    layers: tuple[int, int] = (2, 4)
    """Range of the number of layers."""

    veil: Range = (0.0, 0.1)
    """Range of the haze's opacity 1 - t: far rain seen as fog."""

    blend: Literal["screen", "additive"] = "screen"
    """How streaks meet the background; additive saturates sooner over bright areas."""

    margin: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_strength(self.strength, "percent of the image under streaks")

    @one_thread()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        coverage = uniform(self.strength, generator) / 100
        hazy = haze(clean, self.veil, generator)
        count = integer(*self.layers, generator)
        depth = torch.linspace(1, 3, count) if count > 1 else torch.ones(1)
        length = uniform(self.length, generator) / depth
        width = (uniform(self.width, generator) / depth**0.5).clamp(min=1)
        angle = uniform((-self.slant, self.slant), generator) + 3 * torch.randn(count, generator=generator)
        lines = soft_lines(length, width, angle)  # (K, S, S)

        height, width_px = clean.shape[-2:]
        reach = lines.shape[-1] // 2
        chance = coverage / count / (length * width)
        dice = torch.rand(count, height + 2 * reach, width_px + 2 * reach, generator=generator)
        # Of the dice below the threshold, the position within is uniform again: it varies the streaks' brightness.
        seeds = torch.where(dice < chance[:, None, None], 1 - 0.7 * dice / chance.clamp(min=1e-9)[:, None, None], 0.0)
        opacity = uniform(self.brightness, generator) / depth**0.5
        # Circular convolution: the first 2 reach rows and columns wrap around and are cut off.
        size = dice.shape[-2:]
        spectrum = torch.fft.rfft2(seeds) * torch.fft.rfft2(lines, s=size) * opacity[:, None, None]
        rain = torch.fft.irfft2(spectrum.sum(0), s=size)[2 * reach :, 2 * reach :].clamp(0, 1)
        rainy: Tensor = hazy + rain if self.blend == "additive" else 1 - (1 - hazy) * (1 - rain)
        return rainy.clamp(0, 1)


@dataclass(frozen=True, kw_only=True)
class Drops:
    """Rain as single drops, each a semi-transparent capsule of its own: haze, then every streak drawn over it.

    A drop at depth z (log-uniform in [1, 4]) has its own position, slant, length, width, opacity a and brightness c,
    and covers a fraction m of each pixel it touches (anti-aliased, fading towards both ends). Streaks mix in any order:

        J = t y + (1 - t) A,    T = prod_i (1 - a_i m_i),    x = T J + (1 - T) max(J, weighted mean of the c_i)

    so a streak hides what is behind it, as a drop that crosses a pixel for part of the exposure does, and never
    darkens it.

    Source: Garg & Nayar 2007, "Vision and Rain": a streak's pixel is a mean of drop and background, weighted by time.
    """

    strength: Range = (2.0, 20.0)
    """Coverage: streak area (length x width, overlaps counted twice) in percent of the image."""

    length: Range = (10.0, 70.0)
    """Range of a streak's length at depth 1, in pixels; one draw per drop."""

    width: Range = (1.5, 5.0)
    """Range of a streak's width at depth 1, in pixels; one draw per drop."""

    slant: float = 25.0
    """Largest angle of the image's rain against the vertical, in degrees, below 45."""

    jitter: float = 5.0
    """Standard deviation of a drop's own angle around the image's, in degrees."""

    opacity: Range = (0.2, 0.7)
    """Range of a streak's opacity; one draw per drop."""

    brightness: Range = (0.7, 1.0)
    """Range of a streak's brightness; one draw per drop."""

    veil: Range = (0.0, 0.2)
    """Range of the haze's opacity 1 - t."""

    margin: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_strength(self.strength, "percent of the image under streaks")

    @one_thread()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        coverage = uniform(self.strength, generator) / 100
        hazy = haze(clean, self.veil, generator)
        slant = uniform((-self.slant, self.slant), generator)
        rows, columns = clean.shape[-2:]
        reach = math.ceil(self.length[1] / 2) + 1
        area = (rows + 2 * reach) * (columns + 2 * reach)
        # Mean streak area, E[length] E[width] E[1/z^2] with z log-uniform in [1, 4]: the last is (1 - 1/16) / (2 ln 4).
        each = sum(self.length) / 2 * sum(self.width) / 2 * (15 / 16) / (2 * math.log(4))
        count = int(torch.poisson(torch.tensor(coverage * area / each), generator=generator).item())
        if count == 0:
            return hazy

        draw = torch.rand(7, count, generator=generator)
        depth = 4 ** draw[0]
        y, x = draw[1] * (rows + 2 * reach) - reach, draw[2] * (columns + 2 * reach) - reach
        length, width = (_between(draw[k], b) / depth for k, b in ((3, self.length), (4, self.width)))
        opacity, brightness = _between(draw[5], self.opacity), _between(draw[6], self.brightness)
        angle = (slant + self.jitter * torch.randn(count, generator=generator)).clamp(-44, 44).deg2rad()

        pixel, cover = capsules(y, x, length, width, angle, rows, columns)
        alpha = opacity[:, None] * cover
        planes = torch.zeros(2, rows * columns + 1)  # the last pixel collects what falls outside
        planes[0].index_add_(0, pixel.flatten(), torch.log1p(-alpha.clamp(max=0.99)).flatten())
        planes[1].index_add_(0, pixel.flatten(), (alpha * brightness[:, None]).flatten())
        weight = torch.zeros(rows * columns + 1).index_add_(0, pixel.flatten(), alpha.flatten())
        light = (planes[1] / weight.clamp(min=1e-9))[:-1].reshape(rows, columns)
        through = planes[0, :-1].exp().reshape(rows, columns)
        return through * hazy + (1 - through) * torch.maximum(hazy, light)


@dataclass(frozen=True, kw_only=True)
class Rain:
    """Rain of every kind: of each image, one kind of :class:`Streaks` or :class:`Drops`, with or without haze.

    From a few long streaks to dense fine rain: coverage and length are drawn by octaves, what else makes a kind of rain
    evenly. The ranges are those of photographs of rain, looked at by eye.
    """

    strength: Range = (0.7, 60.0)
    """Coverage: streak area (length x width, overlaps counted twice) in percent of the image, drawn by octaves."""

    margin: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_strength(self.strength, "percent of the image under streaks", positive=True)

    def kind(self, generator: torch.Generator) -> Streaks | Drops:
        """Draw what makes a kind of rain; single streaks and their angle still differ from image to image."""
        covered, layered = log_uniform(self.strength, generator), uniform((0.0, 1.0), generator) < 0.5
        foggy = max(0.0, uniform((-0.1, 0.15 if layered else 0.2), generator))
        length = log_uniform((8.0, 80.0 if layered else 120.0), generator)
        if layered:
            width, bright = uniform((1.0, 2.5), generator), uniform((0.15, 0.9), generator)
            layers = integer(1, 4, generator)
            return Streaks(
                strength=(covered, covered), length=(length, length), width=(width, width), slant=45.0,
                brightness=(bright, bright), layers=(layers, layers), veil=(foggy, foggy),
                blend="screen" if uniform((0.0, 1.0), generator) < 0.6 else "additive",
            )  # fmt: skip
        width, opaque = log_uniform((0.6, 5.0), generator), uniform((0.1, 0.6), generator)
        width = min(width, length / 4)  # wider ones are no streaks
        return Drops(
            strength=(covered, covered), length=(0.5 * length, 1.3 * length), width=(0.6 * width, 1.4 * width),
            slant=40.0, jitter=uniform((0.5, 6.0), generator), opacity=(0.6 * opaque, 1.4 * opaque),
            veil=(foggy, foggy),
        )  # fmt: skip

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        return self.kind(generator)(clean, generator)


def haze(clean: Tensor, veil: Range, generator: torch.Generator) -> Tensor:
    """Atmospheric scattering without a depth map: J = t y + (1 - t) A, 1 - t ~ U[veil], A ~ U[0.7, 0.95] (a grey sky).

    Source: Narasimhan & Nayar 2002, "Vision and the Atmosphere", Eq. 6, with one depth for the whole image.
    """
    opacity, air = uniform(veil, generator), uniform((0.7, 0.95), generator)
    return clean * (1 - opacity) + opacity * air


def soft_lines(length: Tensor, width: Tensor, angle: Tensor) -> Tensor:
    """Line kernels: a Gaussian across, a smooth fade towards both ends, 1 at the centre.

    Args:
        length: (K,) in pixels.
        width: (K,) full width at half maximum, in pixels.
        angle: (K,) against the vertical, in degrees.

    Returns:
        (K, S, S), S odd and large enough for the longest.
    """
    reach = math.ceil(length.max().item() / 2 + width.max().item())
    axis = torch.arange(-reach, reach + 1.0)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    cos, sin = angle.deg2rad().cos()[:, None, None], angle.deg2rad().sin()[:, None, None]
    along, across = y * cos + x * sin, x * cos - y * sin
    length, width = length[:, None, None], width[:, None, None]
    fade = (1 - (2 * along / length) ** 2).clamp(0, 1) ** 0.5
    return fade * torch.exp(-4 * math.log(2) * (across / width) ** 2)


def capsules(
    y: Tensor, x: Tensor, length: Tensor, width: Tensor, angle: Tensor, rows: int, columns: int
) -> tuple[Tensor, Tensor]:
    """Pixels that each of N slanted capsules covers, and how much.

    A capsule is steeper than 45 degrees: a window of fixed width, following its axis from row to row, holds all of it.

    Args:
        y: (N,) centre, in pixels.
        x: (N,) centre, in pixels.
        length: (N,) in pixels.
        width: (N,) in pixels; below 1 the capsule is one pixel wide and fainter.
        angle: (N,) against the vertical, in radians, between -pi/4 and pi/4.
        rows: height of the image.
        columns: width of the image.

    Returns:
        Indices into the flat image (N, P), ``rows * columns`` for what lies outside; and coverages (N, P) in [0, 1].
    """
    half_rows = math.ceil(length.max().item() / 2 + width.max().item())
    half_columns = math.ceil(width.max().item() / 2 * math.sqrt(2)) + 1
    row = y.round()[:, None, None] + torch.arange(-half_rows, half_rows + 1)[:, None]  # (N, R, 1)
    dy = row - y[:, None, None]
    axis = x[:, None, None] + dy * angle.tan()[:, None, None]
    column = axis.round() + torch.arange(-half_columns, half_columns + 1)  # (N, R, S)
    dx = column - x[:, None, None]
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    along, across = dy * cos + dx * sin, dx * cos - dy * sin
    half = length[:, None, None] / 2
    distance = torch.hypot(across, (along.abs() - half).clamp(min=0))
    cover = (width[:, None, None].clamp(min=1) / 2 + 0.5 - distance).clamp(0, 1) * width[:, None, None].clamp(max=1)
    cover = cover * (1 - 0.8 * (along / half.clamp(min=1)).abs().clamp(max=1) ** 4)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    pixel = torch.where(inside, row * columns + column, rows * columns).long()
    return pixel.flatten(1), cover.flatten(1)


def _between(unit: Tensor, bounds: Range) -> Tensor:
    """Uniform draws in [0, 1] stretched to a range."""
    return bounds[0] + (bounds[1] - bounds[0]) * unit
