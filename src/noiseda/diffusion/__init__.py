"""Noise, not domains: the schedule, the conditional denoiser, the bare noise predictor."""

from noiseda.diffusion.denoiser import Denoiser, add_noise, squared_error
from noiseda.diffusion.predictor import NoisePredictor
from noiseda.diffusion.schedule import Schedule

__all__ = ["Denoiser", "NoisePredictor", "Schedule", "add_noise", "squared_error"]
