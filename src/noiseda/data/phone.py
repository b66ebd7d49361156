"""A simulated phone: the noise of a simulated camera, after what phones do to it: smooth, sharpen, compress.

Phones blur colour noise away, smooth brightness where nothing happens and less where there is texture, and sharpen
what is left. So their noise is coarse and blotchy, and stronger in textured places than in flat ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.data.camera import Camera, compress
from noiseda.data.sampling import Range, check_strength, one_thread, uniform

# BT.601, full range: luma, and the two differences of colour.
_TO_YCC = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


@dataclass(frozen=True, kw_only=True)
class Phone:
    """A photograph taken again by a noisy phone, which treats the noise.

    n = camera(y) - y, demosaiced by Malvar's filters, without JPEG. Then, with g_s a Gaussian of s pixels and m the
    share of smoothing, which falls from ``smoothing`` in flat places to 0 where y has texture:

        chroma:  n <- g_chroma * n
        luma:    n <- (1 - m) n + m g_1.5 * n,   m = smoothing exp(-(|y - g_2 * y| / 0.03)^2)
        both:    n <- n + sharpening (n - g_1 * n)

    and x = JPEG(clip(y + n)). Only the noise is treated: the target of a real pair is a developed photograph too. ISO
    is the strength, as for :class:`~noiseda.data.camera.Camera`. A grey image wears the noise of its luma.
    """

    strength: Range = (3000.0, 16000.0)
    """ISO-like gain: a millionth of the shot noise's variance at full signal."""

    chroma: Range = (0.8, 2.5)
    """Standard deviation, in pixels, of the Gaussian that smooths colour noise."""

    smoothing: Range = (0.3, 0.9)
    """Share by which luma noise is smoothed in flat places."""

    sharpening: Range = (0.2, 1.0)
    """Amount of unsharp masking after it."""

    quality: tuple[int, int] | None = (70, 95)
    """Range of the JPEG quality, 1..100; None leaves JPEG out."""

    margin: ClassVar[int] = 16

    def __post_init__(self) -> None:
        check_strength(self.strength, "ISO", positive=True)

    @one_thread()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1], C = 1 or 3."""
        rgb = clean.expand(3, -1, -1)
        noisy = Camera(strength=self.strength, demosaic="malvar", quality=None)(rgb, generator)
        chroma, smoothing, sharpening = (
            uniform(bounds, generator) for bounds in (self.chroma, self.smoothing, self.sharpening)
        )
        noise = torch.einsum("dc,chw->dhw", _TO_YCC, noisy - rgb)
        luma = torch.einsum("c,chw->hw", _TO_YCC[0], rgb)[None]
        flat = smoothing * torch.exp(-((luma - gaussian(luma, 2.0)) / 0.03).square())
        treated = torch.cat([torch.lerp(noise[:1], gaussian(noise[:1], 1.5), flat), gaussian(noise[1:], chroma)])
        treated = treated + sharpening * (treated - gaussian(treated, 1.0))
        developed = (rgb + torch.einsum("dc,chw->dhw", torch.linalg.inv(_TO_YCC), treated)).clamp(0, 1)
        if clean.shape[0] == 1:
            developed = torch.einsum("c,chw->hw", _TO_YCC[0], developed)[None]
        return developed if self.quality is None else compress(developed, self.quality, generator)


def gaussian(images: Tensor, sigma: float) -> Tensor:
    """Smooth images (C, H, W) with a Gaussian of ``sigma`` pixels, mirrored at the border (repeated in tiny ones).

    >>> dot = torch.zeros(1, 9, 9)
    >>> dot[0, 4, 4] = 1.0
    >>> round(float(gaussian(dot, 1.0)[0, 4, 4]), 3)  # nearly 1 / 2 pi
    0.159
    """
    reach = math.ceil(3 * sigma)
    place = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (place / sigma).square())
    weights: list[float] = (kernel / kernel.sum()).tolist()
    mode = "reflect" if min(images.shape[-2:]) > reach else "replicate"
    planes = F.pad(images, (reach,) * 4, mode=mode)
    return _weighed(_weighed(planes, weights, -1), weights, -2)


def _weighed(planes: Tensor, weights: Sequence[float], axis: int) -> Tensor:
    """Weighted sums of neighbours along an axis: a convolution, which torch takes up to ten times as long for."""
    count = planes.shape[axis] - len(weights) + 1
    total = planes.narrow(axis, 0, count) * weights[0]
    for place, weight in enumerate(weights[1:], start=1):
        total = total.add_(planes.narrow(axis, place, count), alpha=weight)
    return total
