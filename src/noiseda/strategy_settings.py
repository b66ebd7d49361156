"""Settings of the strategies that stand beside noise-space adaptation: one dataclass each, part of the run's tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GanForm = Literal["least-squares", "hinge", "logistic"]
"""How a discriminator and its opponent are scored (adaptation/adversary.py)."""


@dataclass(frozen=True)
class AlignmentSettings:
    """Strategies mmd and coral: the restorer's features of both domains shall be distributed alike."""

    mmd: float = 0.1
    """Final weight of the distance, with --strategy mmd."""

    coral: float = 0.1
    """Final weight of the distance, with --strategy coral."""

    ramp: float = 10.0
    """Steepness of the weight's rise over the run, as --objective.ramp; 0: constant."""

    grid: int = 4
    """Features are averaged over at most grid x grid cells an image, and each cell's mean is one sample."""

    kernels: int = 5
    """Gaussian kernels of mmd; the width of each is twice that of the one before."""


@dataclass(frozen=True)
class DannSettings:
    """Strategy dann: a classifier tells the domains apart by the restorer's features, which learn to confuse it."""

    weight: float = 0.03
    """Final weight of the reversed gradient (the paper: 1, beside a loss of classification, which is larger)."""

    ramp: float = 10.0
    """Steepness of the weight's rise over the run, as --objective.ramp (the paper: 10); 0: constant."""

    width: int = 64
    """Channels of the domain classifier."""


@dataclass(frozen=True)
class DsnSettings:
    """Strategy dsn: what is particular to a domain goes into an encoder of its own."""

    reconstruction: float = 0.01
    """Weight of the reconstruction of the images from shared and private features."""

    difference: float = 0.05
    """Weight of the overlap between shared and private features."""

    similarity: float = 0.03
    """Final weight of the similarity of the shared features of both domains."""

    by: Literal["classifier", "mmd"] = "classifier"
    """What makes them similar: a domain classifier with a reversed gradient, or their distance as in mmd."""

    ramp: float = 10.0
    """Steepness of the similarity weight's rise over the run, as --objective.ramp; 0: constant."""

    width: int = 32
    """Channels of the private encoders, of the decoder, and of the domain classifier."""

    blocks: int = 2
    """Residual blocks of each of them."""


@dataclass(frozen=True)
class PixeldaSettings:
    """Strategy pixelda: a generator makes synthetic inputs look real, and the restorer learns from those as well."""

    adversarial: float = 1.0
    """Weight, for the generator, of deceiving the discriminator."""

    content: float = 0.1
    """Weight of the generator keeping to the image it was given (pairwise squared error)."""

    form: GanForm = "logistic"
    """Loss of discriminator and generator: least-squares, hinge or logistic (the paper)."""

    noise: int = 1
    """Channels of noise that the generator is given beside the image."""

    width: int = 32
    """Channels of the generator (the paper: 64)."""

    blocks: int = 3
    """Residual blocks of the generator."""

    discriminator: int = 32
    """Channels of the discriminator's first layer."""


@dataclass(frozen=True)
class CycadaSettings:
    """Strategy cycada: generators both ways, which must undo each other, beside the restorer."""

    adversarial: float = 1.0
    """Weight, for the generators, of deceiving the discriminators."""

    cycle: float = 10.0
    """Weight of getting back the image after both generators (CycleGAN: 10)."""

    semantic: float = 1.0
    """Weight of translated images being restored as the images they were made of."""

    feature: float = 0.03
    """Final weight of the reversed gradient of a classifier of domains by the restorer's features; 0: none."""

    ramp: float = 10.0
    """Steepness of that weight's rise over the run, as --objective.ramp; 0: constant."""

    form: GanForm = "least-squares"
    """Loss of discriminators and generators: least-squares (as CycleGAN), hinge or logistic."""

    width: int = 32
    """Channels of each generator, and of the domain classifier."""

    blocks: int = 3
    """Residual blocks of each generator."""

    discriminator: int = 32
    """Channels of the first layer of each discriminator."""


@dataclass(frozen=True)
class CriticSettings:
    """Strategy critic: a discriminator tells restored real images from clean ones; the control without diffusion."""

    weight: float = 0.01
    """Final weight, for the restorer, of deceiving the discriminator."""

    ramp: float = 5.0
    """Steepness of the weight's rise over the run, as --objective.ramp; 0: constant."""

    form: GanForm = "least-squares"
    """Loss of discriminator and restorer: least-squares, hinge or logistic."""

    width: int = 32
    """Channels of the discriminator's first layer."""
