"""MATLAB's ``ssim`` written out plainly: one explicit N-dimensional window, 8-bit levels, no separable filter."""

import numpy as np
from scipy.ndimage import correlate


def matlab_ssim(a: np.ndarray, ref: np.ndarray) -> float:
    """``ssim(A, ref)`` of two uint8 arrays, H x W or H x W x 3 (the latter is a volume to MATLAB)."""
    assert a.dtype == ref.dtype == np.uint8
    a, ref = a.astype(np.float64), ref.astype(np.float64)
    offsets = np.stack(np.meshgrid(*[np.arange(-5, 6)] * a.ndim, indexing="ij"))
    window = np.exp(-(offsets**2).sum(axis=0) / (2 * 1.5**2))
    window /= window.sum()

    def mean(x: np.ndarray) -> np.ndarray:
        return correlate(x, window, mode="nearest")

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mux, muy = mean(a), mean(ref)
    sigmax2 = np.maximum(mean(a**2) - mux**2, 0)
    sigmay2 = np.maximum(mean(ref**2) - muy**2, 0)
    sigmaxy = mean(a * ref) - mux * muy
    numerator = (2 * mux * muy + c1) * (2 * sigmaxy + c2)
    denominator = (mux**2 + muy**2 + c1) * (sigmax2 + sigmay2 + c2)
    return float((numerator / denominator).mean())
