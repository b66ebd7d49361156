"""Blur like the user's own: the kernels of their photographs, found blindly, for the clean ones to go through.

Alternating estimation from coarse to fine (Cho & Lee, "Fast Motion Deblurring", SIGGRAPH Asia 2009): edges that a shock
filter has made sharp give the kernel, by least squares over gradients; the kernel gives a sharper photograph, by
regularised deconvolution; once more, and at the next scale.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, median

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.bars import bar
from noiseda.data.blur import exposed, shake_kernel
from noiseda.data.camera import linear_from_srgb
from noiseda.data.sampling import Range, integer, one_thread
from noiseda.errors import UserError
from noiseda.estimation.noise_looks import middle, middles
from noiseda.precision import FULL
from noiseda.storage import atomic

SIDE = 31
"""Side of the kernels, in pixels: what holds the shake of a hand and of the degradations named in docs."""

PHOTOGRAPHS = 32
"""Real photographs whose kernels are found, at most."""

LOOKED_AT = 320
"""Largest side of the middle of a photograph that its kernel is found in."""

SHAKEN = 3.9
"""Diameter of a simulated shake that is as wide as a kernel, in units of that kernel's extent."""

ROUNDS = 4
"""Kernel and sharper photograph in turn, at each scale."""

_SMOOTHING, _RIDGE, _SMALL, _DECONVOLUTION = 1.0, 0.05, 0.05, 0.03
"""Deviation of what is smoothed before edges are sharpened, in pixels; weight of |k|^2, as a share of the gradients'
energy; share of its largest value below which a kernel is zero; weight of the photograph's gradients. Chosen on kernels
known from the truth of ``levin/adapt`` and of simulated frames (docs/results.md)."""


@dataclass(frozen=True, eq=False)
class MatchedBlur:
    """Blurs as the user's photographs are blurred, as far as could be estimated.

    Every other image gets one of the kernels that were found, in any of its eight orientations; the others a simulated
    shake as wide as one of these, since what is found is never quite right.

    Attributes:
        kernels: (N, K, K), each as likely as the others.
        linear: whether light was blurred, as a sensor does before its tone curve; else the values of pixels.
        sigma: range of the standard deviation of the white noise added after the blur, in 1/255.
    """

    kernels: Tensor
    linear: bool = True
    sigma: Range = (0.0, 2.0)

    @cached_property  # asked for with every patch
    def margin(self) -> int:
        """Half the largest kernel."""
        widest = max(self.kernels.shape[-1], SHAKEN * max(map(extent, self.kernels)))
        return math.ceil(widest / 2) + 1

    @one_thread()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        kernel = self.kernels[integer(0, len(self.kernels) - 1, generator)]
        if integer(0, 1, generator):
            kernel = shake_kernel(max(1.0, SHAKEN * extent(kernel)), generator)
        else:
            kernel = kernel.rot90(integer(0, 3, generator))
            kernel = kernel.T if integer(0, 1, generator) else kernel
        return exposed(clean, kernel, self.linear, self.sigma, generator)

    def __str__(self) -> str:
        """How wide the kernels are: twice the standard deviation of the time spent away from their centre."""
        widths = sorted(2 * extent(kernel) for kernel in self.kernels)
        low, middle_one, high = widths[0], median(widths), widths[-1]
        what = "of light" if self.linear else "of pixel values"
        return f"blur of {low:.1f} to {high:.1f} pixels (median {middle_one:.1f}, of {len(widths)} found), {what}"


def matched_blur(real: Sequence[Path], kept: Path, white: int = FULL) -> MatchedBlur:
    """Find the kernels of real photographs; what was found before for the same photographs is read again.

    Args:
        real: blurred photographs; 32 of them, evenly spread, are looked at.
        kept: file for what is found.
        white: the white level of files of 16 bits (:mod:`noiseda.data.depth`).

    Raises:
        UserError: where no photograph is large enough, or none has edges.
    """
    weights = [_SMOOTHING, _RIDGE, _SMALL, _DECONVOLUTION]
    asked: dict[str, object] = {"sizes": [SIDE, LOOKED_AT, PHOTOGRAPHS], "rounds": ROUNDS, "weights": weights}
    if white != FULL:
        asked["white"] = white
    if kept.exists():
        document = json.loads(kept.read_text())
        if document["asked"] == asked:
            return MatchedBlur(torch.tensor(document["kernels"]), document["linear"])
    found = list(filter(None, map(_both, bar(middles(real, PHOTOGRAPHS, white), "looking"))))
    if not found:
        raise UserError(
            f"--degradation.kind matched: no photograph of --real has edges, and {2 * SIDE} x {2 * SIDE} pixels: "
            "there is no blur to be found"
        )
    linear = fmean(light.denser - values.denser for values, light in found) < 0
    kernels = torch.stack([(light if linear else values).kernel for values, light in found])
    kept.parent.mkdir(parents=True, exist_ok=True)
    with atomic(kept) as file:
        rows = [[[round(value, 6) for value in row] for row in kernel.tolist()] for kernel in kernels]
        file.write(json.dumps({"asked": asked, "linear": linear, "kernels": rows}).encode())
    return MatchedBlur(kernels, linear)


@dataclass(frozen=True, eq=False)
class _Found:
    """A kernel, and how much less sparse gradients are with the blur undone: log of |g|_1 / |g|_2, less that before."""

    kernel: Tensor
    denser: float


def _both(image: Tensor) -> tuple[_Found, _Found] | None:
    """What is found in the values of pixels, and in light.

    Blur undone where it was done leaves the sparser gradients (normalised sparsity: Krishnan, Tay & Fergus, CVPR 2011).
    """
    grey = _grey(middle(image, LOOKED_AT))
    found = []
    for blurred in (grey, linear_from_srgb(grey)):
        kernel = kernel_of(blurred[None])
        if kernel is None:
            return None
        found.append(_Found(kernel, _sparsity(_deconvolved(blurred, kernel)) - _sparsity(blurred)))
    return found[0], found[1]


def _sparsity(image: Tensor) -> float:
    gradients = _gradients(image)[:, SIDE:-SIDE, SIDE:-SIDE]
    return float((gradients.abs().mean() / gradients.square().mean().sqrt().clamp(min=1e-6)).log())


def _grey(image: Tensor) -> Tensor:
    """(C, H, W) -> (H, W), Rec. 601."""
    weights = torch.tensor([0.299, 0.587, 0.114]) if len(image) == 3 else torch.full((len(image),), 1 / len(image))
    return torch.einsum("c,chw->hw", weights, image)


@one_thread()
def kernel_of(image: Tensor) -> Tensor | None:
    """The kernel that one photograph was blurred with, taken to be the same all over its middle.

    Args:
        image: (C, H, W) in [0, 1].

    Returns:
        (31, 31), not negative, of sum 1, its centroid in the middle; None where the image has no more than 62 pixels a
        side, or is flat.
    """
    blurred = _grey(middle(image, LOOKED_AT))
    if min(blurred.shape) <= 2 * SIDE or blurred.std() < 2 / 255:
        return None
    sharp, kernel = blurred, torch.ones(1, 1)
    scales = math.ceil(2 * math.log2(SIDE / 3))
    for scale in (2 ** (-step / 2) for step in range(scales, -1, -1)):
        size = [round(scale * length) for length in blurred.shape]
        side = max(3, int(scale * SIDE) // 2 * 2 + 1)
        if min(size) < 2 * side:
            continue
        here = _resized(blurred, size)
        sharp = _resized(sharp, size)
        for round_ in range(ROUNDS):
            kernel = _kernel(sharp, here, side, edges=1.1**round_)
            sharp = _deconvolved(here, kernel)
    return kernel


def extent(kernel: Tensor) -> float:
    """Standard deviation of a kernel (K, K) of sum 1, in pixels, both directions together."""
    axis = torch.arange(len(kernel)) - len(kernel) // 2.0
    return float((kernel * (axis[:, None] ** 2 + axis**2)).sum().sqrt())


def _kernel(sharp: Tensor, blurred: Tensor, side: int, edges: float) -> Tensor:
    """The kernel (side, side) that takes the strongest edges of one image to the gradients of another.

    min over k of |k * p - b|^2 + ridge |k|^2, p and b gradients (Cho & Lee, Eq. 8): the normal equations are solved
    for all of its side^2 values, their matrix being the autocorrelation of p.
    """
    window = _window(blurred.shape[0], side)[:, None] * _window(blurred.shape[1], side)
    count = int(edges * side * math.sqrt(blurred.numel()) / 2)
    found = _strongest(_gradients(_shocked(_smoothed(sharp))), window, count)
    size = tuple(blurred.shape)
    p, b = (torch.fft.rfft2(gradients * window) for gradients in (found, _gradients(blurred)))
    auto = torch.fft.irfft2(p.abs().square().sum(dim=0), s=size)
    cross = torch.fft.irfft2((p.conj() * b).sum(dim=0), s=size)
    axis = torch.arange(-(side // 2), side // 2 + 1)
    places = torch.cartesian_prod(axis, axis)
    apart = places[:, None] - places
    matrix = auto[apart[..., 0], apart[..., 1]].double()  # negative places count from the end, as the transform has it
    matrix += _RIDGE * matrix[0, 0].clamp(min=1e-12) * torch.eye(len(matrix), dtype=torch.float64)
    kernel = torch.linalg.solve(matrix, cross[places[:, 0], places[:, 1]].double()).float().reshape(side, side)
    return _proper(kernel)


def _proper(kernel: Tensor) -> Tensor:
    """What may be a kernel: no negative or tiny value, of sum 1, its centroid in the middle."""
    kernel = torch.where(kernel < _SMALL * kernel.max(), 0.0, kernel.clamp(min=0))
    if kernel.sum() <= 0:  # no edge showed anything
        kernel = torch.zeros_like(kernel)
        kernel[len(kernel) // 2, len(kernel) // 2] = 1.0
    kernel = kernel / kernel.sum()
    axis = torch.arange(len(kernel)) - len(kernel) // 2.0
    down, right = (int((kernel.sum(dim=dim) * axis).sum().round()) for dim in (1, 0))
    return kernel.roll((-down, -right), dims=(0, 1))


def _deconvolved(blurred: Tensor, kernel: Tensor) -> Tensor:
    """The image that a kernel takes to a blurred one, of those with small gradients, by Wiener's closed form."""
    reach = len(kernel)
    padded = F.pad(blurred[None, None], (reach,) * 4, mode="reflect")[0, 0]
    size = tuple(padded.shape)
    centred = torch.zeros(size)
    centred[:reach, :reach] = kernel
    k = torch.fft.rfft2(centred.roll((-(reach // 2),) * 2, dims=(0, 1)))
    impulse = torch.zeros(size)
    impulse[0, 0] = 1.0
    rough = torch.fft.rfft2(_gradients(impulse)).abs().square().sum(dim=0)
    fit = 1 + rough / 2  # of values and of gradients
    sharp: Tensor = torch.fft.irfft2(
        fit * k.conj() * torch.fft.rfft2(padded) / (fit * k.abs().square() + _DECONVOLUTION * rough), s=size
    )
    return sharp[reach:-reach, reach:-reach].clamp(0, 1)


def _strongest(gradients: Tensor, window: Tensor, count: int) -> Tensor:
    """Gradients (2, H, W), zero but for the strongest of each of four directions, ``count`` of each where there are."""
    strength = gradients.square().sum(dim=0).sqrt() * window
    direction = ((torch.atan2(gradients[1], gradients[0]) % math.pi) / (math.pi / 4)).long().clamp(max=3)
    chosen = torch.zeros_like(strength, dtype=torch.bool)
    for one in range(4):
        of_it = torch.where(direction == one, strength, 0.0).flatten()
        least = of_it.topk(min(count, of_it.numel())).values[-1]
        chosen |= (direction == one) & (strength >= least) & (strength > 0)
    return gradients * chosen


def _shocked(image: Tensor, steps: int = 3, pace: float = 0.5) -> Tensor:
    """Edges made sharp: each pixel moves towards the nearer of the two sides of its edge (Osher & Rudin 1990)."""
    for _ in range(steps):
        p = F.pad(image[None, None], (1,) * 4, mode="replicate")[0, 0]
        right, down = (p[1:-1, 2:] - p[1:-1, :-2]) / 2, (p[2:, 1:-1] - p[:-2, 1:-1]) / 2
        along_x = p[1:-1, 2:] - 2 * image + p[1:-1, :-2]
        along_y = p[2:, 1:-1] - 2 * image + p[:-2, 1:-1]
        across = (p[2:, 2:] - p[2:, :-2] - p[:-2, 2:] + p[:-2, :-2]) / 4
        bend = right.square() * along_x + 2 * right * down * across + down.square() * along_y
        image = image - pace * torch.tanh(1e4 * bend) * torch.hypot(right, down)
    return image


def _smoothed(image: Tensor) -> Tensor:
    reach = math.ceil(3 * _SMOOTHING)
    axis = torch.arange(-reach, reach + 1.0)
    weights = torch.exp(-axis.square() / (2 * _SMOOTHING**2))
    weights = weights / weights.sum()
    padded = F.pad(image[None, None], (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, weights[None, None, None]), weights[None, None, :, None])[0, 0]


def _gradients(image: Tensor) -> Tensor:
    """Differences to the right and downwards, (2, H, W), of an image (H, W) taken as periodic."""
    return torch.stack([image.roll(-1, 1) - image, image.roll(-1, 0) - image])


def _window(length: int, reach: int) -> Tensor:
    """One, falling to zero at both ends: what is outside is not known."""
    fall = min(length // 4, 2 * reach)
    window = torch.ones(length)
    window[:fall] = 0.5 - 0.5 * torch.cos(math.pi * (torch.arange(fall) + 0.5) / fall)
    return window * window.flip(0)


def _resized(image: Tensor, size: Sequence[int]) -> Tensor:
    if list(image.shape) == list(size):
        return image
    return F.interpolate(image[None, None], size=list(size), mode="bilinear", antialias=True)[0, 0]
