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
    from noiseda.config import AdaptSettings, DegradationSettings, Task, TrainingSettings
    from noiseda.diffusion import Denoiser, NoisePredictor, Schedule
    from noiseda.errors import Interrupted, UserError
    from noiseda.evaluation.report import evaluate
    from noiseda.images import Picture, find_images, from_uint8, to_uint8
    from noiseda.images import read as read_image
    from noiseda.images import write as write_image
    from noiseda.inference import restore
    from noiseda.restoration import UNet, load
    from noiseda.settings_tree import settings_from
    from noiseda.training import adapt

__all__ = [
    "AdaptSettings",
    "DegradationSettings",
    "Denoiser",
    "Interrupted",
    "NoisePredictor",
    "NoiseSpace",
    "Picture",
    "Schedule",
    "Task",
    "TrainingSettings",
    "UNet",
    "UserError",
    "adapt",
    "evaluate",
    "find_images",
    "from_uint8",
    "load",
    "read_image",
    "restore",
    "settings_from",
    "to_uint8",
    "write_image",
]

telemetry.switch_off()  # before anything that has some is imported

# Imported when first asked for: who restores needs nothing of what trains.
_HOMES = {
    "AdaptSettings": ("noiseda.config", "AdaptSettings"),
    "DegradationSettings": ("noiseda.config", "DegradationSettings"),
    "Denoiser": ("noiseda.diffusion", "Denoiser"),
    "Interrupted": ("noiseda.errors", "Interrupted"),
    "NoisePredictor": ("noiseda.diffusion", "NoisePredictor"),
    "NoiseSpace": ("noiseda.adaptation", "NoiseSpace"),
    "Picture": ("noiseda.images", "Picture"),
    "Schedule": ("noiseda.diffusion", "Schedule"),
    "Task": ("noiseda.config", "Task"),
    "TrainingSettings": ("noiseda.config", "TrainingSettings"),
    "UNet": ("noiseda.restoration", "UNet"),
    "UserError": ("noiseda.errors", "UserError"),
    "adapt": ("noiseda.training", "adapt"),
    "evaluate": ("noiseda.evaluation.report", "evaluate"),
    "find_images": ("noiseda.images", "find_images"),
    "from_uint8": ("noiseda.images", "from_uint8"),
    "load": ("noiseda.restoration", "load"),
    "read_image": ("noiseda.images", "read"),
    "restore": ("noiseda.inference", "restore"),
    "settings_from": ("noiseda.settings_tree", "settings_from"),
    "to_uint8": ("noiseda.images", "to_uint8"),
    "write_image": ("noiseda.images", "write"),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'noiseda' has no attribute {name!r}")
    module, original = _HOMES[name]
    return getattr(import_module(module), original)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
