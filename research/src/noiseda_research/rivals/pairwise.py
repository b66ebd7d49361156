"""The scale-invariant error that leaves out what all pixels have in common (Eigen et al., arXiv 1406.2283)."""

from __future__ import annotations

from torch import Tensor


def pairwise_error(a: Tensor, b: Tensor) -> Tensor:
    """mean(d^2) - mean(d)^2 of the difference d = a - b, image by image: a constant shift costs nothing.

    Proportional to the squared differences between all pairs of pixels, hence the name (Eq. 5 of arXiv 1612.05424;
    Eq. 4 of arXiv 1608.06019).

    Args:
        a: (B, C, H, W).
        b: (B, C, H, W).

    Returns:
        (B,), at least 0.
    """
    difference = (a.float() - b.float()).flatten(1)
    return difference.var(dim=1, correction=0)
