"""What noise in the light takes from the brightness of a photograph, put back."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.restoration.chooser import CELL
from noiseda.restoration.pilots import colourless, opponent
from noiseda.restoration.second_look import LEAST, around, cells

CONCAVE = (0.7, 0.055)
"""A and B in s'' / (2 s'^2) = -A / (s + B), of the tone curve s of sRGB."""

FARTHEST = 4.0
"""Deviations from what is usual, beyond which what is seen counts as no farther."""

_BLACK, _WHITE = 0.06, 0.92  # brightness between which noise is not clipped
_OUTLIER = 4.0  # deviations that what was taken away counts as, at most
_FLATTEST = 1e4  # how many times as much as another a flat place may count
_LEAST_SKEW = 1e-16  # squares of third moments so small are rounding


class Unbiased(nn.Module):
    r"""Makes what was restored as bright as it would be without noise.

    Noise is in the light, and the tone curve s that follows is concave: x = s(l + n) is darker on average than s(l),
    by s'' var(n) / 2 to second order. A network that averages noise away keeps that. With the curve of sRGB it is

        0.7 sigma^2 / (s + 0.055),

    where sigma^2 is the variance of the noise in x. Of sidd-small, whose photographs had up to 8 of 255 less than their
    truth, it was a third of the squared error. Exact inverses of such means are known where the noise is (Foi 2009,
    "Clipped noisy images: heteroskedastic modeling and practical denoising").

    White noise that was added to values, and grain, take nothing; cameras that smooth take less. What shows it is the
    skewness of what was taken away. The curve gives noise a third moment of 6 sigma^2 times that loss; photons, being
    skewed themselves, leave about four tenths of it. So small layers find the share of the loss that is put back, one
    for each cell of 8 x 8 pixels, in what is seen of 328 x 328 pixels of the noise: its third moment against the one
    expected, how far neighbours and colours share it, its strength, and how bright it is there. Before it is trained,
    nothing is put back.

    Its layers are taught by themselves (``noiseda_research.ready.unbiased``). They do not learn along where the network
    is adapted: small patches show too little of skewness. No gradient goes through what is seen.

    Args:
        channels: of the images, 1 (grey) or 3 (RGB).
        width: of the layers.

    Attributes:
        usual: the mean of what is seen, by which it is judged; (18,).
        spread: its deviation.
    """

    colours: Tensor
    usual: Tensor
    spread: Tensor

    def __init__(self, channels: int = 3, width: int = 24) -> None:
        super().__init__()
        with torch.device("cpu"):
            self.register_buffer("colours", opponent(channels), persistent=False)
        self.register_buffer("usual", torch.zeros(18))
        self.register_buffer("spread", torch.ones(18))
        self.first = nn.Conv2d(18, width, 1)
        self.second = nn.Conv2d(width, width, 1)
        self.last = nn.Conv2d(width, 1, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)
        self.requires_grad_(requires_grad=False)

    def forward(self, images: Tensor, restored: Tensor) -> Tensor:
        """Put back what noise has taken.

        Args:
            images: (B, C, H, W) in [0, 1]; both sides are multiples of 8.
            restored: what was made of them.

        Returns:
            (B, C, H, W), computed in fp32 whatever the precision is.
        """
        with torch.autocast(images.device.type, enabled=False):
            seen, lost = self.seen(images.float(), restored.detach().float())
            share = self.share(seen) * (seen[:, -1:] < 0.5).float()  # grey images are mostly measurements: no curve
            share = F.interpolate(share, scale_factor=CELL, mode="bilinear")
            return (restored.float() + share * lost).to(restored.dtype)

    def share(self, seen: Tensor, dropped: float = 0.0) -> Tensor:
        """The share of the loss that is put back.

        Args:
            seen: (B, 18, h, w); or (B, 18), of single places.
            dropped: share of what the first layer finds that is left out at random.

        Returns:
            (B, 1, h, w).
        """
        seen = seen if seen.ndim == 4 else seen[..., None, None]
        seen = (seen - self.usual.float()[:, None, None]) / self.spread.float()[:, None, None]
        seen = seen.clamp(-FARTHEST, FARTHEST).to(self.first.weight.dtype)
        share: Tensor = self.last(F.gelu(self.second(F.dropout(F.gelu(self.first(seen)), dropped, dropped > 0))))
        return share.float()

    @torch.no_grad()
    def seen(self, images: Tensor, restored: Tensor) -> tuple[Tensor, Tensor]:
        """What is measured around each cell, and what noise in the light would have taken.

        Args:
            images: (B, C, H, W).
            restored: what was made of them.

        Returns:
            (B, 18, H / 8, W / 8); (B, C, H, W).
        """
        light = restored.clamp(0, 1)
        taken = images - light
        variance = _local(taken.square()).clamp(min=0)
        lost = CONCAVE[0] * variance / (light + CONCAVE[1])
        furthest = _OUTLIER * variance.sqrt()
        noise = torch.maximum(torch.minimum(taken - _local(taken), furthest), -furthest)
        unclipped = ((light > _BLACK) & (light < _WHITE)).to(images.dtype)
        power = cells(variance.mean(1, keepdim=True))
        flat = ((power + LEAST) / (cells(_steps(light)) + LEAST)).square().clamp(max=_FLATTEST)

        third = -6 * variance * lost
        measured = _moments(noise, variance, third, unclipped)
        parts = [*_figures(around(measured), noise.shape[1])]
        parts += [*_figures(around(flat * measured) / around(flat), noise.shape[1])]
        bright, strong = cells(light.mean(1, keepdim=True)), around(power)
        mean = around(bright)
        parts += [2 * mean - 1, (around(power * bright) / (strong * mean + 1e-9) - 1).clamp(-1, 2)]
        parts += [3 * _mean((images <= 0).to(images.dtype)), 3 * _mean((images >= 1).to(images.dtype))]
        parts += [2 * _mean(lost) / (strong.sqrt() + 1e-4)]
        grey = colourless(torch.einsum("dc,bchw->bdhw", self.colours.float(), images))
        return torch.cat([*parts, grey.to(images.dtype).expand_as(mean)], dim=1), lost


def _moments(noise: Tensor, variance: Tensor, third: Tensor, counted: Tensor) -> Tensor:
    """What six figures of noise (B, C, H, W) are made of, in each cell; (B, 9, h, w).

    Args:
        noise: it.
        variance: its own, around each pixel.
        third: its third moment, if it was in the light.
        counted: 1 where it is not clipped, else 0.
    """
    cubes, grey = counted * noise**3, noise.mean(1, keepdim=True)
    shared = [grey * (grey.roll(lag, 2) + grey.roll(lag, 3)) / 2 for lag in (1, 2)]
    colours = [cubes * third, counted * third.square(), cubes, counted * variance, counted, noise.square()]
    means = torch.cat([one.mean(1, keepdim=True) for one in colours] + [grey.square(), *shared], dim=1)
    return cells(means)


def _figures(moments: Tensor, channels: int) -> Iterator[Tensor]:
    """Six figures of :func:`_moments`, (B, 1, h, w) each.

    They are: its third moment, beside that of noise in the light; skewness; what brightness shares with pixels at 1 and
    at 2; what colours share; and the logarithm of its deviation.
    """
    agreed, expected, cubes, squares, counted, each, power, one, two = torch.split(moments, 1, dim=1)
    squares, cubes = squares / counted.clamp(min=1e-3), cubes / counted.clamp(min=1e-3)
    yield (agreed / (expected + _LEAST_SKEW)).clamp(-3, 3)
    yield (cubes / squares.clamp(min=1e-9) ** 1.5).clamp(-3, 3)
    yield from ((shared / (power + 1e-12)).clamp(-1, 1) for shared in (one, two))
    yield ((power - each / channels) / (each * (1 - 1 / channels) + 1e-12)).clamp(-1.0, 1.2)
    yield (squares + LEAST).log() / 2 + 4


def _local(pixels: Tensor) -> Tensor:
    """The mean of what is around each pixel, some 24 pixels wide; (B, C, H, W) -> the same."""
    means = F.avg_pool2d(cells(pixels), 3, 1, 1, count_include_pad=False)
    return F.interpolate(means, scale_factor=CELL, mode="bilinear")


def _steps(light: Tensor) -> Tensor:
    """Squared steps to the pixel before, down and right, as means over colours; (B, C, H, W) -> (B, 1, H, W)."""
    steps = [(light - light.roll(1, axis)).square().mean(1, keepdim=True) for axis in (2, 3)]
    return (steps[0] + steps[1]) / 2


def _mean(pixels: Tensor) -> Tensor:
    """The mean over channels, and over what is seen from each cell; (B, C, H, W) -> (B, 1, H / 8, W / 8)."""
    return around(cells(pixels.mean(1, keepdim=True)))
