"""Borrowed noise: clean photographs under the noise of the user's own, so that a restorer can be scored without truth.

Noise is cut from the flattest patches of each unlabelled photograph and put onto clean patches of like brightness:
pairs whose truth is known and whose noise is real. How well scores on them rank restorers is measured by ``noiseda
compare``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.data.background import background
from noiseda.errors import UserError
from noiseda.evaluation.metrics import psnr

SIDE = 64
"""Side of the patches, in pixels."""

FLAT = 0.1
"""Share of the patches of each photograph that count as flat."""

LEAST = 0.25
"""Deviation, in steps from level to level of the files, below which a patch has no noise: it is clipped, or painted."""

CANDIDATES = 16
"""Flat patches that one of like brightness is chosen from."""


def borrowed_pairs(
    real: Sequence[Tensor], clean: Sequence[Tensor], *, count: int, generator: torch.Generator, levels: float = 255.0
) -> tuple[Tensor, Tensor]:
    """Clean patches wearing the noise of real images.

    Args:
        real: unlabelled images (C, H, W) in [0, 1]; those with a side below 64 pixels are left out.
        clean: clean images, likewise.
        count: number of pairs, N.
        generator: source of every draw.
        levels: steps from black to white in the real files.

    Returns:
        Degraded and clean patches, (N, C, 64, 64) each, in [0, 1].

    Raises:
        UserError: where no real image has a flat patch with noise, or no clean one is large enough.
    """
    noise, level = (torch.cat(parts) for parts in zip(*(_flat_noise(image, levels) for image in real), strict=True))
    cut = torch.cat([_patches(image) for image in clean])
    if not len(noise) or not len(cut):
        lacking = "flat patch with noise in the real images" if len(cut) else "clean image"
        raise UserError(f"no {lacking} of at least {SIDE} x {SIDE} pixels: no noise can be borrowed")
    y = cut[torch.randint(len(cut), (count,), generator=generator)]
    candidates = torch.randint(len(noise), (count, CANDIDATES), generator=generator)
    distance = (level[candidates] - y.flatten(1).mean(dim=1)[:, None]).abs()
    chosen = candidates.gather(1, distance.argmin(dim=1, keepdim=True))[:, 0]
    return (y + noise[chosen]).clamp(0, 1), y


def score(restored: Tensor, clean: Tensor) -> float:
    """Mean PSNR (dB) over pairs, (N, C, H, W) each."""
    return float(psnr(restored.clamp(0, 1), clean).mean())


def _flat_noise(image: Tensor, levels: float) -> tuple[Tensor, Tensor]:
    """The noise of an image's flattest patches (N, C, 64, 64), and how bright they are (N,)."""
    patches = _patches(image)
    noise = patches - background(patches)
    blurred = F.avg_pool2d(F.pad(patches, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
    structure = (blurred - background(blurred)).square().flatten(1).mean(dim=1)
    kept = structure.argsort()[: max(1, int(FLAT * len(patches)))]
    kept = kept[noise[kept].square().flatten(1).mean(dim=1) > (LEAST / levels) ** 2]
    return noise[kept], patches[kept].flatten(1).mean(dim=1)


def _patches(image: Tensor) -> Tensor:
    """(C, H, W) -> (N, C, 64, 64); rows and columns that fill no patch are left out."""
    channels = len(image)
    if min(image.shape[-2:]) < SIDE:
        return image.new_zeros(0, channels, SIDE, SIDE)
    cut = F.unfold(image[None], SIDE, stride=SIDE)[0].T
    return cut.reshape(-1, channels, SIDE, SIDE)
