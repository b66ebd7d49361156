"""Kinds of signals: one row each. What restores and what trains asks here, and nowhere which kind it has."""

from noiseda.modalities.audio import Audio
from noiseda.modalities.base import Modality, Signal
from noiseda.modalities.image import Images

MODALITIES: dict[str, Modality] = {"image": Images(), "audio": Audio()}
"""Name -> modality."""

__all__ = ["MODALITIES", "Audio", "Images", "Modality", "Signal"]
