"""The settings of the diffusion judge: the noise predictor, and the objective that it serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from noiseda.errors import UserError
from noiseda.limits import Levels, NonNegativeFloat, PositiveInt, Share

PredictorKind = Literal["unet", "transformer", "pixel"]
ConditionByName = Literal["concatenation", "summed", "modulation", "cross-attention"]
PredictorTraining = Literal["joint", "frozen", "fine-tune"]
ScheduleName = Literal["linear", "cosine", "quadratic", "sigmoid", "constant"]
SamplingName = Literal["uniform", "high", "low", "log-snr", "logit-normal", "importance", "curriculum"]
PredictionName = Literal["eps", "v", "clean"]
WeightingName = Literal["uniform", "min-snr", "p2"]
BandsName = Literal["pixels", "pyramid", "wavelet"]
Conditions = Literal["both", "synthetic", "real"]
Shuffle = Literal["blocks", "channels", "off"]

SIDES: dict[PredictorKind, str] = {
    "unet": "--predictor.patch_size x 2 per further level, and ",
    "transformer": "--predictor.patch_size, and ",
    "pixel": "",
}
"""Kind of predictor -> what makes up the multiple that sides of signals are, in words that another part follows."""


@dataclass(frozen=True)
class PredictorSettings:
    """The noise predictor: a network conditioned on two images and a noise level; thrown away after training."""

    kind: PredictorKind = "unet"
    """Architecture: unet (the paper), transformer or pixel. transformer: patches are tokens, each attends to all (DiT,
    arXiv 2212.09748). pixel: it sees each place by itself, a lower bound."""

    condition_by: ConditionByName = "concatenation"
    """How it looks at the restored images. concatenation (the paper): as channels beside the noised image. The others
    share one encoder for all, so that the images have no order, and exchanging them changes nothing. summed: its
    features are summed and added at the input. modulation: they scale and shift each block's norms, place by place
    (after SPADE, arXiv 1903.07291). cross-attention: the coarsest level attends to them; not of pixel."""

    width: PositiveInt = 64
    """Channels of the first level (the paper: 64)."""

    channel_mults: list[int] = field(default_factory=lambda: [1, 2])
    """Channels of each level, as multiples of the width (the paper: 1, 2, 4, 8); of unet alone."""

    blocks: PositiveInt = 1
    """Residual blocks a level (the paper: 2); of transformer and pixel, in all."""

    patch_size: PositiveInt = 4
    """Side of the pixel blocks folded into channels before the first level: 1 (the paper) keeps full resolution;
    2 or 4 cost about 4 or 16 times less. Of transformer, the side of its tokens; pixel has none."""

    attention: bool = False
    """Self-attention in the middle block (the paper: on); of unet alone."""

    attention_levels: list[int] = field(default_factory=list)
    """Levels with self-attention after each block, counted from 0, the finest (the paper: none); of unet alone."""

    dropout: Share = 0.0
    """Dropout rate inside the residual blocks (the paper: 0.2)."""

    start: Path | None = None
    """Noise predictor to start from; by default random weights. noiseda:judge comes with noiseda. A file of noiseda
    pretrain-predictor has sizes of its own, which need not be given. So has the folder of a diffusers UNet2DModel
    (config.json and its .safetensors), which is widened for the restored images; it needs noiseda[diffusers]."""

    training: PredictorTraining = "joint"
    """How the noise predictor learns: joint (the paper: beside the restorer, at its rate), fine-tune (so too, at a
    tenth of the rate), or frozen (not at all; it still teaches the restorer). The latter two need --predictor.start."""

    def __post_init__(self) -> None:
        """Take texts for paths, as one writes them in Python."""
        for name in ("start",):
            if isinstance(path := getattr(self, name), str):
                object.__setattr__(self, name, Path(path))

    @property
    def from_folder(self) -> bool:
        """Whether it is the model of a diffusers folder, which has sizes of its own."""
        return self.start is not None and self.start.is_dir()

    @property
    def multiple_of(self) -> int:
        """What the sides of signals are multiples of; of a folder that is known once it is read."""
        if self.from_folder:
            return 1
        if self.kind == "unet":
            return int(self.patch_size * 2 ** (len(self.channel_mults) - 1))
        return self.patch_size if self.kind == "transformer" else 1

    def check(self) -> None:
        """Check the settings against each other.

        Raises:
            UserError: naming the flag, what was given and what was expected.
        """
        if not self.channel_mults or min(self.channel_mults) < 1:
            raise UserError(f"--predictor.channel_mults needs factors of 1 and more, not {self.channel_mults}")
        coarsest = len(self.channel_mults) - 1
        if not set(self.attention_levels) <= set(range(coarsest + 1)):
            raise UserError(
                f"--predictor.attention_levels must be of 0 to {coarsest}, the levels of --predictor.channel_mults, "
                f"not {self.attention_levels}"
            )
        if self.kind == "pixel" and self.condition_by == "cross-attention":
            raise UserError(
                "--predictor.condition_by cross-attention looks at all places, and --predictor.kind pixel at one: "
                "choose another of either"
            )


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

    sampling: SamplingName = "uniform"
    """Where in that range noise levels are drawn: uniformly (the paper), rather high or low, uniformly in log-snr,
    logit-normal (around the middle), by importance (where errors are large, weighted so that their mean stays), or as
    a curriculum (from high to low over the run)."""

    discrete: bool = False
    """Draw the levels of the diffusion steps themselves, and none between two of them."""

    prediction: PredictionName = "eps"
    """What the network predicts: the noise (eps, the paper), v, or the clean image; its error is that of the noise."""

    weighting: WeightingName = "uniform"
    """Weight of the noise error by level: uniform (the paper: 1 for what is predicted), min-snr (levels of little noise
    count no more than those of an SNR of 5), or p2 (they count less)."""

    bands: BandsName = "pixels"
    """Where the noise error is measured: in pixels (the paper), or alike in coarse and fine bands, for haze and blur:
    of a pyramid of averages, or of Haar wavelets."""
