"""Noise, not domains: the schedule, the conditional denoiser, the bare noise predictors."""

from noiseda.diffusion.catalogue import build as build_predictor
from noiseda.diffusion.conditioning import (
    Concatenation,
    Conditioning,
    CrossAttention,
    Modulation,
    PredictorLayout,
    Summed,
)
from noiseda.diffusion.denoiser import Denoiser, add_noise, squared_error
from noiseda.diffusion.pixelwise import PixelPredictor
from noiseda.diffusion.prediction import PREDICTIONS, Prediction
from noiseda.diffusion.predictor import NoisePredictor
from noiseda.diffusion.schedule import Schedule
from noiseda.diffusion.transformer import TransformerPredictor

__all__ = [
    "PREDICTIONS",
    "Concatenation",
    "Conditioning",
    "CrossAttention",
    "Denoiser",
    "Modulation",
    "NoisePredictor",
    "PixelPredictor",
    "Prediction",
    "PredictorLayout",
    "Schedule",
    "Summed",
    "TransformerPredictor",
    "add_noise",
    "build_predictor",
    "squared_error",
]
