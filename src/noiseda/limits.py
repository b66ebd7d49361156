"""The numbers that settings may take."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from noiseda import strategy_settings
from noiseda.errors import UserError

if TYPE_CHECKING:
    from noiseda.config import AdaptSettings

_POSITIVE = (
    "training.steps", "training.batch", "training.accumulate", "training.learning_rate",
    "training.predictor_learning_rate", "training.validate_every", "training.checkpoint_every", "training.log_every",
    "training.picture_every", "restorer.width", "restorer.depth", "predictor.width", "predictor.blocks",
    "predictor.stem", "max_megapixels", "cache_gigabytes", "shards.window", "shards.draws",
    *strategy_settings.POSITIVE,
)  # fmt: skip
_SHARES = ("training.ema", "predictor.dropout", *strategy_settings.SHARES)
_NOT_NEGATIVE = (
    "objective.weight", "objective.ramp", "objective.margin", "training.clip", "training.forgetting",
    "training.snapshot_every", "training.workers", "seed", "look_alikes", *strategy_settings.NOT_NEGATIVE,
)  # fmt: skip


def check_limits(settings: AdaptSettings) -> None:
    """Check every number against its limits.

    Raises:
        UserError: naming the flag, what was given and what was expected.
    """
    for flag in _POSITIVE:
        value = attrgetter(flag)(settings)
        if value is not None and not value > 0:
            raise UserError(f"--{flag} must be greater than 0, not {value}")
    for flag in _NOT_NEGATIVE:
        value = attrgetter(flag)(settings)
        if value is not None and not value >= 0:
            raise UserError(f"--{flag} must not be negative, but is {value}")
    for flag in _SHARES:
        value = attrgetter(flag)(settings)
        if not 0 <= value < 1:
            raise UserError(f"--{flag} must be at least 0 and less than 1, not {value}")
    if settings.white_level is not None and not 1 <= settings.white_level <= 65535:
        raise UserError(f"--white_level must be a whole number from 1 to 65535, not {settings.white_level}")
    smoothed = settings.degradation.smoothed
    if not 1 <= smoothed < float("inf"):
        raise UserError(f"--degradation.smoothed must be at least 1, not {smoothed}")
    for flag in ("objective.levels", *strategy_settings.LEVELS):
        low, high = attrgetter(flag)(settings)
        if not 1 <= low <= high <= 999:
            raise UserError(f"--{flag} must satisfy 1 <= low <= high <= 999, not {low}, {high}")
    for flag in strategy_settings.RANGES:
        low, high = attrgetter(flag)(settings)
        if not 0 < low <= high:
            raise UserError(f"--{flag} must satisfy 0 < low <= high, not {low}, {high}")
    for flag in strategy_settings.HALVES:
        value = attrgetter(flag)(settings)
        if value > max(16, settings.training.patch) // 2:  # a patch below 16 is refused for what it is
            raise UserError(f"--{flag} must be at most half of --training.patch {settings.training.patch}, not {value}")
