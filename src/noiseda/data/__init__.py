"""Photographs for training and testing: degradations of clean ones, folders of pairs, and their check."""

from noiseda.data.batches import DomainBatches, Images, generator
from noiseda.data.blur import CameraShake, Defocus, FrameAverage
from noiseda.data.camera import Camera, bayer_sites, compress, linear_from_srgb, srgb_from_linear
from noiseda.data.compression import Jpeg
from noiseda.data.degradations import DEGRADATIONS, degradation
from noiseda.data.depth import depth_of
from noiseda.data.folders import paired_folder, spread
from noiseda.data.noise import Shot, White
from noiseda.data.phone import Phone, gaussian
from noiseda.data.pooled import Crops, PooledBatches
from noiseda.data.rain import Drops, Rain, Streaks
from noiseda.data.sampling import integer, log_uniform, uniform

__all__ = [
    "DEGRADATIONS",
    "Camera",
    "CameraShake",
    "Crops",
    "Defocus",
    "DomainBatches",
    "Drops",
    "FrameAverage",
    "Images",
    "Jpeg",
    "Phone",
    "PooledBatches",
    "Rain",
    "Shot",
    "Streaks",
    "White",
    "bayer_sites",
    "compress",
    "degradation",
    "depth_of",
    "gaussian",
    "generator",
    "integer",
    "linear_from_srgb",
    "log_uniform",
    "paired_folder",
    "spread",
    "srgb_from_linear",
    "uniform",
]
