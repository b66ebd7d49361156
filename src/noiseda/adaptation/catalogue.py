"""Every strategy by name: how it is built around a restorer from the settings of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from noiseda.adaptation.hybrid import Hybrid
from noiseda.adaptation.noise_space import NoiseSpace
from noiseda.adaptation.strategy import Strategy
from noiseda.adaptation.synthetic import SyntheticOnly
from noiseda.config import AdaptSettings, StrategyName
from noiseda.diffusion import Denoiser, NoisePredictor
from noiseda.restoration import Restorer

Builder = Callable[[Restorer, AdaptSettings], Strategy[Any]]


def _synthetic(restorer: Restorer, settings: AdaptSettings) -> SyntheticOnly:
    return SyntheticOnly(restorer)


def _noise_space(restorer: Restorer, settings: AdaptSettings) -> NoiseSpace:
    wanted = dataclasses.asdict(settings.predictor)
    channels = settings.restorer.channels
    images = 3 if settings.objective.conditions == "both" else 2
    predictor = NoisePredictor(inward=images * channels, outward=channels, **wanted)
    return NoiseSpace(restorer, Denoiser(predictor), settings.objective, reference=settings.reference is not None)


STRATEGIES: dict[StrategyName, Builder] = {
    "synthetic": _synthetic,
    "noise-space": _noise_space,
}


def build(restorer: Restorer, settings: AdaptSettings) -> Strategy[Any]:
    """The strategy that ``--strategy`` and ``--also`` ask for.

    Its own networks draw their weights from torch's global generator.
    """
    names = (settings.strategy, *settings.also)
    parts: dict[str, Strategy[Any]] = {name: STRATEGIES[name](restorer, settings) for name in names}
    return Hybrid(parts) if len(parts) > 1 else parts[settings.strategy]
