"""Noise that differs from pixel to pixel, measured in a photograph: how it grows with light, how colours share it.

No simulated camera shares noise between colours as photographs do. In those of SIDD that were shrunk by leaving pixels
out, red and blue have 1.5 to 1.9 times the noise of green and a correlation of 0.5, since all colours of a pixel were
made from the same places of the sensor. What is measured needs no simulation:

* Differences over 2 x 2 pixels, (x00 - x01 - x10 + x11) / 2, have the noise's covariance, and hardly anything of smooth
  structure. They are looked at in the smoothest places of each brightness.
* In the light l, before the tone curve s of sRGB, variance is a l + b for each colour (Foi et al. 2008); what noise
  has in common between colours is the same from dark to bright. Grey images are mostly measurements and no developed
  photographs (microscopy, OCT): there s(l) = l, and noise leaves the mean as it is.

The model holds for photographs whose neighbours share next to no noise. Where they share more, or where texture is
everywhere, noise less its local mean is correlated, and nothing is measured. What little neighbours share is measured,
too: OCT has a correlation of 0.1 down its columns, and 2 x 2 differences see 7% less noise by that than there is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, ClassVar

import torch
from torch import Tensor

from noiseda.data.camera import linear_from_srgb, srgb_from_linear
from noiseda.data.phone import gaussian
from noiseda.data.sampling import one_thread

BLACK, WHITE = 0.08, 0.92
"""Brightness, of each colour, between which places are looked at: beyond, noise is clipped."""

LEVELS = 8
"""Ranges of brightness, each with as many places."""

SMOOTHEST = 0.15
"""Share of the places of each brightness that is looked at."""

FEWEST = 2000
"""Places that a photograph needs."""

CLEAR = 2.0
"""Standard deviations that a place must keep from black and white, once they are known."""

CORRELATED = 0.08
"""Correlation of neighbours, or of opposite sign, from which on a photograph is not measured."""

MEASURED = 1 / 3
"""Share of the photographs whose noise must have been measured for it to be used, of those that have places to look at.
Where neighbours share their noise it is in none; the others of those that do not have texture everywhere."""

LEAST = 0.3
"""Standard deviation, in steps of the file, below which there is no noise to measure."""

_SMOOTHED = 4.0  # pixels of the Gaussian that leaves a photograph's structure, and next to none of its noise
_LUMA = torch.tensor([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class IndependentNoise:
    """Adds noise as one photograph has it: x = s(l(y) + sqrt(a l(y) + b) M N n), l = s^-1, clipped.

    The curve s is that of sRGB where C = 3, and none where C = 1.

    Attributes:
        shot: a for each of C = 1 or 3 colours.
        read: b for each.
        shared: M, (C, C): what makes independent draws of C colours noise of variance 1 that colours share.
        neighbours: correlations with the pixel below, the one to the right, and along diagonals, which N makes.
    """

    shot: tuple[float, ...]
    read: tuple[float, ...]
    shared: tuple[tuple[float, ...], ...]
    neighbours: tuple[float, float, float] = (0.0, 0.0, 0.0)

    margin: ClassVar[int] = 0

    @one_thread()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1], C = 1 or 3; a grey one wears the brightness of coloured noise.

        Raises:
            ValueError: it is of another shape.
        """
        _check(clean)
        colours = len(self.shot)
        values = (clean if len(clean) == colours else clean.mean(0).expand(colours, -1, -1)).clamp(0, 1)
        light = _light(values)
        shot, read = (torch.tensor(each)[:, None, None] for each in (self.shot, self.read))
        drawn = _correlated(torch.randn(light.shape, generator=generator), self.neighbours)
        noise = torch.einsum("dc,chw->dhw", torch.tensor(self.shared), drawn)
        noisy = (light + (shot * light + read).sqrt() * noise).clamp(0, 1)
        noisy = srgb_from_linear(noisy) if colours > 1 else noisy
        if colours > len(clean):
            brightness: Tensor = torch.tensordot(_LUMA.to(noisy), noisy, dims=1)
            return brightness[None]
        return noisy.expand_as(clean).contiguous()

    @property
    def strength(self) -> float:
        """Its standard deviation at mid-grey, in 1/255, as a mean over the colours."""
        return 255 * float(self.deviation(torch.full((len(self.shot), 1, 1), 0.5)).square().mean().sqrt())

    def deviation(self, values: Tensor) -> Tensor:
        """The standard deviation that a step of values (C, H, W) has, in [0, 1]; of the same shape."""
        shot, read = (torch.tensor(each)[:, None, None] for each in (self.shot, self.read))
        return (shot * _light(values) + read).sqrt() / _slope(values)

    def with_neighbours(self, neighbours: tuple[float, float, float]) -> IndependentNoise:
        """The same as seen in 2 x 2 differences, with other correlations of neighbours, and as much stronger."""
        stronger = _in_differences(self.neighbours) / _in_differences(neighbours)
        shot, read = (tuple(stronger * one for one in each) for each in (self.shot, self.read))
        down, right, across = (round(one, 4) for one in neighbours)
        return replace(self, shot=shot, read=read, neighbours=(down, right, across))

    def kept(self) -> dict[str, Any]:
        """For a JSON document; :meth:`again` reads it."""
        return {"shot": self.shot, "read": self.read, "shared": self.shared, "neighbours": self.neighbours}

    @staticmethod
    def again(document: dict[str, Any]) -> IndependentNoise:
        """What :meth:`kept` was made of."""
        shared = tuple(tuple(row) for row in document["shared"])
        down, right, across = document["neighbours"]
        return IndependentNoise(tuple(document["shot"]), tuple(document["read"]), shared, (down, right, across))


def light_per_value(values: Tensor) -> Tensor:
    """How much light (linear) a step of sRGB's values stands for: the slope of :func:`linear_from_srgb`; any shape."""
    power = 2.4 / 1.055 * ((values.clamp(min=0) + 0.055) / 1.055) ** 1.4
    return torch.where(values <= 0.04045, torch.full_like(values, 1 / 12.92), power)


@one_thread()
def independent_noise(image: Tensor, levels: float = 255.0) -> IndependentNoise | None:
    """Measure a photograph's noise, where it is independent from pixel to pixel.

    Args:
        image: (C, H, W) in [0, 1], C = 1 or 3.
        levels: steps from black to white of its file, whose rounding is no noise.

    Returns:
        None where neighbours are correlated, where fewer than ``FEWEST`` places are between black and white, or where
        there is less noise than a file's steps make.

    Raises:
        ValueError: the image is of another shape.
    """
    _check(image)
    if min(image.shape[-2:]) < 16:
        return None
    found = _found(image, levels)
    if found is None:
        return None
    # The smoothest places were chosen by their noise, too, which shifts its correlations. How much so is measured on
    # simulated noise of the same law, whose neighbours share nothing.
    smooth, draws = gaussian(image, _SMOOTHED).clamp(0, 1), torch.Generator().manual_seed(0)
    alone = replace(found, neighbours=(0.0, 0.0, 0.0))(smooth, draws)
    known = _found((alone * levels).round() / levels, levels)
    if known is None:
        return found
    down, right, across = (one - other for one, other in zip(found.neighbours, known.neighbours, strict=True))
    return found.with_neighbours((down, right, across))


def _check(image: Tensor) -> None:
    if image.ndim != 3 or len(image) not in (1, 3):
        raise ValueError(f"expected an image (C, H, W), C = 1 or 3, not {tuple(image.shape)}")


def _found(image: Tensor, levels: float) -> IndependentNoise | None:
    """As :func:`independent_noise`, with correlations as they are seen in smooth places."""
    smooth = gaussian(image, 1.5)
    # A difference belongs to four pixels; what surrounds them is that of the first, to half a pixel.
    rough = _mean(smooth.square(), 9) - _mean(smooth, 9).square()
    rough = _mean(rough.clamp(min=0).sum(0, keepdim=True), 3)[0, :-1, :-1]
    values = _mean(smooth, 3)[:, :-1, :-1]
    found = _measured(image, values, rough, _usable(image, values), levels)
    if found is None:
        return None
    # Places whose noise reaches black or white had only the rest of it: how far it reaches is known now.
    reach = CLEAR * found.deviation(values)
    clear = ((values > reach) & (values + reach < 1)).all(0)
    return _measured(image, values, rough, clear, levels) or found


def measured_noise(photographs: Sequence[Tensor], levels: float, *, colourless: bool) -> tuple[IndependentNoise, ...]:
    """The noise of those photographs (C, H, W) where it can be measured; none where it can in too few.

    Args:
        photographs: in [0, 1].
        levels: steps from black to white of their files.
        colourless: whether all are grey: then their noise has one colour.
    """
    found, others = [], 0
    for photograph in photographs:
        image = photograph[:1] if colourless else photograph.expand(3, -1, -1)
        noise = independent_noise(image, levels)
        if noise is not None:
            found.append(noise)
        else:
            others += _has_places(image)
    if len(found) < max(MEASURED * (len(found) + others), 1):
        return ()
    # Texture adds to what neighbours seem to share, differently in each; what made the photographs is one for all.
    down, right, across = (median(each) for each in zip(*(one.neighbours for one in found), strict=True))
    return tuple(one.with_neighbours((down, right, across)) for one in found)


def _measured(image: Tensor, values: Tensor, rough: Tensor, usable: Tensor, levels: float) -> IndependentNoise | None:
    """The noise of an image (C, H, W) in the smoothest of its usable places (H - 1, W - 1)."""
    if int(usable.sum()) < FEWEST:
        return None
    chosen = _smoothest(values.mean(0), rough, usable)
    down, right, across, *others = _neighbours(image, chosen)
    if max(map(abs, ((down + right) / 2, across, *others))) > CORRELATED:
        return None
    neighbours = (round(down, 4), round(right, 4), round(across, 4))
    light, slope = _light(image), _slope(image)
    difference = (light[:, 1:, 1:] - light[:, 1:, :-1] - light[:, :-1, 1:] + light[:, :-1, :-1])[:, chosen] / 2
    light, slope = _mean(gaussian(light, 1.5), 3)[:, :-1, :-1][:, chosen], slope[:, :-1, :-1][:, chosen]
    rounding = (1 / levels) ** 2 * slope.square()
    squares = (difference.square() - rounding / 12) / _in_differences(neighbours)
    if float((squares.mean(dim=1) / rounding.mean(dim=1)).min()) < LEAST**2:
        return None
    laws = [_law(own, square) for own, square in zip(light.double(), squares.double(), strict=True)]
    shot, read = (torch.tensor(part)[:, None] for part in zip(*laws, strict=True))
    unit = difference / (shot * light + read).sqrt()
    deviation = unit.square().mean(dim=1).sqrt()
    correlation = unit @ unit.T / unit.shape[1] / torch.outer(deviation, deviation)
    sizes, directions = torch.linalg.eigh(correlation.double())
    root = (directions * sizes.clamp(min=0).sqrt()) @ directions.T
    shared = tuple(tuple(round(entry, 4) for entry in row) for row in root.tolist())
    return IndependentNoise(tuple(law[0] for law in laws), tuple(law[1] for law in laws), shared, neighbours)


def _in_differences(neighbours: tuple[float, float, float]) -> float:
    """The share of noise's variance that differences over 2 x 2 pixels have."""
    down, right, across = neighbours
    return 1 - down - right + across


def _correlated(noise: Tensor, neighbours: tuple[float, float, float]) -> Tensor:
    """Independent noise (C, H, W) made to have these correlations; its borders meet, its variance stays."""
    if not any(neighbours):
        return noise
    down, right, across = (2 * one for one in neighbours)
    height, width = noise.shape[-2:]
    rows, columns = 2 * math.pi * torch.fft.fftfreq(height)[:, None], 2 * math.pi * torch.fft.rfftfreq(width)
    power = 1 + down * rows.cos() + right * columns.cos() + 2 * across * rows.cos() * columns.cos()
    made: Tensor = torch.fft.irfft2(torch.fft.rfft2(noise) * power.clamp(min=0).sqrt(), s=(height, width))
    return made


def _light(values: Tensor) -> Tensor:
    """The light of values (C, ...)."""
    return values if len(values) == 1 else linear_from_srgb(values)


def _slope(values: Tensor) -> Tensor:
    """How much light a step of values (C, ...) stands for."""
    return torch.ones_like(values) if len(values) == 1 else light_per_value(values)


def _law(light: Tensor, squares: Tensor) -> tuple[float, float]:
    """The a and b, neither negative, of variances a l + b whose draws are given: weighted least squares, by turns.

    Read noise has a little against it, as much as a thousandth of what is known of it: where all places are about as
    bright, a and b cannot be separated, and photon noise is the likelier one.
    """
    shot, read = float(squares.mean() / light.mean()), 0.0
    for _ in range(4):
        weight = 1 / (shot * light + read)
        ramp, level, wanted = light * weight, weight, squares * weight
        both = ramp @ level
        system = torch.stack([ramp @ ramp, both, both, 1.001 * level @ level]).view(2, 2)
        shot, read = torch.linalg.solve(system, torch.stack([ramp @ wanted, level @ wanted])).tolist()
        if read < 0:
            shot, read = float(ramp @ wanted / (ramp @ ramp)), 0.0
        if shot < 0:
            shot, read = 0.0, float(level @ wanted / (level @ level))
        shot, read = max(shot, 1e-10), max(read, 0.0)
    return shot, read


def _neighbours(image: Tensor, chosen: Tensor) -> list[float]:
    """Correlations of places (H - 1, W - 1): below, to the right, along both diagonals, two steps along both axes.

    Patterns of two and four pixels hide from the first. All are of what is left without the mean of 7 x 7 pixels, by
    which independent ones share 1/49.
    """
    rest = image - _mean(image, 7)
    one = rest[:, :-1, :-1][:, chosen]
    power = max(float(one.square().mean()), 1e-12)

    def correlation(*steps: tuple[int, int]) -> float:
        others = [rest.roll((-down, -right), dims=(1, 2))[:, :-1, :-1][:, chosen] for down, right in steps]
        return float((one * torch.stack(others).mean(0)).mean()) / power + 1 / 49

    return [correlation(*steps) for steps in (((1, 0),), ((0, 1),), ((1, 1), (1, -1)), ((0, 2), (2, 0)))]


def _smoothest(bright: Tensor, rough: Tensor, usable: Tensor) -> Tensor:
    """Which places (H, W) have the least structure of those that are as bright."""
    cuts = bright[usable].sort().values
    edges = cuts[torch.linspace(0, len(cuts) - 1, LEVELS + 1).long()]
    chosen = torch.zeros_like(usable)
    for low, high in itertools.pairwise(edges):
        part = usable & (bright >= low) & (bright <= high)
        own = rough[part].sort().values
        chosen |= part & (rough <= own[int(SMOOTHEST * (len(own) - 1))])
    return chosen


def _has_places(image: Tensor) -> bool:
    """Whether an image (C, H, W) has enough places for its noise to be measured: one that is black says nothing."""
    values = _mean(gaussian(image, 1.5), 3)[:, :-1, :-1]
    return int(_usable(image, values).sum()) >= FEWEST


def _usable(image: Tensor, values: Tensor) -> Tensor:
    """Which places (H - 1, W - 1) of an image, whose smooth values are given, are between black and white."""
    return ((values > BLACK) & (values < WHITE)).all(0) & _unclipped(image)


def _unclipped(image: Tensor) -> Tensor:
    """(C, H, W) -> (H - 1, W - 1): whether none of four neighbours is black or white in any colour."""
    inside = ((image > 0) & (image < 1)).all(0)
    return inside[1:, 1:] & inside[1:, :-1] & inside[:-1, 1:] & inside[:-1, :-1]


def _mean(images: Tensor, side: int) -> Tensor:
    """The mean of each pixel's surroundings, as far as they lie in the image; (C, H, W) -> the same.

    torch's average pooling takes three to nine times as long.
    """
    for axis in (-1, -2):
        length, total = images.shape[axis], images.clone()
        number = torch.ones(length)
        for far in range(1, min(side // 2, length - 1) + 1):
            rest = length - far
            total.narrow(axis, far, rest).add_(images.narrow(axis, 0, rest))
            total.narrow(axis, 0, rest).add_(images.narrow(axis, far, rest))
            number[far:] += 1
            number[:rest] += 1
        images = total / (number if axis == -1 else number[:, None])
    return images
