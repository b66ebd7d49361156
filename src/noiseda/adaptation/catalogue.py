"""Every strategy by name: how it is built around a restorer from the settings of a run."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from noiseda.adaptation.alignment import Alignment, coral, mmd
from noiseda.adaptation.blind_network import BlindSpotNetwork
from noiseda.adaptation.blind_spot import BlindSpot
from noiseda.adaptation.critic import Critic
from noiseda.adaptation.cycada import CycleAdaptation
from noiseda.adaptation.dann import Dann
from noiseda.adaptation.dsn import DomainSeparation
from noiseda.adaptation.flat_noise import FlatNoise
from noiseda.adaptation.hybrid import Hybrid
from noiseda.adaptation.mean_teacher import MeanTeacher
from noiseda.adaptation.neighbor2neighbor import Neighbor2Neighbor
from noiseda.adaptation.noise_space import NoiseSpace
from noiseda.adaptation.pixelda import PixelAdaptation
from noiseda.adaptation.score import Prior, Score
from noiseda.adaptation.strategy import Strategy
from noiseda.adaptation.sure import Sure
from noiseda.adaptation.synthetic import SyntheticOnly
from noiseda.adaptation.transplant import Transplant
from noiseda.config import AdaptSettings
from noiseda.diffusion import Denoiser, NoisePredictor
from noiseda.restoration import Restorer

Builder = Callable[[Restorer, AdaptSettings], Strategy[Any]]


def _synthetic(restorer: Restorer, settings: AdaptSettings) -> SyntheticOnly:
    return SyntheticOnly(restorer)


def _noise_space(restorer: Restorer, settings: AdaptSettings) -> NoiseSpace:
    denoiser = Denoiser(_predictor(settings, images=3 if settings.objective.conditions == "both" else 2))
    return NoiseSpace(restorer, denoiser, settings.objective, reference=settings.reference is not None)


def _blind_spot(restorer: Restorer, settings: AdaptSettings) -> BlindSpot:
    wanted = settings.blind_spot
    network = BlindSpotNetwork(channels=settings.restorer.channels, width=wanted.width, blocks=wanted.blocks)
    return BlindSpot(restorer, network, wanted)


def _flat_noise(restorer: Restorer, settings: AdaptSettings) -> FlatNoise:
    trained = settings.restorer.origin is not None
    return FlatNoise(restorer, settings.flat_noise, patch=settings.training.patch, trained=trained)


def _sure(restorer: Restorer, settings: AdaptSettings) -> Sure:
    trained = settings.restorer.origin is not None
    return Sure(restorer, settings.sure, patch=settings.training.patch, trained=trained)


def _score(restorer: Restorer, settings: AdaptSettings) -> Score:
    return Score(restorer, Prior(_predictor(settings, images=1)), settings.score)


def _predictor(settings: AdaptSettings, *, images: int) -> NoisePredictor:
    """A noise predictor that looks at a number of images, of which the first is noised."""
    wanted = dataclasses.asdict(settings.predictor)
    channels = settings.restorer.channels
    return NoisePredictor(inward=images * channels, outward=channels, **wanted)


def _mmd(restorer: Restorer, settings: AdaptSettings) -> Alignment:
    own = settings.alignment
    distance = functools.partial(mmd, kernels=own.kernels)
    return Alignment(restorer, distance, weight=own.mmd, steepness=own.ramp, grid=own.grid)


def _coral(restorer: Restorer, settings: AdaptSettings) -> Alignment:
    own = settings.alignment
    return Alignment(restorer, coral, weight=own.coral, steepness=own.ramp, grid=own.grid)


STRATEGIES: dict[str, Builder] = {
    "synthetic": _synthetic,
    "noise-space": _noise_space,
    "neighbor2neighbor": lambda restorer, settings: Neighbor2Neighbor(restorer, settings.neighbor2neighbor),
    "mean-teacher": lambda restorer, settings: MeanTeacher(restorer, settings.mean_teacher),
    "source-free": lambda restorer, settings: MeanTeacher(restorer, settings.mean_teacher, synthetic=False),
    "blind-spot": _blind_spot,
    "transplant": lambda restorer, settings: Transplant(restorer, settings.transplant),
    "flat-noise": _flat_noise,
    "sure": _sure,
    "score": _score,
    "mmd": _mmd,
    "coral": _coral,
    "dann": lambda restorer, settings: Dann(restorer, settings.dann),
    "dsn": lambda restorer, settings: DomainSeparation(restorer, settings.dsn),
    "pixelda": lambda restorer, settings: PixelAdaptation(restorer, settings.pixelda),
    "cycada": lambda restorer, settings: CycleAdaptation(restorer, settings.cycada),
    "critic": lambda restorer, settings: Critic(restorer, settings.critic),
}


def build(restorer: Restorer, settings: AdaptSettings) -> Strategy[Any]:
    """The strategy that ``--strategy`` and ``--also`` ask for.

    Its own networks draw their weights from torch's global generator.
    """
    names = (settings.strategy, *settings.also)
    parts: dict[str, Strategy[Any]] = {name: STRATEGIES[name](restorer, settings) for name in names}
    return Hybrid(parts) if len(parts) > 1 else parts[settings.strategy]
