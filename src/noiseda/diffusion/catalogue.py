"""Every noise predictor of this package by name: how it is built from the settings of a run."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from noiseda.diffusion.pixelwise import PixelPredictor
from noiseda.diffusion.predictor import NoisePredictor
from noiseda.diffusion.transformer import TransformerPredictor
from noiseda.diffusion_settings import PredictorKind, PredictorSettings

Builder = Callable[[PredictorSettings, int, int, int], nn.Module]
"""Settings, channels of a signal, number of conditions, spatial dimensions -> a noise predictor."""


def _unet(settings: PredictorSettings, channels: int, conditions: int, dims: int) -> NoisePredictor:
    return NoisePredictor(
        channels=channels,
        conditions=conditions,
        width=settings.width,
        channel_mults=tuple(settings.channel_mults),
        blocks=settings.blocks,
        patch_size=settings.patch_size,
        attention=settings.attention,
        dropout=settings.dropout,
        dims=dims,
        condition_by=settings.condition_by,
        attention_levels=settings.attention_levels,
    )


def _transformer(settings: PredictorSettings, channels: int, conditions: int, dims: int) -> TransformerPredictor:
    return TransformerPredictor(
        channels=channels,
        conditions=conditions,
        width=settings.width,
        blocks=settings.blocks,
        patch_size=settings.patch_size,
        dropout=settings.dropout,
        dims=dims,
        condition_by=settings.condition_by,
    )


def _pixel(settings: PredictorSettings, channels: int, conditions: int, dims: int) -> PixelPredictor:
    return PixelPredictor(
        channels=channels,
        conditions=conditions,
        width=settings.width,
        blocks=settings.blocks,
        dropout=settings.dropout,
        dims=dims,
        condition_by=settings.condition_by,
    )


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
