"""The weight of an error over the run."""

from __future__ import annotations

import math


def ramp(progress: float, *, weight: float, steepness: float, begins: float = 0.0) -> float:
    """weight(p) = weight * (2 / (1 + exp(-steepness * p)) - 1), by iteration (arXiv 2406.18516, supplement).

    Args:
        progress: share of the run that is done, in [0, 1].
        weight: the weight that the ramp approaches.
        steepness: how fast; 0 turns the ramp off.
        begins: share of the run at which it begins: p counts from there, and the weight is 0 before.

    >>> ramp(0.0, weight=0.2, steepness=5.0), round(ramp(1.0, weight=0.2, steepness=5.0), 4)
    (0.0, 0.1973)
    >>> ramp(0.0, weight=0.2, steepness=0.0)
    0.2
    >>> ramp(0.2, weight=0.2, steepness=0.0, begins=0.25)
    0.0
    """
    if progress < begins:
        return 0.0
    progress = (progress - begins) / (1 - begins)
    return weight * (2 / (1 + math.exp(-steepness * progress)) - 1) if steepness else weight
