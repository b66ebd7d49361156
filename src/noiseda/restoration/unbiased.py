"""What noise in the light takes from the brightness of a photograph, put back."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.restoration.chooser import CELL
from noiseda.restoration.pilots import colourless, opponent
from noiseda.restoration.second_look import LEAST, around, cells, seen_through

CONCAVE = (0.7, 0.055)
"""A and B in s'' / (2 s'^2) = -A / (s + B), of the tone curve s of sRGB."""

FARTHEST = 4.0
"""Deviations from what is usual, beyond which what is seen counts as no farther."""

_LOCAL, _STEADY = 6.0, 2.0  # pixels of the Gaussians over which noise, and brightness, are measured
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

    No gradient goes through what is seen. Its layers are taught by themselves (``noiseda_research.ready.unbiased``);
    where the network is adapted, they learn along with it.

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
            share = F.interpolate(self.share(seen), scale_factor=CELL, mode="bilinear")
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
        restored = restored.clamp(0, 1)
        taken = images - restored
        variance, light = seen_through(taken.square(), _LOCAL), seen_through(restored, _STEADY)
        lost = CONCAVE[0] * variance / (light + CONCAVE[1])
        furthest = _OUTLIER * variance.sqrt()
        noise = torch.maximum(torch.minimum(taken - seen_through(taken, _LOCAL), furthest), -furthest)
        power = variance.mean(1, keepdim=True)
        rough = seen_through((restored - light).square(), _STEADY).mean(1, keepdim=True)
        flat = ((power + LEAST) / (rough + LEAST)).square().clamp(max=_FLATTEST)
        unclipped = ((light > _BLACK) & (light < _WHITE)).to(images.dtype)

        parts = []
        for weight in (torch.ones_like(flat), flat):
            parts += _of_noise(noise, variance, -6 * variance * lost, weight, weight * unclipped)
        bright, strong = light.mean(1, keepdim=True), _mean(power)
        mean = _mean(bright)
        parts += [2 * mean - 1, (_mean(power * bright) / (strong * mean + 1e-9) - 1).clamp(-1, 2)]
        parts += [3 * _mean((images <= 0).to(images.dtype)), 3 * _mean((images >= 1).to(images.dtype))]
        parts += [2 * _mean(lost) / (strong.sqrt() + 1e-4)]
        grey = colourless(torch.einsum("dc,bchw->bdhw", self.colours.float(), images))
        return torch.cat([*parts, grey.to(images.dtype).expand_as(mean)], dim=1), lost


def _of_noise(noise: Tensor, variance: Tensor, third: Tensor, weight: Tensor, counted: Tensor) -> list[Tensor]:
    """Six figures of noise (B, C, H, W), of third moment ``third`` if it was in the light: (B, 1, h, w) each."""
    grey, total, channels = noise.mean(1, keepdim=True), _mean(weight), noise.shape[1]
    cubes, squares = _mean(counted * noise**3), _mean(counted * variance) / total
    power, each = _mean(weight * grey.square()), _mean(weight * noise.square())
    moved = [(grey.roll(lag, 2) + grey.roll(lag, 3)) / 2 for lag in (1, 2)]
    return [
        (_mean(counted * noise**3 * third) / (_mean(counted * third.square()) + _LEAST_SKEW)).clamp(-3, 3),
        (cubes / total / squares.clamp(min=1e-9) ** 1.5).clamp(-3, 3),
        *((_mean(weight * grey * other) / (power + 1e-12)).clamp(-1, 1) for other in moved),
        ((power - each / channels) / (each * (1 - 1 / channels) + 1e-12)).clamp(-1, 1.2),
        (squares + LEAST).log() / 2 + 4,
    ]


def _mean(pixels: Tensor) -> Tensor:
    """The mean over channels, and over what is seen from each cell; (B, C, H, W) -> (B, 1, H / 8, W / 8)."""
    return around(cells(pixels.mean(1, keepdim=True)))
