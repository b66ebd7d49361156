"""The strategies by name, and the settings of those that have some of their own: one dataclass each.

Other packages bring more of them (noiseda/extensions.py); they stand beside these wherever a name can be given.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, make_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, get_args

from noiseda import extensions
from noiseda.limits import Levels, NonNegativeFloat, PositiveInt, Share

Section = TypeVar("Section")

Own = Literal[
    "noise-space",
    "synthetic",
    "neighbor2neighbor",
    "mean-teacher",
    "source-free",
    "pseudo-targets",
    "score-distillation",
    "redegradation",
]

StrategyName = str  # for a type checker, which cannot know what is installed
StrategyChoice = str
if not TYPE_CHECKING:  # jsonargparse would take what stands in "if TYPE_CHECKING"
    StrategyName = Literal[(*get_args(Own), *extensions.strategies())]
    StrategyChoice = Literal[("auto", *get_args(StrategyName))]


@dataclass(frozen=True)
class Neighbor2NeighborSettings:
    """Neighbor2Neighbor: L = L_res + weight * (L_neighbor + consistency * L_consistency) (arXiv 2101.02824).

    One of two neighbouring pixels is the input, the other the target, for their noise is taken for independent.
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("neighbor2neighbor",)

    weight: NonNegativeFloat = 10.0
    """Weight of the real images' terms, which are squared errors, beside the Charbonnier error of synthetic pairs."""

    consistency: NonNegativeFloat = 2.0
    """Weight of the regulariser relative to the error between neighbours (the paper: 2 for added noise, 16 for raw
    photographs)."""

    synthetic: bool = True
    """Learn from synthetic pairs too; without, from the real images alone, as in the paper."""

    start: Share = 0.67
    """Share of the run in which synthetic pairs are learnt from alone, before the real images are; 0 (the paper), or
    without synthetic pairs: from the first step on."""

    unlike: Literal["mean-teacher", "neighbor2neighbor"] = "mean-teacher"
    """What learns from the real images in a run that begins with others (start > 0), if their noise went through a
    camera, so that neighbours share it, and resembles nothing that --degradation.kind matched simulates; a mean
    teacher begins as late."""

    shared: Literal["synthetic", "neighbor2neighbor"] = "synthetic"
    """The same if it resembles what is simulated; synthetic: nothing does."""


@dataclass(frozen=True)
class MeanTeacherSettings:
    """Mean teacher (mean-teacher), also without synthetic pairs (source-free): L = L_res + weight(p) * L_teacher.

    Real images, turned and with more noise, must be restored as a moving average does it (arXiv 1703.01780).
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("mean-teacher", "source-free")

    weight: NonNegativeFloat = 1.0
    """Final weight of the error against the teacher's labels; without synthetic pairs it is 1 throughout."""

    ramp: NonNegativeFloat = 5.0
    """Steepness of the weight's ramp, as for --objective.ramp; 0 turns it off."""

    decay: Share = 0.999
    """Decay of the moving average that is the teacher."""

    sigma: NonNegativeFloat = 10.0
    """Highest standard deviation of the noise added to what the student sees, in 1/255; drawn from 0 up to it."""

    views: Literal[1, 2, 4, 8] = 1
    """Flips and rotations of each image over which the teacher averages; each costs a forward pass."""

    start: Share = 0.67
    """Share of the run in which synthetic pairs are learnt from alone, before the teacher teaches; 0 (the paper), or
    without synthetic pairs: from the first step on."""


@dataclass(frozen=True)
class PseudoTargetsSettings:
    """Pseudo-targets: L = L_res + L_noise + weight(q) * L_pseudo (after GMD/LEGO, arXiv 2512.11121).

    A noise predictor that sees a restored image denoises it in one step: the target of real images, as far as the step
    does synthetic ones good. q is the progress since --pseudo_targets.start.
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("pseudo-targets",)
    READS: ClassVar[tuple[str, ...]] = ("predictor",)

    weight: NonNegativeFloat = 1.0
    """Final weight of the error against the pseudo-targets."""

    ramp: NonNegativeFloat = 5.0
    """Steepness of the weight's ramp, as for --objective.ramp; 0 turns it off."""

    levels: Levels = (50, 200)
    """Lowest and highest diffusion step (of 1..999) that restored images are noised to. The predictor learns at these
    levels alone; their noise has standard deviations of 14 to 60/255, more than what restoration leaves."""

    draws: PositiveInt = 2
    """Draws of noise over which a pseudo-target is averaged; each costs a forward pass of the predictor for both
    domains."""

    gate: Literal["truth", "agreement", "off"] = "truth"
    """What says how far a pseudo-target is trusted. Truth: as far as the step brings synthetic images nearer to their
    targets, and moves the real one no further than those. Agreement: as far as the draws differ no more than those of
    synthetic images. Off: wholly."""

    start: Share = 0.67
    """Share of the run in which synthetic pairs are learnt from alone, by restorer and predictor."""


@dataclass(frozen=True)
class ScoreDistillationSettings:
    """Score distillation: L = L_res + L_noise_restored + L_noise_clean + weight(q) * L_score (after arXiv 2505.13377).

    One noise predictor learns restored real images alone, another clean ones; the difference of their scores pulls
    restored real images. q is the progress since --score_distillation.start.
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("score-distillation",)
    READS: ClassVar[tuple[str, ...]] = ("predictor",)

    weight: NonNegativeFloat = 0.1
    """Final weight of the pull, whose size is about that of the Charbonnier error's gradient at 1."""

    ramp: NonNegativeFloat = 5.0
    """Steepness of the weight's ramp, as for --objective.ramp; 0 turns it off."""

    levels: Levels = (20, 200)
    """Lowest and highest diffusion step (of 1..999) that noise levels are drawn from, of both predictors and of the
    pull; at 20 the noise has a standard deviation of 6/255, at 200 of 60/255."""

    teacher: Literal["clean", "restored"] = "clean"
    """Whose predictor says where restored real images should go. Clean: that of clean images, less that of restored
    ones. Restored: that of restored ones alone, and there is no other."""

    start: Share = 0.67
    """Share of the run in which the predictors learn, and the restorer learns from synthetic pairs alone."""


@dataclass(frozen=True)
class RedegradationSettings:
    """Re-degradation: L = L_res + weight(p) * L_again (after DCTTA, CVPR 2026).

    A restored real image, degraded once more by what was taken away from it, must be restored to the same.
    """

    STRATEGIES: ClassVar[tuple[str, ...]] = ("redegradation",)

    weight: NonNegativeFloat = 1.0
    """Final weight of the error of the second restoration against the first."""

    ramp: NonNegativeFloat = 5.0
    """Steepness of the weight's ramp, as for --objective.ramp; 0 turns it off."""

    residual: Literal["real", "synthetic"] = "real"
    """What degrades again: what the restorer took away from the real image, or what was added to the synthetic one
    beside it."""

    start: Share = 0.67
    """Share of the run in which synthetic pairs are learnt from alone."""


@dataclass(frozen=True, kw_only=True)
class OwnSections:
    """The settings of the strategies of this package, each a section of those of a run."""

    neighbor2neighbor: Neighbor2NeighborSettings = field(default_factory=Neighbor2NeighborSettings)
    mean_teacher: MeanTeacherSettings = field(default_factory=MeanTeacherSettings)
    pseudo_targets: PseudoTargetsSettings = field(default_factory=PseudoTargetsSettings)
    score_distillation: ScoreDistillationSettings = field(default_factory=ScoreDistillationSettings)
    redegradation: RedegradationSettings = field(default_factory=RedegradationSettings)

    def section(self, kind: type[Section]) -> Section:
        """The section that is of a class.

        >>> OwnSections().section(MeanTeacherSettings).views
        1

        Raises:
            TypeError: there is none.
        """
        for one in fields(self):
            if isinstance(value := getattr(self, one.name), kind):
                return value
        raise TypeError(f"no section of the settings is {kind.__name__}")


def _with_those_of_others() -> type[OwnSections]:
    extensions.check_free({*get_args(Own), *(one.name for one in fields(OwnSections))})
    others: list[tuple[str, type, Any]] = [
        (name, kind, field(default_factory=kind)) for name, kind in extensions.sections().items()
    ]
    own = {"__module__": __name__}
    return make_dataclass("StrategySections", others, bases=(OwnSections,), namespace=own, frozen=True, kw_only=True)


StrategySections = OwnSections
if not TYPE_CHECKING:
    StrategySections = _with_those_of_others()
    """The settings of every strategy that has some of its own, those of other packages too."""
