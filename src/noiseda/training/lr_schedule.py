"""How the learning rate falls over a run."""

from __future__ import annotations

import math
from collections.abc import Callable

LrSchedule = Callable[[float], float]
"""Share of a run that is done, in [0, 1] -> factor of the learning rate at the step to come."""

COOLDOWN = 0.2
"""Share of a run in which ``--training.lr_schedule cooldown`` lets the learning rate fall."""


def constant(progress: float) -> float:
    """As it is."""
    return 1.0


def cosine(progress: float) -> float:
    """Falling to zero along half a cosine.

    >>> [round(cosine(progress), 3) for progress in (0.0, 0.5, 0.75)]
    [1.0, 0.5, 0.146]
    """
    return 0.5 + 0.5 * math.cos(math.pi * progress)


def cooldown(progress: float) -> float:
    """Falling to zero in the last fifth alone.

    There it is 1 - sqrt(q), q the share of the last fifth that is done (Hägele et al., "Scaling Laws and
    Compute-Optimal Training Beyond Fixed Training Durations", NeurIPS 2024).

    >>> [round(cooldown(progress), 3) for progress in (0.0, 0.8, 0.85, 0.95)]
    [1.0, 1.0, 0.5, 0.134]
    """
    return 1.0 - math.sqrt(max(0.0, (progress - 1 + COOLDOWN) / COOLDOWN))


LR_SCHEDULES: dict[str, LrSchedule] = {"constant": constant, "cosine": cosine, "cooldown": cooldown}
"""The names that ``--training.lr_schedule`` has for them."""
