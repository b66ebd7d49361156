"""Every strategy by name: how its objective is built around a restorer from the settings of a run."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from noiseda.adaptation.alignment import Alignment, coral, mmd
from noiseda.adaptation.blind_network import BlindSpotNetwork
from noiseda.adaptation.blind_spot import BlindSpot
from noiseda.adaptation.combined import Combined
from noiseda.adaptation.critic import Critic
from noiseda.adaptation.cycada import CycleAdaptation
from noiseda.adaptation.dann import Dann
from noiseda.adaptation.dsn import DomainSeparation
from noiseda.adaptation.flat_noise import FlatNoise
from noiseda.adaptation.mean_teacher import MeanTeacher
from noiseda.adaptation.neighbor2neighbor import Neighbor2Neighbor
from noiseda.adaptation.noise_space import NoiseSpace
from noiseda.adaptation.objective import Objective
from noiseda.adaptation.pixelda import PixelAdaptation
from noiseda.adaptation.score import Score
from noiseda.adaptation.stages import Stages
from noiseda.adaptation.sure import Sure
from noiseda.adaptation.synthetic import SyntheticOnly
from noiseda.adaptation.transplant import Transplant
from noiseda.config import AdaptSettings
from noiseda.diffusion import Denoiser, NoisePredictor
from noiseda.restoration import Restorer

Builder = Callable[[Restorer, AdaptSettings, float], Objective[Any]]
"""A restorer, the settings of a run, and the steps from black to white that the real files have -> an objective."""


def _synthetic(restorer: Restorer, settings: AdaptSettings, levels: float) -> SyntheticOnly:
    return SyntheticOnly(restorer)


def _noise_space(restorer: Restorer, settings: AdaptSettings, levels: float) -> NoiseSpace:
    denoiser = Denoiser(_predictor(settings, conditions=2 if settings.objective.conditions == "both" else 1))
    return NoiseSpace(restorer, denoiser, settings.objective, reference=settings.reference is not None)


def _neighbor2neighbor(restorer: Restorer, settings: AdaptSettings, levels: float) -> Objective[Any]:
    own = settings.neighbor2neighbor
    return late(own.start if own.synthetic else 0.0, Neighbor2Neighbor(restorer, own))


def _mean_teacher(restorer: Restorer, settings: AdaptSettings, levels: float) -> Objective[Any]:
    own = settings.mean_teacher
    return late(own.start, MeanTeacher(restorer, own))


def _source_free(restorer: Restorer, settings: AdaptSettings, levels: float) -> MeanTeacher:
    return MeanTeacher(restorer, settings.mean_teacher, synthetic=False)


def _blind_spot(restorer: Restorer, settings: AdaptSettings, levels: float) -> BlindSpot:
    wanted = settings.blind_spot
    network = BlindSpotNetwork(channels=settings.restorer.channels, width=wanted.width, blocks=wanted.blocks)
    return BlindSpot(restorer, network, wanted)


def _flat_noise(restorer: Restorer, settings: AdaptSettings, levels: float) -> FlatNoise:
    trained, patch = settings.restorer.origin is not None, settings.training.patch
    return FlatNoise(restorer, settings.flat_noise, patch=patch, trained=trained, levels=levels)


def _sure(restorer: Restorer, settings: AdaptSettings, levels: float) -> Sure:
    trained, patch = settings.restorer.origin is not None, settings.training.patch
    return Sure(restorer, settings.sure, patch=patch, trained=trained, levels=levels)


def _score(restorer: Restorer, settings: AdaptSettings, levels: float) -> Score:
    return Score(restorer, Denoiser(_predictor(settings, conditions=0)), settings.score)


def _mmd(restorer: Restorer, settings: AdaptSettings, levels: float) -> Alignment:
    own = settings.alignment
    distance = functools.partial(mmd, kernels=own.kernels)
    return Alignment(restorer, distance, weight=own.mmd, steepness=own.ramp, grid=own.grid)


def _coral(restorer: Restorer, settings: AdaptSettings, levels: float) -> Alignment:
    own = settings.alignment
    return Alignment(restorer, coral, weight=own.coral, steepness=own.ramp, grid=own.grid)


STRATEGIES: dict[str, Builder] = {
    "synthetic": _synthetic,
    "noise-space": _noise_space,
    "neighbor2neighbor": _neighbor2neighbor,
    "mean-teacher": _mean_teacher,
    "source-free": _source_free,
    "blind-spot": _blind_spot,
    "transplant": lambda restorer, settings, _: Transplant(restorer, settings.transplant),
    "flat-noise": _flat_noise,
    "sure": _sure,
    "score": _score,
    "mmd": _mmd,
    "coral": _coral,
    "dann": lambda restorer, settings, _: Dann(restorer, settings.dann),
    "dsn": lambda restorer, settings, _: DomainSeparation(restorer, settings.dsn),
    "pixelda": lambda restorer, settings, _: PixelAdaptation(restorer, settings.pixelda),
    "cycada": lambda restorer, settings, _: CycleAdaptation(restorer, settings.cycada),
    "critic": lambda restorer, settings, _: Critic(restorer, settings.critic),
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
    parts: dict[str, Objective[Any]] = {name: STRATEGIES[name](restorer, settings, levels) for name in names}
    return Combined(parts) if len(parts) > 1 else parts[settings.strategy]


def late(start: float, objective: Objective[Any]) -> Objective[Any]:
    """Synthetic pairs alone for a share of the run, then an objective."""
    return Stages([(0.0, SyntheticOnly(objective.restorer)), (start, objective)]) if start > 0 else objective


def _predictor(settings: AdaptSettings, *, conditions: int) -> NoisePredictor:
    """A noise predictor that looks at a number of images beside the one that is noised."""
    wanted = dataclasses.asdict(settings.predictor)
    return NoisePredictor(channels=settings.restorer.channels, conditions=conditions, **wanted)
