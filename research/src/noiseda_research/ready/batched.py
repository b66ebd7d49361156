"""What the ready weights learn to take away, as batches of tensors on any device: a GPU need not wait for its data.

Each function does to a batch (B, 3, H, W) what a degradation does to an image on a CPU, with numbers of its own for
each sample, from the same ranges. Gaussians are products of spectra, so what leaves an image on one side comes in on
the other, and JPEG's blocks lie alike in all samples of a call: :class:`Mixture` is given crops with a margin, which it
cuts off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda import Degradation
from noiseda.data import Camera, Phone, Shot, White, bayer_sites, linear_from_srgb, srgb_from_linear
from noiseda.estimation import LENIENCE, RADIUS, SHARPENING
from noiseda_research.ready.mixture import STRONG, Coarse, Speckle, Wide
from noiseda_research.ready.varied import Varied

MARGIN = 24
"""Pixels on each side that do not count: three deviations of the widest Gaussian that an image is seen through."""

_OVERLAP = ((0.00, 0.85, 0.15), (0.45, 0.00, 0.55), (0.10, 0.90, 0.00))
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMINANCE = (
    (17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99),
)  # fmt: skip  # 99 everywhere else
_IN_ROW = ((0, 0, 0.5, 0, 0), (0, -1, 0, -1, 0), (-1, 4, 5, 4, -1), (0, -1, 0, -1, 0), (0, 0, 0.5, 0, 0))
_MALVAR = (
    ((0, 0, -1, 0, 0), (0, 0, 2, 0, 0), (-1, 2, 4, 2, -1), (0, 0, 2, 0, 0), (0, 0, -1, 0, 0)),
    _IN_ROW,
    tuple(zip(*_IN_ROW, strict=True)),
    ((0, 0, -1.5, 0, 0), (0, 2, 0, 2, 0), (-1.5, 0, 6, 0, -1.5), (0, 2, 0, 2, 0), (0, 0, -1.5, 0, 0)),
)  # at red or blue: green; at green: what is in its row, in its column; at red: blue


class Random:
    """Draws for each sample of a batch.

    Args:
        generator: of the device that is drawn on.
        count: samples in a batch.
    """

    def __init__(self, generator: torch.Generator, count: int) -> None:
        self.generator, self.count, self.device = generator, count, generator.device

    def uniform(self, low: float, high: float) -> Tensor:
        """(B, 1, 1, 1), each uniform in [low, high)."""
        return low + (high - low) * torch.rand(self.count, 1, 1, 1, generator=self.generator, device=self.device)

    def log_uniform(self, low: float, high: float) -> Tensor:
        """(B, 1, 1, 1), whose logarithm is uniform."""
        return self.uniform(math.log(low), math.log(high)).exp()

    def happens(self, share: float) -> Tensor:
        """(B, 1, 1, 1) of True with some probability."""
        return self.uniform(0, 1) < share

    def normal(self, like: Tensor) -> Tensor:
        """Independent standard normal numbers, as many as a tensor has."""
        return torch.randn(like.shape, generator=self.generator, device=self.device)


def gaussian(images: Tensor, sigma: Tensor) -> Tensor:
    """Images (B, C, H, W) seen through Gaussians of ``sigma`` pixels, (B, 1, 1, 1), on a torus."""
    if not len(images):
        return images
    height, width = images.shape[-2:]
    down = _passes(sigma, torch.fft.fftfreq(height, device=images.device))[:, None, :, None]
    right = _passes(sigma, torch.fft.rfftfreq(width, device=images.device))[:, None, None, :]
    smooth: Tensor = torch.fft.irfft2(torch.fft.rfft2(images) * (down * right), s=(height, width))
    return smooth


def _passes(sigma: Tensor, frequencies: Tensor) -> Tensor:
    """What sampled Gaussians, which end at three deviations, leave of frequencies; (B, 1, 1, 1), (F,) -> (B, F)."""
    place = torch.arange(-MARGIN, MARGIN + 1, device=frequencies.device)
    sigma = sigma.reshape(-1, 1)
    kernel = torch.exp(-0.5 * (place / sigma).square()) * (place.abs() <= (3 * sigma).ceil())  # (B, K)
    waves = torch.cos(2 * math.pi * place[:, None] * frequencies)
    left: Tensor = kernel @ waves / kernel.sum(1, keepdim=True)
    return left


def sharpened(images: Tensor, draw: Random) -> Tensor:
    """As :func:`noiseda.estimation.sharpened`."""
    amount, scale = draw.uniform(*SHARPENING), draw.uniform(*RADIUS)
    return images + amount * (images - gaussian(images, scale))


def degraded(clean: Tensor, draw: Random, by: Degradation) -> Tensor:
    """What a part of the mixture makes of clean images, before JPEG.

    Raises:
        TypeError: it has no batched form.
    """
    if isinstance(by, White):
        return clean + draw.uniform(*by.strength) / 255 * draw.normal(clean)
    if isinstance(by, Shot):
        return _shot(clean, draw, by)
    if isinstance(by, Camera) and by.mosaic and by.clip_black and not by.demosaic_signal:
        return _camera(clean, draw, by)
    if isinstance(by, Phone):
        return _phone(clean, draw, by)
    if isinstance(by, Coarse):
        return _coarse(clean, draw, by)
    raise TypeError(f"{type(by).__name__} has no batched form")


def _shot(clean: Tensor, draw: Random, by: Shot) -> Tensor:
    light = linear_from_srgb(clean)
    low, high = linear_from_srgb(torch.tensor([0.5, 0.5 + 1e-3])).tolist()
    variance = ((high - low) / 1e-3 * draw.log_uniform(*by.strength) / 255).square()
    share = draw.uniform(*by.read)
    noisy = light + ((1 - share) * variance / low * light + share * variance).sqrt() * draw.normal(clean)
    return srgb_from_linear(noisy.clamp(0, 1))


def _camera(clean: Tensor, draw: Random, by: Camera) -> Tensor:
    shots = 1e-6 * draw.log_uniform(*by.strength)
    read = (2.18 * shots.log() + 1.20 + 0.26 * draw.normal(shots)).exp()
    gains = torch.cat([draw.uniform(*by.red_gain), torch.ones_like(shots), draw.uniform(*by.blue_gain)], dim=1)
    overlap = draw.uniform(*by.crosstalk)[:, 0]
    alone, mixed = (_matrix(name, clean.device) for name in ("eye", "overlap"))
    mixing = (1 - overlap) * alone + overlap * mixed  # (B, 3, 3)
    sensor = torch.einsum("bdc,bchw->bdhw", mixing, linear_from_srgb(clean)) / gains
    rows, columns = (draw.happens(0.5) for _ in range(2))
    sites = _sites(clean, rows, columns)
    raw = (sensor * sites).sum(1, keepdim=True)
    noisy = (raw + (shots * raw + read).clamp(min=0).sqrt() * draw.normal(raw)).clamp(0, 1)
    noise = (gains * sites).sum(1, keepdim=True) * (noisy - raw)
    filled = _malvar(noise, sites) if by.demosaic == "malvar" else _bilinear(noise, sites)
    developed = torch.einsum("bdc,bchw->bdhw", torch.linalg.inv_ex(mixing)[0], gains * sensor + filled)
    return srgb_from_linear(developed.clamp(0, 1))


def _phone(clean: Tensor, draw: Random, by: Phone) -> Tensor:
    to_ycc = _matrix("ycc", clean.device)
    noisy = _camera(clean, draw, Camera(strength=by.strength, demosaic="malvar"))
    noise = torch.einsum("dc,bchw->bdhw", to_ycc, noisy - clean)
    luma = torch.einsum("c,bchw->bhw", to_ycc[0], clean)[:, None]
    one = torch.ones(len(clean), 1, 1, 1, device=clean.device)
    flat = draw.uniform(*by.smoothing) * torch.exp(-((luma - gaussian(luma, 2 * one)) / 0.03).square())
    smooth = torch.lerp(noise[:, :1], gaussian(noise[:, :1], 1.5 * one), flat)
    treated = torch.cat([smooth, gaussian(noise[:, 1:], draw.uniform(*by.chroma))], dim=1)
    treated = treated + draw.uniform(*by.sharpening) * (treated - gaussian(treated, one))
    return (clean + torch.einsum("dc,bchw->bdhw", _matrix("rgb", clean.device), treated)).clamp(0, 1)


def _coarse(clean: Tensor, draw: Random, by: Coarse) -> Tensor:
    def seen(scales: tuple[float, float]) -> Tensor:
        return _unit(gaussian(draw.normal(clean[:, :1]), draw.log_uniform(*scales)))

    brightness = _unit(seen(by.fine) + draw.uniform(*by.share) * seen(by.blotches))
    colour = [draw.log_uniform(*by.colourful) * seen(by.colour) for _ in range(2)]
    to_rgb = _matrix("rgb", clean.device)
    noise = torch.einsum("dc,bchw->bdhw", to_rgb, torch.cat([brightness, *colour], dim=1))
    one = torch.ones(len(clean), 1, 1, 1, device=clean.device)
    noise = noise + draw.happens(0.5) * draw.uniform(*by.sharpening) * (noise - gaussian(noise, one))
    light = (gaussian(clean.mean(1, keepdim=True), one).clamp(0, 1) + 0.1) ** draw.uniform(*by.exponent)
    light = light / light.mean((1, 2, 3), keepdim=True)
    return (clean + draw.log_uniform(*by.strength) / 255 * light * noise).clamp(0, 1)


def speckle(clean: Tensor, draw: Random, by: Speckle) -> Tensor:
    """What speckle makes of grey images (B, 1, H, W), before JPEG."""
    fewest, most = by.looks
    draws = torch.rand(len(clean), most, *clean.shape[-2:], generator=draw.generator, device=clean.device)
    looks = draw.uniform(fewest, most + 1).floor()
    used = (torch.arange(most, device=clean.device)[:, None, None] < looks).float()
    intensity = (-(1 - draws).log() * used).sum(1, keepdim=True) / looks + 1e-4
    added = draw.happens(0.5)
    seen = torch.where(added, intensity.log(), intensity)
    noise = _unit(gaussian(_unit(seen - seen.mean((1, 2, 3), keepdim=True)), draw.uniform(*by.grain)))
    noise = draw.log_uniform(*by.strength) / 255 * noise
    return (clean + torch.where(added, noise, clean * noise)).clamp(0, 1)


def jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """What JPEG with colours of half the resolution leaves of images in [0, 1]; as libjpeg, but for rounding.

    Args:
        images: (B, 3, H, W), sides multiples of 16.
        quality: (B, 1, 1, 1), 1 to 100.
    """
    device = images.device
    planes = torch.einsum("dc,bchw->bdhw", _matrix("ycc", device), (images.clamp(0, 1) * 255).round()).round()
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    tables = []
    for name in ("luminance", "chrominance"):
        steps = _matrix(name, device)
        tables.append(((steps * scale + 50) / 100).floor().clamp(1, 255)[:, :, None, None])  # (B, 1, 1, 1, 8, 8)
    luma = _quantised(planes[:, :1] - 128, tables[0]) + 128
    colours = _quantised(F.avg_pool2d(planes[:, 1:], 2).round(), tables[1])
    colours = F.interpolate(colours, scale_factor=2, mode="bilinear", align_corners=False)
    decoded = torch.einsum("dc,bchw->bdhw", _matrix("rgb", device), torch.cat([luma, colours], dim=1))
    return decoded.round().clamp(0, 255) / 255


@dataclass(frozen=True)
class Mixture:
    """Batches of noisy and clean patches out of clean crops.

    Attributes:
        wide: the noise, in the same shares; each batch has a fixed number of each part.
        varied: how the clean crops are changed before; its images are not asked for.
    """

    wide: Wide = field(default_factory=Wide)
    varied: type[Varied] = Varied

    def __call__(self, crops: Tensor, generator: torch.Generator, host: torch.Generator) -> tuple[Tensor, Tensor]:
        """Vary crops and degrade them.

        Args:
            crops: (B, 3, H, W) in [0, 1], H and W multiples of 16 and larger than two margins.
            generator: of their device.
            host: of the CPU, for what all samples of a call have in common.

        Returns:
            degraded and clean, (B, 3, H - 2 MARGIN, W - 2 MARGIN).
        """
        count, wide = len(crops), self.wide
        clean = self._changed(crops, Random(generator, count))
        few = round(self.varied.grey * count)
        spotted = round(wide.speckled * few)
        grey, colourful = clean[:few].mean(1, keepdim=True).expand(-1, 3, -1, -1), clean[few:]
        rest = self._noisy(grey[spotted:], generator, host)
        alone = Random(generator, few - spotted).happens(0.5)
        rest = torch.where(alone, rest[:, :1], rest.mean(1, keepdim=True)).expand(-1, 3, -1, -1)
        spots = speckle(grey[:spotted, :1], Random(generator, spotted), Speckle()).expand(-1, 3, -1, -1)
        spots = _filed(spots, generator, host, Speckle().compressed, Speckle().quality)
        noisy = torch.cat([spots, rest, self._noisy(colourful, generator, host)])
        clean, draw = torch.cat([grey, colourful]), Random(generator, count)
        share = torch.where(draw.happens(wide.weaker), draw.uniform(0, 1).square(), 1.0)
        inner = (..., slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
        return torch.lerp(clean, noisy, share)[inner], clean[inner]

    def _changed(self, crops: Tensor, draw: Random) -> Tensor:
        varied = self.varied
        other = torch.lerp(crops, crops.roll(1, 0), draw.uniform(0.3, 0.7))
        clean = torch.where(draw.happens(varied.doubled), other, crops)
        soft = sharpened(gaussian(clean, draw.uniform(*varied.scales)), draw).clamp(0, 1)
        clean = torch.where(draw.happens(varied.soft), soft, clean)
        order = torch.rand(draw.count, 3, generator=draw.generator, device=draw.device).argsort(1)
        swapped = clean.gather(1, order[:, :, None, None].expand_as(clean))
        clean = torch.where(draw.happens(varied.swapped), swapped, clean)
        bent = draw.uniform(0.5, 1.0) * clean.clamp(min=1e-6) ** draw.uniform(-0.5, 0.5).exp()
        clean = torch.where(draw.happens(varied.bent), bent, clean)
        faded = torch.lerp(clean.mean(1, keepdim=True), clean, draw.uniform(0, 1))
        return torch.where(draw.happens(varied.faded), faded, clean)

    def _noisy(self, clean: Tensor, generator: torch.Generator, host: torch.Generator) -> Tensor:
        """One of the parts for each sample; an equal number of each, as far as that goes."""
        wide, noisy = self.wide, [clean[:0]]
        order = torch.randperm(len(wide.parts), generator=host).tolist()  # the first of them get one sample more
        for number, part in zip(order, torch.tensor_split(clean, len(order)), strict=True):
            if not len(part):
                continue
            by, draw = wide.parts[number], Random(generator, len(part))
            found = degraded(part, draw, by)
            if number < wide.white:
                found = torch.where(draw.happens(wide.clipped), found.clamp(0, 1), found)
                noisy.append(_filed(found, generator, host, wide.jpeg, wide.quality))
            else:
                quality = getattr(by, "quality", None)
                found = _filed(found, generator, host, getattr(by, "compressed", 1.0), quality) if quality else found
                noisy.append(self._processed(found, part, draw))
        return torch.cat(noisy)

    def _processed(self, noisy: Tensor, clean: Tensor, draw: Random) -> Tensor:
        """What a camera that smooths flat places, and then sharpens, makes of coloured noise."""
        noise = noisy - clean
        usual = noise.square().mean((1, 2, 3), keepdim=True).sqrt()
        most = (STRONG / usual.clamp(min=1e-4)).clamp(1.01, 4.0)
        times = (draw.uniform(0, 1) * most.log()).exp()
        weights = _matrix("ycc", clean.device)[0]
        shown, rough = (torch.einsum("c,bchw->bhw", weights, image)[:, None] for image in (clean, times * noise))
        structure = (_local(shown.square()) - _local(shown).square()).clamp(min=0)
        lenient = structure + LENIENCE * rough.square().mean((1, 2, 3), keepdim=True)
        kept = torch.maximum(structure / lenient.clamp(min=1e-12), 1 / times)
        noise = torch.where(draw.happens(self.wide.textured), kept * times * noise, noise)
        noise = torch.where(draw.happens(self.wide.sharpened), sharpened(noise, draw), noise)
        return (clean + noise).clamp(0, 1)


def _filed(
    images: Tensor, generator: torch.Generator, host: torch.Generator, share: float, qualities: tuple[int, int]
) -> Tensor:
    """A share of images, compressed; the grid lies anywhere, alike for all of them."""
    if not share or not len(images):
        return images
    draw = Random(generator, len(images))
    down, right = torch.randint(16, (2,), generator=host).tolist()
    quality = draw.uniform(qualities[0], qualities[1] + 1).floor()
    found = jpeg(images.roll((down, right), (2, 3)), quality).roll((-down, -right), (2, 3))
    return torch.where(draw.happens(share), found, images)


def _sites(like: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """:func:`noiseda.data.camera.bayer_sites` for each sample; (B, 3, H, W)."""
    four = _all_sites(*like.shape[-2:], like.device)
    return four[(2 * rows.long() + columns.long()).flatten()]


@cache
def _all_sites(height: int, width: int, device: torch.device) -> Tensor:
    four = [bayer_sites(height, width, row, column) for row in (0, 1) for column in (0, 1)]
    return torch.stack(four).to(device)


@cache
def _matrix(name: str, device: torch.device) -> Tensor:
    """A constant, moved to its device once: each move would wait for all that was asked of the device before."""
    to_ycc = torch.tensor(_TO_YCC)
    chrominance = torch.full((8, 8), 99.0)
    chrominance[:4, :4] = torch.tensor(_CHROMINANCE)
    tent = torch.tensor([0.5, 1.0, 0.5])
    dense = torch.tensor([[0.0, 0.25, 0.0], [0.25, 1.0, 0.25], [0.0, 0.25, 0.0]])
    constants: dict[str, Tensor] = {
        "ycc": to_ycc,
        "rgb": torch.linalg.inv(to_ycc),
        "eye": torch.eye(3),
        "overlap": torch.tensor(_OVERLAP),
        "luminance": torch.tensor(_LUMINANCE, dtype=torch.float32),
        "chrominance": chrominance,
        "bilinear": torch.stack([torch.outer(tent, tent), dense, torch.outer(tent, tent)])[:, None],
        "malvar": torch.tensor(_MALVAR)[:, None] / 8,
    }
    return constants[name].to(device)


def _bilinear(raw: Tensor, sites: Tensor) -> Tensor:
    return F.conv2d(F.pad(sites * raw, (1,) * 4, mode="reflect"), _matrix("bilinear", raw.device), groups=3)


def _malvar(raw: Tensor, sites: Tensor) -> Tensor:
    seen = F.conv2d(F.pad(raw, (2,) * 4, mode="reflect"), _matrix("malvar", raw.device))
    at_colour, row, column, across = torch.split(seen, 1, dim=1)
    red, is_green, blue = torch.split(sites, 1, dim=1)
    red_row = red.amax(3, keepdim=True)
    red_here, blue_here = (
        red_row * row + (1 - red_row) * column,
        red_row * column + (1 - red_row) * row,
    )
    return torch.cat(
        [
            red * raw + is_green * red_here + blue * across,
            is_green * raw + (1 - is_green) * at_colour,
            blue * raw + is_green * blue_here + red * across,
        ],
        dim=1,
    )


def _local(images: Tensor) -> Tensor:
    means: Tensor = F.avg_pool2d(F.pad(images, (3,) * 4, mode="reflect"), 7, stride=1)
    return means


def _unit(noise: Tensor) -> Tensor:
    return noise / (noise.square().mean((1, 2, 3), keepdim=True) + 1e-12).sqrt()


def _quantised(planes: Tensor, steps: Tensor) -> Tensor:
    """Planes (B, C, H, W) with the DCT of their blocks of 8 x 8 pixels rounded to multiples of ``steps``."""
    place = torch.arange(8, device=planes.device, dtype=torch.float32)
    basis = torch.cos((place[None] + 0.5) * place[:, None] * math.pi / 8) / 2
    basis[0] = 8**-0.5
    blocks = planes.unfold(2, 8, 8).unfold(3, 8, 8)  # (B, C, H / 8, W / 8, 8, 8)
    coefficients = basis @ blocks @ basis.T
    back = basis.T @ ((coefficients / steps).round() * steps) @ basis
    return back.permute(0, 1, 2, 4, 3, 5).reshape(planes.shape)
