"""Every noise predictor of this package by name: how it is built from the settings of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from noiseda.diffusion.pixelwise import PixelPredictor
from noiseda.diffusion.predictor import NoisePredictor
from noiseda.diffusion.transformer import TransformerPredictor
from noiseda.diffusion_settings import PredictorKind, PredictorSettings

Builder = Callable[[PredictorSettings, int, int, int], nn.Module]
"""Settings, channels of a signal, number of conditions, spatial dimensions -> a noise predictor."""


def _unet(settings: PredictorSettings, channels: int, conditions: int, dims: int) -> NoisePredictor:
    return NoisePredictor(
        **_shared(settings, channels, conditions, dims),
        patch_size=settings.patch_size,
        channel_mults=tuple(settings.channel_mults),
        attention=settings.attention,
        attention_levels=settings.attention_levels,
    )


def _transformer(settings: PredictorSettings, channels: int, conditions: int, dims: int) -> TransformerPredictor:
    return TransformerPredictor(**_shared(settings, channels, conditions, dims), patch_size=settings.patch_size)


def _pixel(settings: PredictorSettings, channels: int, conditions: int, dims: int) -> PixelPredictor:
    return PixelPredictor(**_shared(settings, channels, conditions, dims))


def _shared(settings: PredictorSettings, channels: int, conditions: int, dims: int) -> dict[str, Any]:
    """What every kind takes."""
    own = {name: getattr(settings, name) for name in ("width", "blocks", "dropout", "condition_by")}
    return {"channels": channels, "conditions": conditions, "dims": dims, **own}


PREDICTORS: dict[PredictorKind, Builder] = {"unet": _unet, "transformer": _transformer, "pixel": _pixel}


def build(settings: PredictorSettings, *, channels: int = 3, conditions: int = 2, dims: int = 2) -> nn.Module:
    """The noise predictor that ``--predictor.kind`` asks for, with weights from torch's global generator.

    >>> from noiseda.diffusion_settings import PredictorSettings
    >>> type(build(PredictorSettings(kind="pixel"), channels=1)).__name__
    'PixelPredictor'

    Args:
        settings: its own.
        channels: of a signal.
        conditions: how many signals it looks at beside the one that is noised.
        dims: spatial dimensions of a signal.
    """
    return PREDICTORS[settings.kind](settings, channels, conditions, dims)
