"""Every strategy of this package by name: how its objective is built around a restorer from the settings of a run."""

from __future__ import annotations

import functools
from typing import Any

from noiseda import AdaptSettings, Objective, Restorer
from noiseda.adaptation import Builder, build_predictor
from noiseda.diffusion import Denoiser
from noiseda_research.rivals.alignment import Alignment, coral, mmd
from noiseda_research.rivals.blind_network import BlindSpotNetwork
from noiseda_research.rivals.blind_spot import BlindSpot
from noiseda_research.rivals.critic import Critic
from noiseda_research.rivals.cycada import CycleAdaptation
from noiseda_research.rivals.dann import Dann
from noiseda_research.rivals.dsn import DomainSeparation
from noiseda_research.rivals.flat_noise import FlatNoise
from noiseda_research.rivals.pixelda import PixelAdaptation
from noiseda_research.rivals.score import Score
from noiseda_research.rivals.settings import (
    AlignmentSettings,
    BlindSpotSettings,
    CriticSettings,
    CycadaSettings,
    DannSettings,
    DsnSettings,
    FlatNoiseSettings,
    PixeldaSettings,
    ScoreSettings,
    SureSettings,
    TransplantSettings,
)
from noiseda_research.rivals.sure import Sure
from noiseda_research.rivals.transplant import Transplant


def _blind_spot(restorer: Restorer, settings: AdaptSettings, levels: float) -> BlindSpot:
    own = settings.section(BlindSpotSettings)
    network = BlindSpotNetwork(channels=settings.restorer.channels, width=own.width, blocks=own.blocks)
    return BlindSpot(restorer, network, own)


def _flat_noise(restorer: Restorer, settings: AdaptSettings, levels: float) -> FlatNoise:
    trained, patch = settings.restorer.origin is not None, settings.training.side
    return FlatNoise(restorer, settings.section(FlatNoiseSettings), patch=patch, trained=trained, levels=levels)


def _sure(restorer: Restorer, settings: AdaptSettings, levels: float) -> Sure:
    trained, patch = settings.restorer.origin is not None, settings.training.side
    return Sure(restorer, settings.section(SureSettings), patch=patch, trained=trained, levels=levels)


def _score(restorer: Restorer, settings: AdaptSettings, levels: float) -> Score:
    return Score(restorer, Denoiser(build_predictor(settings, conditions=0)), settings.section(ScoreSettings))


def _mmd(restorer: Restorer, settings: AdaptSettings, levels: float) -> Alignment:
    own = settings.section(AlignmentSettings)
    distance = functools.partial(mmd, kernels=own.kernels)
    return Alignment(restorer, distance, weight=own.mmd, steepness=own.ramp, grid=own.grid)


def _coral(restorer: Restorer, settings: AdaptSettings, levels: float) -> Alignment:
    own = settings.section(AlignmentSettings)
    return Alignment(restorer, coral, weight=own.coral, steepness=own.ramp, grid=own.grid)


def _plain(objective: type[Any], section: type[Any]) -> Builder:
    """What builds an objective that needs its own settings alone."""

    def build(restorer: Restorer, settings: AdaptSettings, levels: float) -> Objective[Any]:
        built: Objective[Any] = objective(restorer, settings.section(section))
        return built

    return build


BUILDERS: dict[str, Builder] = {
    "blind-spot": _blind_spot,
    "transplant": _plain(Transplant, TransplantSettings),
    "flat-noise": _flat_noise,
    "sure": _sure,
    "score": _score,
    "mmd": _mmd,
    "coral": _coral,
    "dann": _plain(Dann, DannSettings),
    "dsn": _plain(DomainSeparation, DsnSettings),
    "pixelda": _plain(PixelAdaptation, PixeldaSettings),
    "cycada": _plain(CycleAdaptation, CycadaSettings),
    "critic": _plain(Critic, CriticSettings),
}
