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
    from noiseda.adaptation import (
        Combined,
        MeanTeacher,
        Neighbor2Neighbor,
        NoiseSpace,
        Objective,
        PseudoTargets,
        Redegradation,
        ScoreDistillation,
        Stages,
        Sum,
        SyntheticOnly,
        Terms,
        Weights,
        charbonnier,
    )
    from noiseda.adaptation.ramp import ramp
    from noiseda.config import (
        AdaptSettings,
        DegradationSettings,
        PredictorSettings,
        RestorerSettings,
        Task,
        TrainingSettings,
    )
    from noiseda.config import ObjectiveSettings as NoiseSpaceSettings
    from noiseda.data.batches import Batch, Batches, Domains
    from noiseda.data.degradations import Degradation
    from noiseda.data.drawn import Sample
    from noiseda.data.photographs import photographs
    from noiseda.data.signals import Signals
    from noiseda.diffusion import (
        Concatenation,
        Conditioning,
        CrossAttention,
        Denoiser,
        DiffusersPredictor,
        Modulation,
        NoisePredictor,
        PixelPredictor,
        PredictorLayout,
        Schedule,
        Summed,
        TransformerPredictor,
        build_predictor,
        load_diffusers,
    )
    from noiseda.errors import Interrupted, UserError
    from noiseda.evaluation.report import evaluate
    from noiseda.images import Picture, find_images, from_uint8, to_uint8
    from noiseda.images import read as read_image
    from noiseda.images import write as write_image
    from noiseda.inference import restore, restore_files
    from noiseda.inference.signals import restore_signals
    from noiseda.modalities import Modality, Signal
    from noiseda.restoration import Restorer, UNet, load, save_weights
    from noiseda.settings_tree import settings_from
    from noiseda.strategies import (
        MeanTeacherSettings,
        Neighbor2NeighborSettings,
        PseudoTargetsSettings,
        RedegradationSettings,
        ScoreDistillationSettings,
    )
    from noiseda.training import Plan, Summary, adapt, fit, resolve

__all__ = [
    "AdaptSettings",
    "Batch",
    "Batches",
    "Combined",
    "Concatenation",
    "Conditioning",
    "CrossAttention",
    "Degradation",
    "DegradationSettings",
    "Denoiser",
    "DiffusersPredictor",
    "Domains",
    "Interrupted",
    "MeanTeacher",
    "MeanTeacherSettings",
    "Modality",
    "Modulation",
    "Neighbor2Neighbor",
    "Neighbor2NeighborSettings",
    "NoisePredictor",
    "NoiseSpace",
    "NoiseSpaceSettings",
    "Objective",
    "Picture",
    "PixelPredictor",
    "Plan",
    "PredictorLayout",
    "PredictorSettings",
    "PseudoTargets",
    "PseudoTargetsSettings",
    "Redegradation",
    "RedegradationSettings",
    "Restorer",
    "RestorerSettings",
    "Sample",
    "Schedule",
    "ScoreDistillation",
    "ScoreDistillationSettings",
    "Signal",
    "Signals",
    "Stages",
    "Sum",
    "Summary",
    "Summed",
    "SyntheticOnly",
    "Task",
    "Terms",
    "TrainingSettings",
    "TransformerPredictor",
    "UNet",
    "UserError",
    "Weights",
    "adapt",
    "build_predictor",
    "charbonnier",
    "evaluate",
    "find_images",
    "fit",
    "from_uint8",
    "load",
    "load_diffusers",
    "photographs",
    "ramp",
    "read_image",
    "resolve",
    "restore",
    "restore_files",
    "restore_signals",
    "save_weights",
    "settings_from",
    "to_uint8",
    "write_image",
]

telemetry.switch_off()  # before anything that has some is imported

# Imported when first asked for: who restores needs nothing of what trains.
_HOMES = {
    "AdaptSettings": ("noiseda.config", "AdaptSettings"),
    "Batch": ("noiseda.data.batches", "Batch"),
    "Batches": ("noiseda.data.batches", "Batches"),
    "Combined": ("noiseda.adaptation", "Combined"),
    "Concatenation": ("noiseda.diffusion", "Concatenation"),
    "Conditioning": ("noiseda.diffusion", "Conditioning"),
    "CrossAttention": ("noiseda.diffusion", "CrossAttention"),
    "Degradation": ("noiseda.data.degradations", "Degradation"),
    "DegradationSettings": ("noiseda.config", "DegradationSettings"),
    "Denoiser": ("noiseda.diffusion", "Denoiser"),
    "DiffusersPredictor": ("noiseda.diffusion", "DiffusersPredictor"),
    "Domains": ("noiseda.data.batches", "Domains"),
    "Interrupted": ("noiseda.errors", "Interrupted"),
    "MeanTeacher": ("noiseda.adaptation", "MeanTeacher"),
    "MeanTeacherSettings": ("noiseda.strategies", "MeanTeacherSettings"),
    "Modality": ("noiseda.modalities", "Modality"),
    "Modulation": ("noiseda.diffusion", "Modulation"),
    "Neighbor2Neighbor": ("noiseda.adaptation", "Neighbor2Neighbor"),
    "Neighbor2NeighborSettings": ("noiseda.strategies", "Neighbor2NeighborSettings"),
    "NoisePredictor": ("noiseda.diffusion", "NoisePredictor"),
    "NoiseSpace": ("noiseda.adaptation", "NoiseSpace"),
    "NoiseSpaceSettings": ("noiseda.config", "ObjectiveSettings"),
    "Objective": ("noiseda.adaptation", "Objective"),
    "Picture": ("noiseda.images", "Picture"),
    "PixelPredictor": ("noiseda.diffusion", "PixelPredictor"),
    "Plan": ("noiseda.training", "Plan"),
    "PredictorLayout": ("noiseda.diffusion", "PredictorLayout"),
    "PredictorSettings": ("noiseda.config", "PredictorSettings"),
    "PseudoTargets": ("noiseda.adaptation", "PseudoTargets"),
    "PseudoTargetsSettings": ("noiseda.strategies", "PseudoTargetsSettings"),
    "Redegradation": ("noiseda.adaptation", "Redegradation"),
    "RedegradationSettings": ("noiseda.strategies", "RedegradationSettings"),
    "Restorer": ("noiseda.restoration", "Restorer"),
    "RestorerSettings": ("noiseda.config", "RestorerSettings"),
    "Sample": ("noiseda.data.drawn", "Sample"),
    "Schedule": ("noiseda.diffusion", "Schedule"),
    "ScoreDistillation": ("noiseda.adaptation", "ScoreDistillation"),
    "ScoreDistillationSettings": ("noiseda.strategies", "ScoreDistillationSettings"),
    "Signal": ("noiseda.modalities", "Signal"),
    "Signals": ("noiseda.data.signals", "Signals"),
    "Stages": ("noiseda.adaptation", "Stages"),
    "Sum": ("noiseda.adaptation", "Sum"),
    "Summary": ("noiseda.training", "Summary"),
    "Summed": ("noiseda.diffusion", "Summed"),
    "SyntheticOnly": ("noiseda.adaptation", "SyntheticOnly"),
    "Task": ("noiseda.config", "Task"),
    "Terms": ("noiseda.adaptation", "Terms"),
    "TrainingSettings": ("noiseda.config", "TrainingSettings"),
    "TransformerPredictor": ("noiseda.diffusion", "TransformerPredictor"),
    "UNet": ("noiseda.restoration", "UNet"),
    "UserError": ("noiseda.errors", "UserError"),
    "Weights": ("noiseda.adaptation", "Weights"),
    "adapt": ("noiseda.training", "adapt"),
    "build_predictor": ("noiseda.diffusion", "build_predictor"),
    "charbonnier": ("noiseda.adaptation", "charbonnier"),
    "evaluate": ("noiseda.evaluation.report", "evaluate"),
    "find_images": ("noiseda.images", "find_images"),
    "fit": ("noiseda.training", "fit"),
    "from_uint8": ("noiseda.images", "from_uint8"),
    "load": ("noiseda.restoration", "load"),
    "load_diffusers": ("noiseda.diffusion", "load_diffusers"),
    "photographs": ("noiseda.data.photographs", "photographs"),
    "ramp": ("noiseda.adaptation.ramp", "ramp"),
    "read_image": ("noiseda.images", "read"),
    "resolve": ("noiseda.training", "resolve"),
    "restore": ("noiseda.inference", "restore"),
    "restore_files": ("noiseda.inference", "restore_files"),
    "restore_signals": ("noiseda.inference.signals", "restore_signals"),
    "save_weights": ("noiseda.restoration", "save_weights"),
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
