"""How strong is the noise of an image? Two estimates of its standard deviation that need no truth."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.restoration import estimate_sigma

from noiseda.estimation import noise_statistics
from noiseda_research.classical.optional import optional

_ESTIMATE: Callable[..., float] = estimate_sigma  # it has no types
_WHITE = 1.231  # variance of Y + 0.956 (Cb + Cr) of white noise of variance 1


def by_wavelets(image: NDArray[np.float32]) -> float:
    """By scikit-image: the median of the finest wavelet coefficients, mean of the channels.

    Args:
        image: (H, W, C).

    Returns:
        Of 255.

    Raises:
        UserError: where the package is missing.
    """
    optional("pywt", "estimating noise by wavelets")
    return float(255 * _ESTIMATE(image, average_sigmas=True, channel_axis=-1))


def by_flat_places(image: NDArray[np.float32]) -> float:
    """By noiseda: the noise of the flattest places, as ``--degradation.kind matched`` looks at it.

    Exact for white noise. Where channels share all of their noise it is a tenth too low.

    Args:
        image: (H, W, C), C = 1 or 3.

    Returns:
        Of 255; that of :func:`by_wavelets` where nothing is flat.

    Raises:
        UserError: where nothing is flat, and the package for wavelets is missing.
    """
    grey = image.shape[2] == 1
    looks = noise_statistics(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).clamp(0, 1))
    if looks is None:
        return by_wavelets(image)
    luma = math.exp(2 * looks[0].item())
    if grey or not math.isfinite(chroma := looks[5].item()):
        return 255 * math.sqrt(luma)
    return 255 * math.sqrt((luma + 2 * 0.956 * math.exp(2 * chroma)) / _WHITE)
