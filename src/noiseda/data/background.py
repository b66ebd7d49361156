"""What shading makes of a flat thing: the quadratic surface nearest to an image."""

from __future__ import annotations

import torch
from torch import Tensor


def background(images: Tensor) -> Tensor:
    """The quadratic surface nearest to each channel of an image, in least squares.

    Args:
        images: (B, C, H, W).

    Returns:
        (B, C, H, W).
    """
    basis = _quadratics(images.shape[-2], images.shape[-1]).to(images)
    smooth: Tensor = images.flatten(2) @ basis @ basis.T
    return smooth.view_as(images)


def _quadratics(height: int, width: int) -> Tensor:
    """(H * W, 6): an orthonormal basis of the quadratic polynomials in both coordinates."""
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, dtype=torch.float64),
        torch.linspace(-1, 1, width, dtype=torch.float64),
        indexing="ij",
    )
    columns = torch.stack([torch.ones_like(x), x, y, x * y, x.square(), y.square()], dim=-1)
    basis: Tensor = torch.linalg.qr(columns.flatten(0, 1)).Q
    return basis.float()
