"""Objectives: ways of training a restorer, one file each."""

from noiseda.adaptation.catalogue import Builder, build, build_predictor
from noiseda.adaptation.combined import Combined
from noiseda.adaptation.mean_teacher import MeanTeacher
from noiseda.adaptation.neighbor2neighbor import Neighbor2Neighbor
from noiseda.adaptation.noise_space import NoiseDraws, NoiseSpace
from noiseda.adaptation.objective import Objective, Sum, Terms, Weights, charbonnier, detached, weigh
from noiseda.adaptation.permutation import shuffle
from noiseda.adaptation.pseudo_targets import PseudoTargets
from noiseda.adaptation.ramp import ramp
from noiseda.adaptation.redegradation import Redegradation
from noiseda.adaptation.score_distillation import ScoreDistillation
from noiseda.adaptation.stages import Stages
from noiseda.adaptation.synthetic import SyntheticOnly
from noiseda.adaptation.teacher import Teacher

__all__ = [
    "Builder",
    "Combined",
    "MeanTeacher",
    "Neighbor2Neighbor",
    "NoiseDraws",
    "NoiseSpace",
    "Objective",
    "PseudoTargets",
    "Redegradation",
    "ScoreDistillation",
    "Stages",
    "Sum",
    "SyntheticOnly",
    "Teacher",
    "Terms",
    "Weights",
    "build",
    "build_predictor",
    "charbonnier",
    "detached",
    "ramp",
    "shuffle",
    "weigh",
]
