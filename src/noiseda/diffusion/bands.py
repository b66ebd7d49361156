"""The noise error on bands of frequencies, for what a degradation does to large structures: haze, blur.

An error in pixels counts a band by how many frequencies it has: of an image, the coarsest of four octaves makes 1/64 of
it. Here each band counts by itself. Each is divided by its share of white noise, so that a prediction that is wrong by
white noise has the same error in each band, and in pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.diffusion.denoiser import squared_error
from noiseda.diffusion_settings import BandsName

__all__ = ["BANDS", "Bands", "Pixels", "Pyramid", "Wavelet", "haar", "unhaar"]


class Bands(ABC):
    """How a wrong prediction of noise is measured."""

    @abstractmethod
    def __call__(self, eps: Tensor, eps_hat: Tensor) -> Tensor:
        """The error of each signal.

        Args:
            eps: (B, C, *spatial) noise, of 1 to 3 spatial dimensions of any size.
            eps_hat: the same shape, as predicted.

        Returns:
            (B,): s^2 on average where eps - eps_hat is white noise of standard deviation s.
        """


class Pixels(Bands):
    """The mean of (eps - eps_hat)^2, as in the paper."""

    def __call__(self, eps: Tensor, eps_hat: Tensor) -> Tensor:
        """See :class:`Bands`."""
        return squared_error(eps, eps_hat)


class Pyramid(Bands):
    """The mean squared error at several resolutions: of the signal itself, and of averages over blocks of 2, 4, 8 ...

    Coarse errors are in every level, fine ones in the first alone.

    Args:
        levels: how many resolutions; fewer where a side is shorter than a block.
        weights: of each level, finest first, not all 0; 1 each by default.

    Raises:
        ValueError: there are more or fewer weights than levels, or they do not weigh anything.
    """

    def __init__(self, levels: int = 4, weights: Sequence[float] | None = None) -> None:
        self.weights = _checked(weights, levels)

    def __call__(self, eps: Tensor, eps_hat: Tensor) -> Tensor:
        """See :class:`Bands`."""
        coarse, errors = eps - eps_hat, []
        size, dims = coarse[0].numel(), coarse.ndim - 2
        for level in range(_halvings(coarse, len(self.weights) - 1) + 1):
            if level:
                coarse = haar(coarse)[0]  # averages of blocks, times sqrt(2) for each axis: white noise stays as it is
            errors.append(coarse.square().flatten(1).sum(dim=1) * (2 ** (level * dims) / size))
        return _weighed(errors, self.weights[: len(errors)])


class Wavelet(Bands):
    """The mean squared error in the bands of a Haar transform: details of each octave, and what is left of averages.

    Args:
        levels: how many octaves; fewer where a side is shorter than a block.
        weights: of each band: the details, finest first, then the averages, so one more than levels, not all 0; 1 each
            by default.

    Raises:
        ValueError: there are more or fewer weights than bands, or they do not weigh anything.
    """

    def __init__(self, levels: int = 3, weights: Sequence[float] | None = None) -> None:
        self.weights = _checked(weights, levels + 1)

    def __call__(self, eps: Tensor, eps_hat: Tensor) -> Tensor:
        """See :class:`Bands`."""
        coarse, errors = eps - eps_hat, []
        size, dims = coarse[0].numel(), coarse.ndim - 2
        halvings = _halvings(coarse, len(self.weights) - 1)
        for level in range(halvings):
            coarse, *details = haar(coarse)
            share = (2**dims - 1) * size / 2 ** ((level + 1) * dims)  # of all coefficients; the zeros at the edge none
            errors.append(sum(one.square().flatten(1).sum(dim=1) for one in details) / share)
        errors.append(coarse.square().flatten(1).sum(dim=1) * (2 ** (halvings * dims) / size))
        return _weighed(errors, (*self.weights[:halvings], self.weights[-1]))


def haar(signals: Tensor) -> list[Tensor]:
    """One octave of the orthonormal Haar transform: along each axis (a + b) / sqrt(2) and (a - b) / sqrt(2).

    Args:
        signals: (B, C, *spatial) of any size; an odd side is filled up with a zero.

    Returns:
        2^dims bands (B, C, *spatial / 2, rounded up): the averages, then the details. The sum of all squares is that of
        the signals.

    >>> [band.flatten().tolist() for band in haar(torch.tensor([[[2.0, 0.0]]]))]
    [[1.4142135381698608], [1.4142135381698608]]
    """
    bands = [signals]
    for axis in range(2, signals.ndim):
        bands = [half for band in bands for half in _split(band, axis)]
    return bands


def unhaar(bands: Sequence[Tensor], spatial: Sequence[int]) -> Tensor:
    """The signals of such a transform, the inverse of :func:`haar`.

    Args:
        bands: 2^dims of (B, C, *spatial / 2, rounded up).
        spatial: the sides of the signals.

    Returns:
        (B, C, *spatial).
    """
    found = list(bands)
    for axis in reversed(range(2, found[0].ndim)):
        pairs = zip(found[::2], found[1::2], strict=True)
        found = [_merge(low, high, axis, spatial[axis - 2]) for low, high in pairs]
    return found[0]


def _split(signals: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Sums and differences of neighbours along an axis; no matrix product, which autocast would round."""
    if signals.shape[axis] % 2:
        signals = F.pad(signals, (0, 0) * (signals.ndim - 1 - axis) + (0, 1))
    first, second = signals.unflatten(axis, (-1, 2)).unbind(axis + 1)
    return (first + second) * 0.5**0.5, (first - second) * 0.5**0.5


def _merge(low: Tensor, high: Tensor, axis: int, size: int) -> Tensor:
    pairs = torch.stack([(low + high) * 0.5**0.5, (low - high) * 0.5**0.5], dim=axis + 1)
    return pairs.flatten(axis, axis + 1).narrow(axis, 0, size)


def _halvings(signals: Tensor, most: int) -> int:
    """How often the sides of signals can be halved, so that a block fits."""
    return min(most, min(signals.shape[2:]).bit_length() - 1)


def _weighed(errors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The weighted mean; the plain one where a signal is too small for all bands that weigh something."""
    if not sum(weights):
        weights = [1.0] * len(errors)
    return torch.stack([weight * error for weight, error in zip(weights, errors, strict=True)]).sum(dim=0) / sum(
        weights
    )


def _checked(weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    if weights is None:
        return (1.0,) * count
    if len(weights) != count or min(weights) < 0 or not sum(weights):
        raise ValueError(f"weights must be {count} numbers of at least 0, not all of them 0, not {tuple(weights)}")
    return tuple(weights)


BANDS: dict[BandsName, Bands] = {"pixels": Pixels(), "pyramid": Pyramid(), "wavelet": Wavelet()}
"""What ``--objective.bands`` may name."""
