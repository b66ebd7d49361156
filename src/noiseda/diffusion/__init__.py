"""Noise, not domains: the schedule, the conditional denoiser, the bare noise predictor."""

from noiseda.diffusion.denoiser import Denoiser, add_noise, squared_error
from noiseda.diffusion.prediction import PREDICTIONS, Prediction
from noiseda.diffusion.predictor import NoisePredictor
from noiseda.diffusion.schedule import Schedule

__all__ = [
    "PREDICTIONS",
    "Denoiser",
    "NoisePredictor",
    "Prediction",
    "Schedule",
    "add_noise",
    "squared_error",
]
