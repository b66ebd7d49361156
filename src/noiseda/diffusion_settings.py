"""The settings of the diffusion judge: the noise predictor, and the objective that it serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from noiseda.limits import Levels, NonNegativeFloat, PositiveInt, Share

ScheduleName = Literal["linear", "cosine", "quadratic", "sigmoid"]
PredictionName = Literal["eps", "v", "clean"]
PredictorTraining = Literal["joint", "frozen", "fine-tune"]
Conditions = Literal["both", "synthetic", "real"]
Shuffle = Literal["blocks", "channels", "off"]


@dataclass(frozen=True)
class PredictorSettings:
    """The noise predictor: a U-Net conditioned on two images and a noise level; thrown away after training."""

    width: PositiveInt = 64
    """Channels of the first level (the paper: 64)."""

    channel_mults: list[int] = field(default_factory=lambda: [1, 2])
    """Channels of each level, as multiples of the width (the paper: 1, 2, 4, 8)."""

    blocks: PositiveInt = 1
    """Residual blocks a level (the paper: 2)."""

    patch_size: PositiveInt = 4
    """Side of the pixel blocks folded into channels before the first level: 1 (the paper) keeps full resolution;
    2 or 4 cost about 4 or 16 times less."""

    attention: bool = False
    """Self-attention in the middle block (the paper: on)."""

    dropout: Share = 0.0
    """Dropout rate inside the residual blocks (the paper: 0.2)."""

    start: Path | None = None
    """File of a noise predictor to start from (noiseda pretrain-predictor); by default random weights. Its sizes must
    be those of --predictor.*."""

    training: PredictorTraining = "joint"
    """How the noise predictor learns: joint (the paper: beside the restorer, at its rate), fine-tune (so too, at a
    tenth of the rate), or frozen (not at all; it still teaches the restorer). The latter two need --predictor.start."""

    def __post_init__(self) -> None:
        """Take texts for paths, as one writes them in Python."""
        if isinstance(self.start, str):
            object.__setattr__(self, "start", Path(self.start))


@dataclass(frozen=True)
class ObjectiveSettings:
    """The adaptation objective: L = L_res + weight(p) * L_dif (docs/explanation/method.md).

    A diffusion model judges: it predicts the noise of a clean image by the restored images of both domains, and its
    error teaches the restorer. After training it is thrown away. Source: Liao et al., ICLR 2025 (arXiv 2406.18516).
    """

    weight: NonNegativeFloat = 0.2
    """Final weight of the diffusion loss (the paper: 0.2)."""

    ramp: NonNegativeFloat = 5.0
    """Steepness k of the ramp weight(p) = weight * (2 / (1 + exp(-k p)) - 1), p = progress in [0, 1]; 0 turns the ramp
    off, so that the weight is constant."""

    conditions: Conditions = "both"
    """Restored images that the noise predictor is shown: of both domains (the paper), or of one alone; then there is
    nothing to shuffle or to swap."""

    shuffle: Shuffle = "blocks"
    """Channel shuffling of the two conditions: swap the two RGB blocks of a sample with probability 1/2 (blocks),
    permute all channels (channels), or leave them in place (off)."""

    contrast: bool = True
    """Residual-swapping contrastive learning (Eq. 2-3); never used with --reference, as in the paper."""

    margin: NonNegativeFloat = 0.1
    """Margin of the contrastive hinge."""

    detach_negative: bool = False
    """Stop the gradient that swapped residuals would send into the restorer."""

    schedule: ScheduleName = "linear"
    """Schedule of alpha_bar over the diffusion steps."""

    levels: Levels = (1, 999)
    """Lowest and highest diffusion step t (of 1..999) that noise levels are drawn from."""
