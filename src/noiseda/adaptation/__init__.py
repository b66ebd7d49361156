"""Objectives: ways of training a restorer. The paper's own, and others, one file each."""

from noiseda.adaptation.catalogue import build
from noiseda.adaptation.combined import Combined
from noiseda.adaptation.mean_teacher import MeanTeacher
from noiseda.adaptation.neighbor2neighbor import Neighbor2Neighbor
from noiseda.adaptation.noise_space import NoiseDraws, NoiseSpace
from noiseda.adaptation.objective import Objective, Sum, Terms, Weights, charbonnier, weigh
from noiseda.adaptation.ramp import ramp
from noiseda.adaptation.stages import Stages
from noiseda.adaptation.synthetic import SyntheticOnly

__all__ = [
    "Combined",
    "MeanTeacher",
    "Neighbor2Neighbor",
    "NoiseDraws",
    "NoiseSpace",
    "Objective",
    "Stages",
    "Sum",
    "SyntheticOnly",
    "Terms",
    "Weights",
    "build",
    "charbonnier",
    "ramp",
    "weigh",
]
