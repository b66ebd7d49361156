"""noiseda: adapt an image-restoration network to your own photographs, without ground truth.

>>> import noiseda
>>> settings = noiseda.AdaptSettings(task="denoise", clean="clean", real="photos")  # doctest: +SKIP
>>> summary = noiseda.adapt(settings)  # doctest: +SKIP
>>> model = noiseda.load(summary.weights)  # doctest: +SKIP
>>> restored = noiseda.restore(model, image)  # (3, H, W) in [0, 1] -> the same  # doctest: +SKIP
"""

from noiseda.adaptation import NoiseSpace
from noiseda.config import AdaptSettings
from noiseda.diffusion import Denoiser, NoisePredictor, Schedule
from noiseda.evaluation.report import evaluate
from noiseda.inference import restore_tensor as restore
from noiseda.restoration import UNet, load
from noiseda.training import adapt

__all__ = [
    "AdaptSettings",
    "Denoiser",
    "NoisePredictor",
    "NoiseSpace",
    "Schedule",
    "UNet",
    "adapt",
    "evaluate",
    "load",
    "restore",
]
