"""Noise, not domains: schedule and levels, the conditional denoiser, the bare noise predictor, the error of both."""

from noiseda.diffusion.bands import BANDS, Bands
from noiseda.diffusion.denoiser import Denoiser, add_noise, squared_error
from noiseda.diffusion.levels import SAMPLERS, LevelSampler
from noiseda.diffusion.prediction import PREDICTIONS, Prediction
from noiseda.diffusion.predictor import NoisePredictor
from noiseda.diffusion.schedule import Schedule
from noiseda.diffusion.weighting import WEIGHTINGS, Weighting

__all__ = [
    "BANDS",
    "PREDICTIONS",
    "SAMPLERS",
    "WEIGHTINGS",
    "Bands",
    "Denoiser",
    "LevelSampler",
    "NoisePredictor",
    "Prediction",
    "Schedule",
    "Weighting",
    "add_noise",
    "squared_error",
]
