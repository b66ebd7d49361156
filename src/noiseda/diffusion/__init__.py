"""Noise, not domains: schedule and levels, the conditional denoiser, bare noise predictors, the error of both."""

from noiseda.diffusion.bands import BANDS, Bands
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
from noiseda.diffusion.from_diffusers import DiffusersPredictor, load_diffusers
from noiseda.diffusion.levels import SAMPLERS, LevelSampler
from noiseda.diffusion.pixelwise import PixelPredictor
from noiseda.diffusion.prediction import PREDICTIONS, Prediction
from noiseda.diffusion.predictor import NoisePredictor
from noiseda.diffusion.schedule import Schedule
from noiseda.diffusion.stored import load_predictor
from noiseda.diffusion.transformer import TransformerPredictor
from noiseda.diffusion.weighting import WEIGHTINGS, Weighting

__all__ = [
    "BANDS",
    "PREDICTIONS",
    "SAMPLERS",
    "WEIGHTINGS",
    "Bands",
    "Concatenation",
    "Conditioning",
    "CrossAttention",
    "Denoiser",
    "DiffusersPredictor",
    "LevelSampler",
    "Modulation",
    "NoisePredictor",
    "PixelPredictor",
    "Prediction",
    "PredictorLayout",
    "Schedule",
    "Summed",
    "TransformerPredictor",
    "Weighting",
    "add_noise",
    "build_predictor",
    "load_diffusers",
    "load_predictor",
    "squared_error",
]
