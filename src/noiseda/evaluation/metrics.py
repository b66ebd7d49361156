"""Measures of how near a restored image is to its target, one value per image.

Images are (B, C, H, W) with values in [0, ``data_range``]; every function computes in float64 and returns (B,) float64.
Which measure a published table means by "PSNR" or "SSIM" is said in :mod:`noiseda.evaluation.protocols`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import structural_similarity
from torch import Tensor

from noiseda.errors import UserError


def psnr(restored: Tensor, target: Tensor, data_range: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio in dB, ``10 log10(data_range^2 / MSE)``, the MSE taken over all pixels and channels.

    Identical images score infinity.

    >>> psnr(torch.full((1, 3, 8, 8), 0.5), torch.full((1, 3, 8, 8), 0.6)).round(decimals=3)
    tensor([20.], dtype=torch.float64)

    Args:
        restored: (B, C, H, W).
        target: (B, C, H, W).
        data_range: the largest possible value less the smallest.

    Returns:
        (B,) in dB.
    """
    _check(restored, target)
    mse = (restored.double() - target.double()).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(data_range**2 / mse)


def best_shift_psnr(restored: Tensor, target: Tensor, max_shift: int = 5, data_range: float = 1.0) -> Tensor:
    """PSNR at the integer shift of the restored image that suits it best, over the region where the two then overlap.

    Blind deblurring knows an image only up to a translation, and Levin's pairs are aligned only up to some pixels, so
    the field compares at the best shift (Levin et al., "Understanding and evaluating blind deconvolution algorithms",
    CVPR 2009; their search also has fractions of a pixel, ours has whole pixels only).

    Args:
        restored: (B, C, H, W).
        target: (B, C, H, W).
        max_shift: largest shift tried, in pixels, both ways and along both axes.
        data_range: the largest possible value less the smallest.

    Returns:
        (B,) in dB; never below :func:`psnr`, since no shift is one of those tried.
    """
    _check(restored, target)
    height, width = target.shape[-2:]
    if max_shift >= min(height, width):
        raise UserError(f"a shift of {max_shift} pixels needs larger images than {width}x{height}")
    restored, target = restored.double(), target.double()
    reach = range(-max_shift, max_shift + 1)
    shifts = [(dy, dx) for dy in reach for dx in reach]
    best = _errors_at(restored, target, shifts).argmin(dim=1).tolist()
    return torch.cat(  # exact, and infinite where nothing differs
        [
            psnr(_overlap(x, *shifts[index]), _overlap(y, *(-step for step in shifts[index])), data_range)
            for x, y, index in zip(restored[:, None], target[:, None], best, strict=True)
        ]
    )


def ssim_gaussian(restored: Tensor, target: Tensor, data_range: float = 1.0) -> Tensor:
    """Structural similarity with an 11 x 11 Gaussian window of std 1.5, per channel, then the mean over channels.

    Population moments, and only windows that lie inside the image (a border of 5 pixels is left out): Wang et al.,
    "Image quality assessment: from error visibility to structural similarity", IEEE TIP 2004, without down-sampling.

    Args:
        restored: (B, C, H, W), at least 11 x 11.
        target: (B, C, H, W).
        data_range: the largest possible value less the smallest.

    Returns:
        (B,), at most 1.
    """
    return _ssim(restored, target, data_range, window=11, gaussian_weights=True, use_sample_covariance=False)


def ssim_uniform(restored: Tensor, target: Tensor, data_range: float = 1.0) -> Tensor:
    """Structural similarity as scikit-image computes it by default: a 7 x 7 box window and sample (N - 1) moments.

    Per channel, then the mean over channels; a border of 3 pixels is left out.

    Args:
        restored: (B, C, H, W), at least 7 x 7.
        target: (B, C, H, W).
        data_range: the largest possible value less the smallest.

    Returns:
        (B,), at most 1.
    """
    return _ssim(restored, target, data_range, window=7)


def ssim_volume(restored: Tensor, target: Tensor, data_range: float = 1.0) -> Tensor:
    """Structural similarity as MATLAB's ``ssim`` computes it on an H x W x 3 array, which it takes for a volume.

    The window is an 11 x 11 x 11 Gaussian of std 1.5 that also runs across the three colours, with the border values
    repeated on every side; population moments (negative variances set to 0); the mean over *all* voxels. It is what
    published tables on SIDD hold, and not comparable with :func:`ssim_gaussian`. On one channel it is MATLAB's ``ssim``
    of a grey image.

    Args:
        restored: (B, C, H, W).
        target: (B, C, H, W).
        data_range: the largest possible value less the smallest (255 for 8-bit files; MATLAB takes it from the type).

    Returns:
        (B,), at most 1.
    """
    _check(restored, target)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2

    def blur(volume: NDArray[np.float64]) -> NDArray[np.float64]:
        # Three separable passes: order 0, radius 5 on each axis. "nearest" repeats the border value, like "replicate".
        return np.asarray(ndimage.gaussian_filter(volume, 1.5, mode="nearest", radius=5))

    def score(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        mean_x, mean_y = blur(x), blur(y)
        var_x = np.maximum(blur(x * x) - mean_x**2, 0.0)
        var_y = np.maximum(blur(y * y) - mean_y**2, 0.0)
        covariance = blur(x * y) - mean_x * mean_y
        luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        return float((luminance * (2 * covariance + c2) / (var_x + var_y + c2)).mean())

    return _each(score, restored, target)


def luma(rgb: Tensor) -> Tensor:
    """The Y of BT.601's YCbCr, as MATLAB's ``rgb2ycbcr`` has it: ``(65.481 R + 128.553 G + 24.966 B + 16) / 255``.

    Computed on the values as they are and not rounded to whole levels (MATLAB rounds when it is given uint8).

    >>> (luma(torch.stack([torch.zeros(3, 1, 1), torch.ones(3, 1, 1)])) * 255).flatten().round(decimals=3)
    tensor([ 16., 235.], dtype=torch.float64)

    Args:
        rgb: (B, 3, H, W) in [0, 1], red first.

    Returns:
        (B, 1, H, W) in [16/255, 235/255].
    """
    weights = torch.tensor([65.481, 128.553, 24.966], dtype=torch.float64, device=rgb.device)
    return ((rgb.double() * weights.view(3, 1, 1)).sum(dim=1, keepdim=True) + 16) / 255


def _ssim(restored: Tensor, target: Tensor, data_range: float, *, window: int, **options: bool) -> Tensor:
    _check(restored, target)
    height, width = target.shape[-2:]
    if min(height, width) < window:
        raise UserError(f"SSIM with a {window}x{window} window needs larger images than {width}x{height}")

    def score(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        value = structural_similarity(  # type: ignore[no-untyped-call]
            x, y, channel_axis=0, data_range=data_range, win_size=window, **options
        )
        return float(value)

    return _each(score, restored, target)


def _each(
    score: Callable[[NDArray[np.float64], NDArray[np.float64]], float], restored: Tensor, target: Tensor
) -> Tensor:
    """Score each pair of (C, H, W) arrays on its own."""
    pairs = zip(restored.double().cpu().numpy(), target.double().cpu().numpy(), strict=True)
    return torch.tensor([score(x, y) for x, y in pairs], dtype=torch.float64, device=restored.device)


def _errors_at(x: Tensor, y: Tensor, shifts: Sequence[tuple[int, int]]) -> Tensor:
    """Mean squared difference of images (B, C, H, W) over their overlap, at each of N shifts of the first: (B, N).

    (x - y)^2 = x^2 + y^2 - 2 x y: the squares summed in tables of areas, the products by Fourier's correlation theorem.
    """
    height, width = x.shape[-2:]
    reach = max(abs(step) for shift in shifts for step in shift)  # so much room, and no end meets the other
    size = [-(-(side + reach) // 32) * 32 for side in (height, width)]
    product = torch.fft.rfft2(y, s=size) * torch.fft.rfft2(x, s=size).conj()
    together = torch.fft.irfft2(product.sum(dim=1), s=size)
    areas = [F.pad(image.square().sum(dim=1).cumsum(-1).cumsum(-2), (1, 0, 1, 0)) for image in (x, y)]

    def energy(area: Tensor, dy: int, dx: int) -> Tensor:
        top, bottom, left, right = max(dy, 0), height + min(dy, 0), max(dx, 0), width + min(dx, 0)
        return area[:, bottom, right] - area[:, top, right] - area[:, bottom, left] + area[:, top, left]

    errors = [
        (energy(areas[0], dy, dx) + energy(areas[1], -dy, -dx) - 2 * together[:, -dy, -dx])
        / ((height - abs(dy)) * (width - abs(dx)))
        for dy, dx in shifts
    ]
    return torch.stack(errors, dim=1)


def _overlap(image: Tensor, dy: int, dx: int) -> Tensor:
    """What remains of an image in the frame of another that it is moved over by (dy, dx)."""
    height, width = image.shape[-2:]
    return image[..., max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)]


def _check(restored: Tensor, target: Tensor) -> None:
    if restored.shape != target.shape or restored.ndim != 4:
        raise ValueError(f"expected two (B, C, H, W) of one shape, not {tuple(restored.shape)}, {tuple(target.shape)}")
