"""Degraded image -> restored image: the contract, the networks, and their files."""

from noiseda.restoration.base import Restorer, pad_to_multiple
from noiseda.restoration.catalogue import build as build_restorer
from noiseda.restoration.chooser import Chooser
from noiseda.restoration.groups import Groups
from noiseda.restoration.introduce import teach_spandrel
from noiseda.restoration.pilots import STRENGTHS, Pilots
from noiseda.restoration.residual_unet import ResidualUNet
from noiseda.restoration.second_look import SecondLook
from noiseda.restoration.unbiased import Unbiased
from noiseda.restoration.unet import UNet
from noiseda.restoration.weights import load, read_metadata, save_weights, task_of

__all__ = [
    "STRENGTHS",
    "Chooser",
    "Groups",
    "Pilots",
    "ResidualUNet",
    "Restorer",
    "SecondLook",
    "UNet",
    "Unbiased",
    "build_restorer",
    "load",
    "pad_to_multiple",
    "read_metadata",
    "save_weights",
    "task_of",
    "teach_spandrel",
]
