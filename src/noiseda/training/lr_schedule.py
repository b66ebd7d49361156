"""How the learning rate falls over a run."""

from __future__ import annotations

import math

from noiseda.config import AdaptSettings

COOLDOWN = 0.2
"""Share of a run in which ``--training.decay cooldown`` lets the learning rate fall."""


def lr_factor(settings: AdaptSettings, progress: float) -> float:
    """Factor of the learning rate at the step to come.

    Args:
        settings: of the run, and how its learning rate falls.
        progress: the share of its steps that is done, in [0, 1].

    A cooldown is 1 - sqrt(q), q the share of the last fifth that is done (Hägele et al., "Scaling Laws and
    Compute-Optimal Training Beyond Fixed Training Durations", NeurIPS 2024).

    >>> [round(lr_factor(AdaptSettings(), progress), 3) for progress in (0.0, 0.5, 0.75)]
    [1.0, 0.5, 0.146]
    >>> from noiseda.config import TrainingSettings
    >>> late = AdaptSettings(training=TrainingSettings(decay="cooldown"))
    >>> [round(lr_factor(late, progress), 3) for progress in (0.0, 0.8, 0.85, 0.95)]
    [1.0, 1.0, 0.5, 0.134]
    """
    usual = "cosine" if settings.restorer.origin is None else "cooldown"
    decay = usual if settings.training.decay == "auto" else settings.training.decay
    if decay == "constant":
        return 1.0
    if decay == "cooldown":
        return 1.0 - math.sqrt(max(0.0, (progress - 1 + COOLDOWN) / COOLDOWN))
    return 0.5 + 0.5 * math.cos(math.pi * progress)
