"""How many steps a run can take in the minutes that it is given: the machine is measured for some seconds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from noiseda.config import AdaptSettings
from noiseda.settings_file import read_settings
from noiseda.training import checkpoints

TRIED = 8
"""Steps of a trial. It has the run's stages, each as long in proportion."""

SHARE = 0.9
"""Share of the minutes that is planned with: a machine has slower stretches."""

LEAST = 20
"""Steps that a run has at least."""

SCORES = 4
"""How often a run of some minutes is scored."""

VERDICT = 3
"""What the end of a run costs, in scorings: two networks on as many pairs, and how far to go between them."""


@dataclass(frozen=True)
class Pace:
    """How fast a machine is.

    Attributes:
        step: seconds of a step.
        score: seconds of a scoring, but for the first.
    """

    step: float
    score: float

    def steps_within(self, seconds: float) -> int:
        """Steps that fit, between the scorings: two figures of them, that one reads easily.

        >>> Pace(step=0.31, score=1).steps_within(600), Pace(step=5, score=1).steps_within(1)
        (1700, 20)
        """
        fitting = max(0.0, SHARE * seconds - self.seconds_of(0)) / self.step
        round_to = 10 ** max(0, len(str(int(fitting))) - 2)
        return max(LEAST, int(fitting // round_to * round_to))

    def seconds_of(self, steps: int) -> float:
        """How long so many steps take, with the scorings between them and the verdict after them.

        >>> Pace(step=0.5, score=2).seconds_of(20)
        24.0
        """
        return steps * self.step + (SCORES + VERDICT) * self.score


def pace_of(trial: Callable[[AdaptSettings], Pace], settings: AdaptSettings) -> Pace:
    """How fast a machine is at a run.

    Args:
        trial: runs some settings from start to end, and says how long all its steps took, and a scoring.
        settings: those of the run; the trial has few steps, and a folder of its own that is removed.
    """
    with tempfile.TemporaryDirectory() as folder:
        brief = replace(
            settings.training,
            steps=TRIED,
            log_every=TRIED + 1,
            checkpoint_every=TRIED + 1,
            picture_every=TRIED + 1,
            validate_every=TRIED + 1,
            snapshot_every=0,
        )
        short = replace(settings, out=Path(folder), cache=settings.cache or settings.out / "cache", training=brief)
        tried = trial(short)
    return replace(tried, step=tried.step / TRIED)


def timed(settings: AdaptSettings, steps: int) -> AdaptSettings:
    """The settings with so many steps, scored and pictured a few times.

    Args:
        settings: of a run of some minutes.
        steps: how many fit.
    """
    every = -(-steps // SCORES)  # rounded up: the last of them is the run's end
    return replace(
        settings, training=replace(settings.training, steps=steps, validate_every=every, picture_every=every)
    )


def kept_steps(settings: AdaptSettings) -> int | None:
    """The steps that a run was given when it began, where it goes on; else None.

    Args:
        settings: what is asked for.
    """
    plan = settings.out / "plan.yaml"
    if not plan.exists() or not checkpoints.found(settings.out / "checkpoints"):
        return None
    tree = read_settings(plan)
    return int(tree["training"]["steps"]) if tree.get("minutes") == settings.minutes else None
