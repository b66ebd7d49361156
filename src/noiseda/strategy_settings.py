"""Settings of the strategies that stand beside noise-space adaptation: one dataclass each, part of the run's tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Neighbor2NeighborSettings:
    """Neighbor2Neighbor: L = L_res + weight * (L_neighbor + consistency * L_consistency) (arXiv 2101.02824)."""

    weight: float = 10.0
    """Weight of the real images' terms, which are squared errors, beside the Charbonnier error of synthetic pairs."""

    consistency: float = 2.0
    """Weight of the regulariser relative to the error between neighbours (the paper: 2 for added noise, 16 for raw
    photographs)."""

    synthetic: bool = True
    """Learn from synthetic pairs too; without, from the real images alone, as in the paper."""


@dataclass(frozen=True)
class MeanTeacherSettings:
    """Mean teacher (mean-teacher), also without synthetic pairs (source-free): L = L_res + weight(p) * L_teacher."""

    weight: float = 1.0
    """Final weight of the error against the teacher's labels; without synthetic pairs it is 1 throughout."""

    ramp: float = 5.0
    """Steepness of the weight's ramp, as for --objective.ramp; 0 turns it off."""

    decay: float = 0.999
    """Decay of the moving average that is the teacher."""

    sigma: float = 10.0
    """Highest standard deviation of the noise added to what the student sees, in 1/255; drawn from 0 up to it."""

    views: Literal[1, 2, 4, 8] = 1
    """Flips and rotations of each image over which the teacher averages; each costs a forward pass."""


@dataclass(frozen=True)
class BlindSpotSettings:
    """Blind-spot self-supervision, distilled: L = L_res + L_blind + weight(p) * L_distilled (arXiv 2203.11799)."""

    width: int = 32
    """Channels of the blind-spot network (the paper: 128)."""

    blocks: int = 3
    """Residual blocks in each of its two branches (the paper: 9)."""

    train_stride: int = 5
    """Stride of the pixel shuffle under which it is trained: as far as noise is correlated (the paper: 5)."""

    test_stride: int = 2
    """Stride of the pixel shuffle under which it makes the restorer's labels (the paper: 2)."""

    refinements: int = 0
    """Random replacements whose results are averaged into a label; each costs a forward pass (the paper: 8)."""

    start: float = 0.15
    """Share of the run in which the blind-spot network learns alone, before the restorer learns from it."""

    weight: float = 1.0
    """Final weight of the restorer's error against the labels."""

    ramp: float = 5.0
    """Steepness of the weight's ramp after the start, as for --objective.ramp; 0 turns it off."""

    synthetic: bool = True
    """Learn from synthetic pairs too; without, from the real images alone, as in the paper."""


@dataclass(frozen=True)
class TransplantSettings:
    """Noise transplanted from real onto clean images: L = L_res + weight(p) * L_transplant (after arXiv 2111.14358)."""

    weight: float = 1.0
    """Final weight of the pairs with transplanted noise."""

    ramp: float = 5.0
    """Steepness of the weight's ramp, as for --objective.ramp; 0 turns it off."""

    decay: float = 0.999
    """Decay of the moving average that estimates the noise of real images."""

    views: Literal[1, 2, 4, 8] = 1
    """Flips and rotations of each image over which that estimate averages; each costs a forward pass."""

    strength: tuple[float, float] = (0.25, 1.5)
    """Range of factors by which transplanted noise is scaled, one draw an image: more than 1 makes up for noise that
    the estimate left in, less than 1 for detail that it took."""

    bins: int = 16
    """Bins of brightness in which the strength of the noise is measured."""


@dataclass(frozen=True)
class ScoreSettings:
    """Score distillation: L = L_res + L_noise + weight(p) * (L_score + fidelity * L_fidelity) (after arXiv 2305.04391).

    The model of clean images has the sizes of --predictor.
    """

    weight: float = 5.0
    """Final weight of the real images' terms, which are squared errors, beside the Charbonnier error of synthetic
    pairs."""

    ramp: float = 5.0
    """Steepness of the weight's ramp, as for --objective.ramp; 0 turns it off."""

    levels: tuple[int, int] = (1, 100)
    """Lowest and highest diffusion step (of 1..999) that noise levels are drawn from; at 100 the noise has a standard
    deviation of 28/255."""

    fidelity: float = 1.0
    """Weight, relative to the score, of what holds restored real images near their inputs."""

    square: int = 4
    """Side, in pixels, of the squares over which restored and real image are averaged before they are compared."""
