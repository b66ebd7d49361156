"""Every strategy of this package by name: how its objective is built around a restorer from the settings of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from noiseda import diffusion, extensions
from noiseda.adaptation.combined import Combined
from noiseda.adaptation.mean_teacher import MeanTeacher
from noiseda.adaptation.neighbor2neighbor import Neighbor2Neighbor
from noiseda.adaptation.noise_space import NoiseSpace
from noiseda.adaptation.objective import DISTANCES, Distance, Objective, charbonnier
from noiseda.adaptation.stages import Stages
from noiseda.adaptation.synthetic import SyntheticOnly
from noiseda.config import AdaptSettings
from noiseda.diffusion import Denoiser
from noiseda.restoration import Restorer

Builder = Callable[[Restorer, AdaptSettings, float], Objective[Any]]
"""A restorer, the settings of a run, and the steps from black to white that the real files have -> an objective."""


def _synthetic(restorer: Restorer, settings: AdaptSettings, levels: float) -> SyntheticOnly:
    return SyntheticOnly(restorer, distance=_distance(settings))


def _noise_space(restorer: Restorer, settings: AdaptSettings, levels: float) -> NoiseSpace:
    denoiser = Denoiser(build_predictor(settings, conditions=2 if settings.objective.conditions == "both" else 1))
    return NoiseSpace(
        restorer, denoiser, settings.objective, reference=settings.reference is not None, distance=_distance(settings)
    )


def _neighbor2neighbor(restorer: Restorer, settings: AdaptSettings, levels: float) -> Objective[Any]:
    own = settings.neighbor2neighbor
    return late(
        own.start if own.synthetic else 0.0,
        Neighbor2Neighbor(restorer, own, distance=_distance(settings)),
        _distance(settings),
    )


def _mean_teacher(restorer: Restorer, settings: AdaptSettings, levels: float) -> Objective[Any]:
    own = settings.mean_teacher
    return late(own.start, MeanTeacher(restorer, own, distance=_distance(settings)), _distance(settings))


def _source_free(restorer: Restorer, settings: AdaptSettings, levels: float) -> MeanTeacher:
    return MeanTeacher(restorer, settings.mean_teacher, synthetic=False, distance=_distance(settings))


STRATEGIES: dict[str, Builder] = {
    "synthetic": _synthetic,
    "noise-space": _noise_space,
    "neighbor2neighbor": _neighbor2neighbor,
    "mean-teacher": _mean_teacher,
    "source-free": _source_free,
}


def build(restorer: Restorer, settings: AdaptSettings, levels: float = 255.0) -> Objective[Any]:
    """The objective that ``--strategy`` and ``--also`` ask for.

    Its own networks draw their weights from torch's global generator.

    Args:
        restorer: the network to train.
        settings: of the run.
        levels: steps from black to white that the real files have; noise shows from such a step on.
    """
    names = (settings.strategy, *settings.also)
    parts: dict[str, Objective[Any]] = {
        name: (STRATEGIES.get(name) or extensions.builder_of(name))(restorer, settings, levels) for name in names
    }
    return Combined(parts) if len(parts) > 1 else parts[settings.strategy]


def late(start: float, objective: Objective[Any], distance: Distance = charbonnier) -> Objective[Any]:
    """Synthetic pairs alone for a share of the run, then an objective."""
    alone = SyntheticOnly(objective.restorer, distance=distance)
    return Stages([(0.0, alone), (start, objective)]) if start > 0 else objective


def _distance(settings: AdaptSettings) -> Distance:
    """What ``--loss`` names; what was left open is Charbonnier's."""
    return DISTANCES.get(settings.loss, charbonnier)


def build_predictor(settings: AdaptSettings, *, conditions: int) -> nn.Module:
    """A noise predictor that looks at a number of images beside the one that is noised."""
    return diffusion.build_predictor(settings.predictor, channels=settings.restorer.channels, conditions=conditions)
