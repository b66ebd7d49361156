"""Photographs for training and testing: degradations of clean ones, folders of pairs, and their check."""

from noiseda.data.batches import DomainBatches, generator
from noiseda.data.degradations import DEGRADATIONS, degradation
from noiseda.data.depth import depth_of
from noiseda.data.folders import paired_folder, spread
from noiseda.data.noise import White
from noiseda.data.rain import Drops

__all__ = [
    "DEGRADATIONS",
    "DomainBatches",
    "Drops",
    "White",
    "degradation",
    "depth_of",
    "generator",
    "paired_folder",
    "spread",
]
