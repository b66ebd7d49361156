"""How many steps a run can take in the minutes that it is given: the machine is measured for some seconds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from noiseda.config import AdaptSettings
from noiseda.settings_file import read_settings
from noiseda.training import checkpoints

TRIED = 8
"""Steps of a trial. It has the run's stages, each as long in proportion."""

SCORED_FEW = 4
"""Pairs by which a trial measures how long a scoring takes."""

SHARE = 0.9
"""Share of the minutes that is planned with: a machine has slower stretches."""

LEAST = 20
"""Steps that a run has at least."""

SCORES = 4
"""How often a run of some minutes is scored, at most."""

SCORED = 0.2
"""Share of the minutes that scorings may take; the one at the end is always there."""

VERDICT = 6
"""What the end of a run costs, in scorings: two networks on other images, how far to go between them, and a report."""


class Fitting(NamedTuple):
    """What fits into some minutes.

    Attributes:
        steps: of the run.
        scores: how often it is scored on the way, the end among them.
    """

    steps: int
    scores: int = SCORES


@dataclass(frozen=True)
class Pace:
    """How fast a machine is.

    Attributes:
        step: seconds of a step.
        score: seconds of a scoring, but for the first.
    """

    step: float
    score: float

    def within(self, seconds: float) -> Fitting:
        """What fits. Of steps two figures, that one reads easily; of scorings few, where they cost much.

        >>> Pace(step=0.31, score=1).within(600), Pace(step=5, score=30).within(100)
        (Fitting(steps=1700, scores=4), Fitting(steps=20, scores=1))
        """
        scores = min(SCORES, max(1, int(SCORED * seconds / self.score))) if self.score > 0 else SCORES
        fitting = max(0.0, SHARE * seconds - self.seconds_of(0, scores)) / self.step
        round_to = 10 ** max(0, len(str(int(fitting))) - 2)
        return Fitting(max(LEAST, int(fitting // round_to * round_to)), scores)

    def seconds_of(self, steps: int, scores: int = SCORES) -> float:
        """How long so many steps take, with the scorings between them and the verdict after them.

        >>> Pace(step=0.5, score=2).seconds_of(20)
        30.0
        """
        return steps * self.step + (scores + VERDICT) * self.score


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


def timed(settings: AdaptSettings, fitting: Fitting) -> AdaptSettings:
    """The settings with so many steps, scored and pictured a few times.

    Args:
        settings: of a run of some minutes.
        fitting: what fits into these.
    """
    steps = fitting.steps
    scored, pictured = -(-steps // fitting.scores), -(-steps // SCORES)  # rounded up: the last is the run's end
    return replace(
        settings, training=replace(settings.training, steps=steps, validate_every=scored, picture_every=pictured)
    )


def kept_fitting(settings: AdaptSettings) -> Fitting | None:
    """The steps and scorings that a run was given when it began, where it goes on; else None.

    Args:
        settings: what is asked for.
    """
    plan = settings.out / "plan.yaml"
    if not plan.exists() or not checkpoints.found(settings.out / "checkpoints"):
        return None
    tree = read_settings(plan)
    steps, every = (int(tree["training"][name]) for name in ("steps", "validate_every"))
    return Fitting(steps, -(-steps // every)) if tree.get("minutes") == settings.minutes else None
