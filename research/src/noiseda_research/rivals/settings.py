"""The settings of the strategies that this package brings: one dataclass each, a section of those of a run.

``noiseda`` finds them as entry points of ``noiseda.strategies`` (noiseda/extensions.py). Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from noiseda.limits import (
    Factors,
    HalfOfPatch,
    Levels,
    Limits,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ProperShare,
    Share,
)

BUILDERS = "noiseda_research.rivals.catalogue:BUILDERS"
"""Where the table is of what builds their objectives."""


@dataclass(frozen=True)
class BlindSpotSettings:
    """Blind-spot self-supervision, distilled: L = L_res + L_blind + weight(p) * L_distilled (arXiv 2203.11799).

    A network that sees all pixels but the one it predicts learns from the real images alone, and labels them for the
    restorer. The labels are as in AT-BSN (arXiv 2303.16783).
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("blind-spot",)
    BUILDERS: ClassVar[str] = BUILDERS

    width: PositiveInt = 32
    """Channels of the blind-spot network (the paper: 128)."""

    blocks: NonNegativeInt = 3
    """Residual blocks in each of its two branches (the paper: 9)."""

    train_stride: HalfOfPatch = 5
    """Stride of the pixel shuffle under which it is trained: as far as noise is correlated (the paper: 5)."""

    test_stride: HalfOfPatch = 2
    """Stride of the pixel shuffle under which it makes the restorer's labels (the paper: 2)."""

    refinements: NonNegativeInt = 0
    """Random replacements whose results are averaged into a label; each costs a forward pass (the paper: 8)."""

    start: Share = 0.15
    """Share of the run in which the blind-spot network learns alone, before the restorer learns from it."""

    weight: NonNegativeFloat = 1.0
    """Final weight of the restorer's error against the labels."""

    ramp: NonNegativeFloat = 5.0
    """Steepness of the weight's ramp after the start, as for --objective.ramp; 0 turns it off."""

    synthetic: bool = True
    """Learn from synthetic pairs too; without, from the real images alone, as in the paper."""


@dataclass(frozen=True)
class TransplantSettings:
    """Noise transplanted from real onto clean images: L = L_res + weight(p) * L_transplant (after arXiv 2111.14358).

    What a moving average of the restorer removes from real images is taken for their noise.
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("transplant",)
    BUILDERS: ClassVar[str] = BUILDERS

    weight: NonNegativeFloat = 1.0
    """Final weight of the pairs with transplanted noise."""

    ramp: NonNegativeFloat = 5.0
    """Steepness of the weight's ramp, as for --objective.ramp; 0 turns it off."""

    decay: Share = 0.999
    """Decay of the moving average that estimates the noise of real images."""

    views: Literal[1, 2, 4, 8] = 1
    """Flips and rotations of each image over which that estimate averages; each costs a forward pass."""

    strength: Factors = (0.7, 1.5)
    """Range of factors by which transplanted noise is scaled, one draw an image: more than 1 makes up for noise that
    the estimate left in, less than 1 for detail that it took."""

    bins: Annotated[int, Limits(least=2)] = 16
    """Bins of brightness in which the strength of the noise is measured."""


@dataclass(frozen=True)
class FlatNoiseSettings:
    """Noise of flat patches on clean images: L = L_res + weight(p) * L_flat (after GCBD, CVPR 2018).

    It is cut from the flattest patches of real images. The generator of GCBD is left out.
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("flat-noise",)
    BUILDERS: ClassVar[str] = BUILDERS

    weight: NonNegativeFloat = 1.0
    """Final weight of the pairs with noise of flat patches."""

    ramp: NonNegativeFloat = 0.0
    """Steepness of the weight's ramp, as for --objective.ramp; 0 turns it off."""

    flat: ProperShare = 0.05
    """Share of the real patches, the flattest relative to their noise, from which noise is cut."""

    strength: Factors = (0.8, 1.3)
    """Range of factors by which the noise is scaled, one draw an image."""

    phase: Literal["kept", "random"] = "kept"
    """Noise put on as it was cut, or with random phases: of the same spectrum, but without a shape, and never twice."""

    everywhere: bool = False
    """Make the noise as strong as the restorer finds it on all real patches; otherwise as strong as on flat ones."""

    start: Share = 0.25
    """With everywhere: share of the run after which the restorer that finds it no longer learns; 0 with
    --restorer.start."""


@dataclass(frozen=True)
class SureSettings:
    """Stein's unbiased risk estimate on real images: L = L_res + weight(q) * L_risk (Soltanayev and Chun 2018).

    The squared error on a real image is estimated without its truth, by noise like its own (Ramani et al. 2008).
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("sure",)
    BUILDERS: ClassVar[str] = BUILDERS
    LOWERS_RISK: ClassVar[bool] = True

    weight: NonNegativeFloat = 1.0
    """Final weight of the risk, which is a squared error divided by the standard deviation of the noise."""

    ramp: NonNegativeFloat = 5.0
    """Steepness of the weight's ramp, as for --objective.ramp; 0 turns it off."""

    flat: ProperShare = 0.05
    """Share of the real patches, the flattest relative to their noise, that show what noise is."""

    start: Share = 0.25
    """Share of the run in which the restorer learns from synthetic pairs alone, so that it can estimate how strong real
    noise is when it ends; none with --restorer.start, which can."""

    step: PositiveFloat = 0.2
    """How much more noise real images are probed with, as a share of what they have; the estimate is exact for small
    steps, whose effect must not drown in rounding (bf16)."""


@dataclass(frozen=True)
class ScoreSettings:
    """Score distillation: L = L_res + L_noise + weight(p) * (L_score + fidelity * L_fidelity) (after arXiv 2305.04391).

    A noise predictor of clean images, of the sizes of --predictor, finds what restored real images are pulled to.
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("score",)
    BUILDERS: ClassVar[str] = BUILDERS
    READS: ClassVar[tuple[str, ...]] = ("predictor",)

    weight: NonNegativeFloat = 5.0
    """Final weight of the real images' terms, which are squared errors, beside the Charbonnier error of synthetic
    pairs."""

    ramp: NonNegativeFloat = 5.0
    """Steepness of the weight's ramp, as for --objective.ramp; 0 turns it off."""

    levels: Levels = (1, 100)
    """Lowest and highest diffusion step (of 1..999) that noise levels are drawn from; at 100 the noise has a standard
    deviation of 28/255."""

    fidelity: NonNegativeFloat = 1.0
    """Weight, relative to the score, of what holds restored real images near their inputs."""

    square: HalfOfPatch = 4
    """Side, in pixels, of the squares over which restored and real image are averaged before they are compared."""


GanForm = Literal["least-squares", "hinge", "logistic"]
"""How a discriminator and its opponent are scored (adaptation/adversary.py)."""


@dataclass(frozen=True)
class AlignmentSettings:
    """Strategies mmd and coral: the restorer's features of both domains shall be distributed alike.

    mmd: distance under Gaussian kernels (arXiv 1502.02791); coral: distance of covariances (arXiv 1607.01719).
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("mmd", "coral")
    BUILDERS: ClassVar[str] = BUILDERS

    mmd: NonNegativeFloat = 0.1
    """Final weight of the distance, with --strategy mmd."""

    coral: NonNegativeFloat = 0.1
    """Final weight of the distance, with --strategy coral."""

    ramp: NonNegativeFloat = 10.0
    """Steepness of the weight's rise over the run, as --objective.ramp; 0: constant."""

    grid: PositiveInt = 4
    """Features are averaged over at most grid x grid cells an image, and each cell's mean is one sample."""

    kernels: PositiveInt = 5
    """Gaussian kernels of mmd; the width of each is twice that of the one before."""


@dataclass(frozen=True)
class DannSettings:
    """Strategy dann: a classifier separates the domains by the restorer's features, which learn to confuse it.

    After Ganin and Lempitsky, ICML 2015 (arXiv 1409.7495).
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("dann",)
    BUILDERS: ClassVar[str] = BUILDERS
    SHARDS: ClassVar[bool] = False

    weight: NonNegativeFloat = 0.03
    """Final weight of the reversed gradient (the paper: 1, beside a loss of classification, which is larger)."""

    ramp: NonNegativeFloat = 10.0
    """Steepness of the weight's rise over the run, as --objective.ramp (the paper: 10); 0: constant."""

    width: PositiveInt = 64
    """Channels of the domain classifier."""


@dataclass(frozen=True)
class DsnSettings:
    """Strategy dsn: what is particular to a domain goes into an encoder of its own.

    A decoder needs both parts, and the shared one must not show the domain (Bousmalis et al., arXiv 1608.06019).
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("dsn",)
    BUILDERS: ClassVar[str] = BUILDERS
    SHARDS: ClassVar[bool] = False

    reconstruction: NonNegativeFloat = 0.01
    """Weight of the reconstruction of the images from shared and private features."""

    difference: NonNegativeFloat = 0.05
    """Weight of the overlap between shared and private features."""

    similarity: NonNegativeFloat = 0.03
    """Final weight of the similarity of the shared features of both domains."""

    by: Literal["classifier", "mmd"] = "classifier"
    """What makes them similar: a domain classifier with a reversed gradient, or their distance as in mmd."""

    ramp: NonNegativeFloat = 10.0
    """Steepness of the similarity weight's rise over the run, as --objective.ramp; 0: constant."""

    width: PositiveInt = 32
    """Channels of the private encoders, of the decoder, and of the domain classifier."""

    blocks: PositiveInt = 2
    """Residual blocks of each of them."""


@dataclass(frozen=True)
class PixeldaSettings:
    """Strategy pixelda: a generator makes synthetic inputs look real, and the restorer learns from those as well.

    After Bousmalis et al., CVPR 2017 (arXiv 1612.05424).
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("pixelda",)
    BUILDERS: ClassVar[str] = BUILDERS
    SHARDS: ClassVar[bool] = False

    adversarial: NonNegativeFloat = 1.0
    """Weight, for the generator, of deceiving the discriminator."""

    content: NonNegativeFloat = 0.1
    """Weight of the generator keeping to the image it was given (pairwise squared error)."""

    form: GanForm = "logistic"
    """Loss of discriminator and generator: least-squares, hinge or logistic (the paper)."""

    noise: NonNegativeInt = 1
    """Channels of noise that the generator is given beside the image."""

    width: PositiveInt = 32
    """Channels of the generator (the paper: 64)."""

    blocks: PositiveInt = 3
    """Residual blocks of the generator."""

    discriminator: PositiveInt = 32
    """Channels of the discriminator's first layer."""


@dataclass(frozen=True)
class CycadaSettings:
    """Strategy cycada: generators both ways, which must undo each other, beside the restorer.

    Translated pairs are learnt from too, and a classifier looks at features (Hoffman et al., arXiv 1711.03213).
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("cycada",)
    BUILDERS: ClassVar[str] = BUILDERS
    SHARDS: ClassVar[bool] = False

    adversarial: NonNegativeFloat = 1.0
    """Weight, for the generators, of deceiving the discriminators."""

    cycle: NonNegativeFloat = 10.0
    """Weight of getting back the image after both generators (CycleGAN: 10)."""

    semantic: NonNegativeFloat = 1.0
    """Weight of translated images being restored as the images they were made of."""

    feature: NonNegativeFloat = 0.03
    """Final weight of the reversed gradient of a classifier of domains by the restorer's features; 0: none."""

    ramp: NonNegativeFloat = 10.0
    """Steepness of that weight's rise over the run, as --objective.ramp; 0: constant."""

    form: GanForm = "least-squares"
    """Loss of discriminators and generators: least-squares (as CycleGAN), hinge or logistic."""

    width: PositiveInt = 32
    """Channels of each generator, and of the domain classifier."""

    blocks: PositiveInt = 3
    """Residual blocks of each generator."""

    discriminator: PositiveInt = 32
    """Channels of the first layer of each discriminator."""


@dataclass(frozen=True)
class CriticSettings:
    """Strategy critic: a discriminator separates restored real images from clean ones; the control without diffusion.

    The restorer learns to deceive it, in the place of the diffusion loss. It follows no paper.
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("critic",)
    BUILDERS: ClassVar[str] = BUILDERS
    SHARDS: ClassVar[bool] = False

    weight: NonNegativeFloat = 0.01
    """Final weight, for the restorer, of deceiving the discriminator."""

    ramp: NonNegativeFloat = 5.0
    """Steepness of the weight's rise over the run, as --objective.ramp; 0: constant."""

    form: GanForm = "least-squares"
    """Loss of discriminator and restorer: least-squares, hinge or logistic."""

    width: PositiveInt = 32
    """Channels of the discriminator's first layer."""
