"""What is wrong with a restored image: how much of its squared error is bias, noise left over, texture lost.

No ground truth is needed for restoring; for knowing what went wrong it is. The shares show which remedy could help: a
zero-mean criterion sees no low-frequency bias, more denoising makes lost texture worse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
import torch.nn.functional as F
from torch import Tensor

BLUR = 6.0
"""Standard deviation, in pixels, of the Gaussian below which an error counts as low-frequency."""

BLOCK = 16
"""Side, in pixels, of the blocks in which the rest of the error is explained."""


@dataclass(frozen=True)
class ErrorSplit:
    """Parts of the mean squared error of one image; they add up to it.

    Attributes:
        bias: low-frequency error: wrong colour and brightness of areas.
        noise: what goes along with the degradation (input - target): noise left in.
        texture: what goes against the detail of the target: texture lost (or, where it goes along, exaggerated).
        other: the rest.
    """

    bias: float
    noise: float
    texture: float
    other: float

    @property
    def total(self) -> float:
        """The mean squared error."""
        return self.bias + self.noise + self.texture + self.other


def split_error(restored: Tensor, target: Tensor, degraded: Tensor) -> ErrorSplit:
    """Split the squared error of a restored image.

    With e = restored - target, bias = mean (G e)^2, where G projects onto low frequencies (the ideal low-pass whose
    cut-off is that of a Gaussian of :data:`BLUR` pixels). The rest, e', is explained block by block and channel by
    channel by least squares, e' = a n' + b t' + r, with n the degradation and t the target without their low
    frequencies; noise and texture are what a n' and b t' explain, each with half of what they explain together.

    Args:
        restored: (C, H, W) in [0, 1].
        target: (C, H, W) in [0, 1].
        degraded: (C, H, W) in [0, 1], what was restored.

    Returns:
        The parts; a projection makes them add up to the mean squared error (up to rounding and to what least squares
        within blocks leaves between them).
    """
    error = (restored - target).double()
    low = _low_frequencies(error)
    rest, noise, detail = (
        _blocks(image.double() - _low_frequencies(image.double()))
        for image in (restored - target, degraded - target, target)
    )  # (C, N, BLOCK^2) each
    nn, tt, nt = ((p * q).sum(-1) for p, q in ((noise, noise), (detail, detail), (noise, detail)))
    en, et = (rest * noise).sum(-1), (rest * detail).sum(-1)
    ridge = 1e-9
    determinant = (nn + ridge) * (tt + ridge) - nt.square()
    a = (en * (tt + ridge) - et * nt) / determinant
    b = (et * (nn + ridge) - en * nt) / determinant
    count = error.numel()
    # |a n + b t|^2 = a <e, n> + b <e, t> at the least-squares solution.
    explained_noise = float((a.square() * nn + a * b * nt).sum()) / count
    explained_detail = float((b.square() * tt + a * b * nt).sum()) / count
    bias = float(low.square().mean())
    total = float(error.square().mean())
    return ErrorSplit(bias, explained_noise, explained_detail, total - bias - explained_noise - explained_detail)


def _low_frequencies(image: Tensor) -> Tensor:
    """The low frequencies of (C, H, W), continued by reflection at its borders: an orthogonal projection."""
    height, width = image.shape[-2:]
    spectrum = scipy.fft.dctn(image.numpy(), axes=(-2, -1), norm="ortho")
    vertical, horizontal = np.arange(height)[:, None] / (2 * height), np.arange(width) / (2 * width)  # cycles a pixel
    cutoff = 1 / (2 * np.pi * BLUR)  # where the Gaussian's transfer is exp(-1/2)
    spectrum[..., vertical**2 + horizontal**2 > cutoff**2] = 0
    return torch.from_numpy(scipy.fft.idctn(spectrum, axes=(-2, -1), norm="ortho"))


def _blocks(image: Tensor) -> Tensor:
    """(C, H, W) -> (C, N, BLOCK^2): blocks without overlap, those at the border filled with zeros."""
    down, right = -image.shape[-2] % BLOCK, -image.shape[-1] % BLOCK
    padded = F.pad(image, (0, right, 0, down))
    blocks: Tensor = F.unfold(padded[:, None], BLOCK, stride=BLOCK)
    return blocks.transpose(1, 2)
