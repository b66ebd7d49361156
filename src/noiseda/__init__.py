"""noiseda: adapt an image-restoration network to your own photographs, without ground truth.

>>> import noiseda
>>> settings = noiseda.AdaptSettings(task="denoise", clean="clean", real="photos")  # doctest: +SKIP
>>> summary = noiseda.adapt(settings)  # doctest: +SKIP
>>> model = noiseda.load(summary.weights)  # doctest: +SKIP
>>> restored = noiseda.restore(model, image)  # (3, H, W) in [0, 1], or an array  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING

from noiseda import telemetry

if TYPE_CHECKING:
    from noiseda.adaptation import NoiseSpace
    from noiseda.config import AdaptSettings
    from noiseda.diffusion import Denoiser, NoisePredictor, Schedule
    from noiseda.evaluation.report import evaluate
    from noiseda.inference import restore
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

telemetry.switch_off()  # before anything that has some is imported

# Imported when first asked for: who restores needs nothing of what trains.
_HOMES = {
    "AdaptSettings": ("noiseda.config", "AdaptSettings"),
    "Denoiser": ("noiseda.diffusion", "Denoiser"),
    "NoisePredictor": ("noiseda.diffusion", "NoisePredictor"),
    "NoiseSpace": ("noiseda.adaptation", "NoiseSpace"),
    "Schedule": ("noiseda.diffusion", "Schedule"),
    "UNet": ("noiseda.restoration", "UNet"),
    "adapt": ("noiseda.training", "adapt"),
    "evaluate": ("noiseda.evaluation.report", "evaluate"),
    "load": ("noiseda.restoration", "load"),
    "restore": ("noiseda.inference", "restore"),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'noiseda' has no attribute {name!r}")
    module, original = _HOMES[name]
    return getattr(import_module(module), original)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
