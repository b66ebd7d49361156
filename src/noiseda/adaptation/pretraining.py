"""A noise predictor trained by itself, before it judges any restorer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from noiseda.adaptation.objective import Objective, Terms, Weights
from noiseda.data.batches import Batch
from noiseda.diffusion import Denoiser, Schedule
from noiseda.diffusion.weighting import UniformWeighting
from noiseda.restoration import Restorer


class Carrier(Restorer):
    """A noise predictor in the place of the network that a run trains: it is averaged, kept and continued as one.

    It restores nothing: images come out as they went in.

    Args:
        denoiser: the noise predictor.
        channels: of the images.
        dims: spatial dimensions of the images.
    """

    multiple_of = 1

    def __init__(self, denoiser: Denoiser, *, channels: int = 3, dims: int = 2) -> None:
        super().__init__()
        self.denoiser, self.channels, self.dims = denoiser, channels, dims

    def restore(self, images: Tensor) -> Tensor:
        """The images as they are."""
        return images


@dataclass(frozen=True)
class PretrainingDraws:
    """The random numbers of one step.

    Attributes:
        eps: (B, C, *spatial) standard Gaussian noise.
        alpha_bar: (B,) noise levels.
    """

    eps: Tensor
    alpha_bar: Tensor


class Pretraining(Objective[PretrainingDraws]):
    """The error of the noise prediction (Eq. 1, arXiv 2406.18516), given conditions that a batch brings with it.

    Where the network predicts v or the clean image, it is the plain error of that: the noise's own would be millions of
    times as large where there is hardly any noise. ``y_syn`` is noised; ``x_syn`` and, for a predictor of two
    conditions, ``x_real`` are shown.

    Args:
        carrier: the noise predictor, in the place of a restorer.
        schedule: where noise levels are drawn from.
        conditions: how many the predictor takes: 1 or 2.
    """

    restorer: Carrier
    wants_real = True

    def __init__(self, carrier: Carrier, schedule: Schedule, *, conditions: int = 2) -> None:
        super().__init__()
        self.restorer, self.schedule, self.conditions = carrier, schedule, conditions
        self.weighting = UniformWeighting()

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> PretrainingDraws:
        """Draw noise and noise levels for targets of (B, C, *spatial)."""
        return PretrainingDraws(
            eps=torch.randn(y_syn.shape, generator=generator), alpha_bar=self.schedule.draw(len(y_syn), generator)
        )

    def forward(self, batch: Batch, draws: PretrainingDraws) -> Terms:
        """Predict the noise of the clean images from the conditions."""
        assert batch.x_real is not None, "pretraining needs two conditions in the batch"
        conditions = (batch.x_syn, batch.x_real)[: self.conditions]
        denoiser = self.restorer.denoiser
        error = denoiser.error(batch.y_syn, conditions, draws.eps, draws.alpha_bar)
        return Terms({"noise": error * self.weighting(draws.alpha_bar, denoiser.prediction)})

    def weights(self, progress: float) -> Weights:
        """The error alone."""
        return {"noise": 1.0}

    def networks(self) -> list[nn.Module]:
        """The noise predictor."""
        return [self.restorer.denoiser.network]
