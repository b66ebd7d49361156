"""From what was asked to what will be done: whatever was left open is settled in one place, :func:`resolve`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from noiseda.config import AdaptSettings, LrScheduleName
from noiseda.data.degradations import Degradation
from noiseda.diffusion.stored import sized
from noiseda.estimation.noise import Matched
from noiseda.strategies import StrategyName
from noiseda.strategy_flags import BELONGS
from noiseda.tasks import TASKS
from noiseda.training.pace import Fitting, timed

GENTLY = (
    "so clean photographs are degraded as yours were, and these pairs are learnt from; Neighbor2Neighbor, which learns "
    "from yours directly, makes the ready weights worse"
)
"""What a run from the ready weights says where neighbours do not share their noise."""

CHOSEN = {
    "mean-teacher": "so a mean teacher learns from them, in place of Neighbor2Neighbor",
    "synthetic": "so pairs made to look like them are all that is learnt from, and not, by Neighbor2Neighbor, what "
    "neighbouring pixels share",
}
"""What a run says of the strategy that takes the place of late Neighbor2Neighbor."""


FINE_TUNE = 0.1
"""Share of the restorer's learning rate at which ``--predictor.training fine-tune`` learns, unless a rate is given."""


@dataclass(frozen=True)
class Evidence:
    """What was found out before a run.

    Attributes:
        degradation: what the real photographs went through, where that was looked for and found.
        fitting: the steps and scorings that fit into the minutes of a run of such settings, where that can be measured.
    """

    degradation: Degradation | None = None
    fitting: Callable[[AdaptSettings], Fitting] | None = None


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes:
        asked: the settings as they were given.
        settings: the same, with nothing left open: no ``auto``, no size of a network left to its default.
        because: why, a sentence for each choice that the photographs made.
    """

    asked: AdaptSettings
    settings: AdaptSettings
    because: tuple[str, ...] = ()


def resolve(asked: AdaptSettings, evidence: Evidence | None = None) -> Plan:
    """Settle what the settings leave open.

    A function of its arguments alone: the same settings and the same evidence give the same plan.

    Args:
        asked: the settings.
        evidence: what was found out; without, only what does not depend on it is certain.

    >>> resolve(AdaptSettings(task="derain")).settings.strategy
    'mean-teacher'
    """
    usual, evidence = settled(asked), evidence or Evidence()
    found = _select_strategy(usual, evidence.degradation)
    because = []
    if found.strategy != usual.strategy:
        shared = isinstance(evidence.degradation, Matched) and evidence.degradation.processed
        because.append(CHOSEN[found.strategy] if shared or found.strategy != "synthetic" else GENTLY)
    if asked.minutes is not None and evidence.fitting is not None:
        found = timed(found, evidence.fitting(found))
        because.append(f"{found.training.steps} steps, by --minutes {asked.minutes:g}")
    return Plan(asked, found, tuple(because))


def settled(asked: AdaptSettings) -> AdaptSettings:
    """The settings without what they leave open, as far as no photograph decides it: by this, two of them compare.

    >>> settled(AdaptSettings(task="deblur")).training.lr_schedule
    'cosine'
    """
    training, task = asked.training, TASKS[asked.task]
    restorer = asked.restorer.settled(task.network, task.ready)
    random = restorer.origin is None
    strategy = _usual(asked) if asked.strategy == "auto" else asked.strategy
    ready = restorer.is_ready(task.ready)
    loss = task.loss if ready and strategy != "noise-space" else "charbonnier"
    rate = task.learning_rate if random else task.gentle_rate if ready else training.rate
    rate, beside = training.learning_rate or rate, training.predictor_learning_rate
    if beside is None and asked.predictor.training == "fine-tune":
        beside = FINE_TUNE * rate
    usual: LrScheduleName = "cosine" if random or ready else "cooldown"
    return replace(
        asked,
        strategy=strategy,
        loss=loss if asked.loss == "auto" else asked.loss,
        clean=asked.photographs,
        restorer=restorer,
        predictor=sized(asked.predictor),
        training=replace(
            training,
            lr_schedule=usual if training.lr_schedule == "auto" else training.lr_schedule,
            learning_rate=rate,
            predictor_learning_rate=beside,
            patch=task.gentle_patch if ready and training.patch is None else training.side,
        ),
        degradation=replace(asked.degradation, remembered=_remembered(asked, strategy, ready=ready)),
    )


def _remembered(asked: AdaptSettings, strategy: str, *, ready: bool) -> float:
    """The share of synthetic images that remind a network of what it was good at; a judge learns true targets alone."""
    if asked.degradation.remembered is not None:
        return asked.degradation.remembered
    others = {*BELONGS["predictor"], "source-free"}  # which learns from no synthetic images
    learning = {strategy, *asked.also}
    if learning == {"neighbor2neighbor"} and not asked.neighbor2neighbor.synthetic:
        return 0.0
    usual = ready and learning.isdisjoint(others) and asked.matches and asked.degradation.kind is None
    return TASKS[asked.task].remembered if usual else 0.0


def _usual(asked: AdaptSettings) -> StrategyName:
    """What gained most where it was measured (docs/results.md)."""
    if asked.reference is not None:  # which noise-space alone learns from
        return "noise-space"
    task = TASKS[asked.task]
    return task.strategy_matched if asked.matches else task.strategy


def _select_strategy(settings: AdaptSettings, degradation: Degradation | None) -> AdaptSettings:
    """The settings with the strategy that suits what the photographs went through.

    That is for late Neighbor2Neighbor (``--neighbor2neighbor.start``) alone, which makes up for what synthetic pairs
    leave as far as neighbours do not share their noise. Where they share it, and it is simulated well, it does harm;
    where they share it, and it is not, a mean teacher makes up for more (docs/results.md, "The default for noise"). A
    teacher begins as late. The ready weights lose by it in any case (research/results/2026-11-29-rain.md).
    """
    late = settings.neighbor2neighbor
    is_late = settings.strategy == "neighbor2neighbor" and late.synthetic and late.start > 0 and not settings.also
    if not (is_late and settings.matches and isinstance(degradation, Matched)):
        return settings
    chosen: StrategyName = late.shared if degradation.alike else late.unlike
    if not degradation.processed:
        ready = settings.restorer.is_ready(TASKS[settings.task].ready)
        chosen = "synthetic" if ready else settings.strategy
    if chosen == settings.strategy:
        return settings
    return replace(settings, strategy=chosen, mean_teacher=replace(settings.mean_teacher, start=late.start))
