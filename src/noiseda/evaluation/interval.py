"""How sure a mean over images is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def interval(differences: Sequence[float], *, draws: int = 10_000, seed: int = 0) -> tuple[float, float, float]:
    """The mean of some differences, and the interval that holds 95% of the means of their bootstrap resamples.

    Args:
        differences: one an image.
        draws: number of resamples.
        seed: seed of the resampling.

    Returns:
        Mean, lower and upper end.
    """
    values = np.asarray(differences, dtype=float)
    picks = np.random.default_rng(seed).integers(0, len(values), (draws, len(values)))
    low, high = np.percentile(values[picks].mean(axis=1), (2.5, 97.5))
    return float(values.mean()), float(low), float(high)
