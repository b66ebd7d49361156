"""NIQE: how far the statistics of pictures are from those of good photographs.

Source: Mittal, Soundararajan & Bovik 2013, "Making a 'Completely Blind' Image Quality Analyzer". The model of good
photographs is fitted to some that are given, not to those of the source: figures do not compare with published ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.errors import UserError

SIDE = 96
"""Side of the patches, in pixels; half of it at the second scale."""

SHARP = 0.75
"""Share of the sharpest patch's sharpness that a patch needs to be a model of good photographs."""

_SHAPES = torch.arange(0.2, 10.0, 0.001)
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


class Niqe:
    """Naturalness of pictures; lower is more natural.

    Args:
        photographs: good ones (C, H, W) in [0, 1], C = 1 or 3; those with a side below 96 pixels are left out.

    Raises:
        UserError: where fewer than two patches can be cut from them.
    """

    def __init__(self, photographs: Sequence[Tensor]) -> None:
        self._mean, self._covariance = _statistics(_patches(photographs, SHARP), "good photographs")

    def __call__(self, pictures: Sequence[Tensor]) -> float:
        """The distance of some pictures, taken together, from the good photographs.

        Args:
            pictures: (C, H, W) in [0, 1], C = 1 or 3; those with a side below 96 pixels are left out.

        Raises:
            UserError: where fewer than two patches can be cut from them.
        """
        mean, covariance = _statistics(_patches(pictures, 0.0), "pictures")
        apart = self._mean - mean
        return float((apart @ torch.linalg.pinv((self._covariance + covariance) / 2) @ apart).clamp(min=0).sqrt())


def _statistics(features: Tensor, what: str) -> tuple[Tensor, Tensor]:
    if len(features) < 2:
        raise UserError(f"NIQE needs at least two patches of {SIDE} x {SIDE} pixels of the {what}, not {len(features)}")
    return features.mean(0), torch.cov(features.T)


def _patches(images: Sequence[Tensor], sharp: float) -> Tensor:
    """Features of the patches of all images that are sharp enough, (N, 36)."""
    found = [torch.empty(0, 36, dtype=torch.float64)]
    for image in images:
        if min(image.shape[-2:]) < SIDE:
            continue
        height, width = (side // SIDE * SIDE for side in image.shape[-2:])
        grey = 255 * _grey(image)[None, None, :height, :width]
        halved = F.interpolate(grey, scale_factor=0.5, mode="bicubic", antialias=True)
        parts = []
        for scale, side in ((grey, SIDE), (halved, SIDE // 2)):
            normal, deviation = _normalised(scale)
            parts.append(_features(_cut(normal, side)))
            if side == SIDE:
                sharpness = _cut(deviation, side).flatten(1).mean(1)
        found.append(torch.cat(parts, 1)[sharpness >= sharp * sharpness.max()])
    return torch.cat(found)


def _grey(image: Tensor) -> Tensor:
    """(C, H, W) -> (H, W): luma of BT.601; in doubles, since few patches magnify what is rounded."""
    if len(image) == 1:
        return image[0].double()
    return (torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)[:, None, None] * image.double()).sum(0)


def _normalised(grey: Tensor) -> tuple[Tensor, Tensor]:
    """(1, 1, H, W) in [0, 255] without its local mean, over its local deviation; and that deviation."""
    line = torch.exp(-torch.arange(-3.0, 4.0, dtype=grey.dtype).square() / (2 * (7 / 6) ** 2))
    kernel = (torch.outer(line, line) / line.sum() ** 2)[None, None]

    def blurred(values: Tensor) -> Tensor:
        return F.conv2d(F.pad(values, (3, 3, 3, 3), mode="replicate"), kernel)

    mean = blurred(grey)
    deviation = (blurred(grey.square()) - mean.square()).clamp(min=0).sqrt()
    return (grey - mean) / (deviation + 1), deviation


def _cut(values: Tensor, side: int) -> Tensor:
    """(1, 1, H, W) -> (N, side, side)."""
    return F.unfold(values, side, stride=side)[0].T.reshape(-1, side, side)


def _features(patches: Tensor) -> Tensor:
    """(N, S, S) -> (N, 18): shapes and spreads of the values, and of the products of neighbours."""
    shape, _, left, right = _fitted(patches.flatten(1))
    found = [shape, (left + right) / 2]
    for neighbour in _NEIGHBOURS:
        found += _fitted((patches * patches.roll(neighbour, (1, 2))).flatten(1))
    return torch.stack(found, 1)


def _fitted(values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Shape, mean, left and right scale of an asymmetric generalised Gaussian, by moments; (N, M) -> (N,) each."""
    squares = values.square()

    def deviation(side: Tensor) -> Tensor:
        return ((squares * side).sum(1) / side.sum(1).clamp(min=1)).sqrt().clamp(min=1e-6)

    left, right = deviation(values < 0), deviation(values > 0)
    skew = left / right
    ratio = values.abs().mean(1).square() / squares.mean(1).clamp(min=1e-12)
    ratio = ratio * (skew**3 + 1) * (skew + 1) / (skew.square() + 1).square()
    shapes = _SHAPES.to(values.dtype)
    expected = (2 * torch.lgamma(2 / shapes) - torch.lgamma(1 / shapes) - torch.lgamma(3 / shapes)).exp()
    shape = shapes[(expected - ratio[:, None]).square().argmin(1)]
    scale = ((torch.lgamma(1 / shape) - torch.lgamma(3 / shape)) / 2).exp()
    mean = (right - left) * scale * (torch.lgamma(2 / shape) - torch.lgamma(1 / shape)).exp()
    return shape, mean, left * scale, right * scale
