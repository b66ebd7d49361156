"""The rivals for other tasks than noise.

``median`` is for rain, ``unsharp`` and ``richardson-lucy`` are for blur, ``rejpeg`` is for JPEG. BM3D and non-local
means (:mod:`noiseda_research.classical.rivals`) serve for JPEG too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import torch
from scipy.ndimage import median_filter
from skimage.filters import unsharp_mask
from skimage.restoration import richardson_lucy

from noiseda.images import jpeg
from noiseda_research.classical.rival import Image, Rival

_UNSHARP: Callable[..., Image] = unsharp_mask  # it has no types
_LUCY: Callable[..., Image] = richardson_lucy  # nor has it

SIDES = (3, 5, 7)
"""Sides of the median's window that are tried, in pixels."""

AMOUNTS = (2, 5, 10, 15, 20, 30)
"""Amounts of the unsharp mask that are tried, in tenths."""

BLURS = (3, 8, 12, 16, 20, 30)
"""Standard deviations of the blur that are tried, in tenths of a pixel."""

QUALITIES = (10, 20, 40, 50)
"""Qualities of JPEG that are tried."""


def median(image: Image, side: float) -> Image:
    """The median of a square around each pixel, channel by channel."""
    return np.asarray(median_filter(image, size=(int(side), int(side), 1)), dtype=np.float32)


def unsharp(image: Image, tenths: float) -> Image:
    """What a Gaussian of 2 pixels takes away is added, so many tenths of it; clipped."""
    # Told channel_axis=-1, scikit-image 0.26 takes rows for channels.
    sharp = [_UNSHARP(channel, radius=2, amount=tenths / 10) for channel in np.moveaxis(image, 2, 0)]
    return np.asarray(np.stack(sharp, axis=2), dtype=np.float32)


def lucy(image: Image, tenths: float) -> Image:
    """15 steps of Richardson and Lucy, channel by channel; clipped.

    The blur is taken for a Gaussian. Beyond its border the image is mirrored, where scikit-image takes it for black.

    Args:
        image: (H, W, C).
        tenths: standard deviation of the blur, in tenths of a pixel.
    """
    reach = int(np.ceil(0.3 * tenths))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (tenths / 10)) ** 2)
    blur = np.outer(line, line) / line.sum() ** 2
    more = 2 * reach
    wide = np.pad(image.clip(0, 1), ((more, more), (more, more), (0, 0)), mode="symmetric")
    sharp = np.stack([_LUCY(channel, blur, num_iter=15) for channel in np.moveaxis(wide, 2, 0)], axis=2)
    return np.asarray(sharp[more:-more, more:-more].clip(0, 1), dtype=np.float32)


def rejpeg(image: Image, quality: float) -> Image:
    """The image is compressed again at each of the 64 shifts of the grid of 8 x 8; their mean.

    At 4:2:0, as cameras do it. Colour has a grid of 16 x 16 there: it sees a quarter of its shifts.
    """
    pixels = torch.from_numpy(image).permute(2, 0, 1)
    mean = torch.zeros_like(pixels)
    for down, right in product(range(8), repeat=2):
        moved = torch.nn.functional.pad(pixels[None], (right, 0, down, 0), mode="replicate")[0]
        mean += jpeg(moved, int(quality))[:, down:, right:] / 64
    return mean.permute(1, 2, 0).contiguous().numpy()


OTHERS: Mapping[str, Rival] = {
    "median": Rival(median, "Huang et al., TASSP 1979; scipy, channel by channel, side in pixels", tried=SIDES),
    "unsharp": Rival(unsharp, "Petrou and Petrou, 2010; scikit-image, radius 2, amount in tenths", tried=AMOUNTS),
    "richardson-lucy": Rival(
        lucy,
        "Richardson, JOSA 1972; Lucy, AJ 1974; scikit-image, 15 steps, a Gaussian of so many tenths of a pixel",
        tried=BLURS,
    ),
    "rejpeg": Rival(
        rejpeg, "Nosratinia, J. VLSI Signal Processing 2001; all 64 shifts, 4:2:0, quality", tried=QUALITIES
    ),
}
"""Every one of them by name."""
