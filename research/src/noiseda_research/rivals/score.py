"""Score distillation: the restored real image itself is noised, and a model of clean images says where it should go.

A noise predictor learns clean images alone, with no conditions. For a restored image r, noised at some level, its
prediction gives a denoised r0_hat; r is pulled there with no gradient through the predictor, as in score distillation
(DreamFusion, arXiv 2209.14988). With the weight of RED-diff (Mardani et al., ICLR 2024, arXiv 2305.04391) the pull is
just r - r0_hat. Noise-space adaptation asks whether a restored image *helps* to denoise another; this asks whether it
*is* a clean one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda import Batch
from noiseda.adaptation import Objective, Sum, Terms, Weights, charbonnier, ramp
from noiseda.diffusion import Denoiser, Schedule, squared_error
from noiseda.dims import append_dims
from noiseda.restoration import Restorer
from noiseda_research.rivals.settings import ScoreSettings


@dataclass(frozen=True)
class ScoreDraws:
    """The random numbers of one step.

    Attributes:
        eps: (B, C, H, W) standard Gaussian noise, from which the predictor learns.
        alpha_bar: (B,) its levels.
        eps_real: (B, C, H, W) standard Gaussian noise for the restored real images.
        alpha_bar_real: (B,) its levels.
    """

    eps: Tensor
    alpha_bar: Tensor
    eps_real: Tensor
    alpha_bar_real: Tensor


class Score(Objective[ScoreDraws]):
    """The restored real images are pulled to where a model of clean images would denoise them.

    Args:
        restorer: the network to adapt.
        denoiser: the model of clean images, a noise predictor without conditions, which learns in the same run; thrown
            away after training.
        settings: weight and ramp, noise levels, fidelity.
    """

    wants_real = True

    def __init__(self, restorer: Restorer, denoiser: Denoiser, settings: ScoreSettings) -> None:
        super().__init__()
        self.restorer = restorer
        self.denoiser = denoiser
        self.settings = settings
        self.schedule = Schedule("linear", settings.levels)

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> ScoreDraws:
        """Draw noise and noise levels for the clean and for the restored real images."""
        count = len(y_syn)
        return ScoreDraws(
            eps=torch.randn(y_syn.shape, generator=generator),
            alpha_bar=self.schedule.draw(count, generator),
            eps_real=torch.randn(y_syn.shape, generator=generator),
            alpha_bar_real=self.schedule.draw(count, generator),
        )

    def forward(self, batch: Batch, draws: ScoreDraws) -> Terms:
        """Restore both domains; teach the prior clean images, and let it judge the restored real ones.

        Returns:
            Errors ``restoration``; ``noise``, the prior's own, mean (eps - eps_hat)^2 on clean images; ``score``, mean
            (restored_real - r0_hat)^2 / 2, whose gradient is the pull; and ``fidelity``, mean squared difference of
            ``restored_real`` and ``x_real`` after both were averaged over small squares, which leaves little noise.
        """
        x_real, y_syn = batch.x_real, batch.y_syn
        assert x_real is not None, "score distillation needs real images in the batch"
        restored_syn, restored_real = self.restorer.restore_jointly(batch.x_syn, x_real)
        eps_hat = self.denoiser.predict(y_syn, (), draws.eps, draws.alpha_bar)
        target = self.target(restored_real, draws.eps_real, draws.alpha_bar_real)
        coarse, coarse_real = (F.avg_pool2d(images, self.settings.square) for images in (restored_real, x_real))
        errors = {
            "restoration": charbonnier(restored_syn, y_syn),
            "noise": squared_error(draws.eps, eps_hat),
            "score": (restored_real - target).square().flatten(1).mean(dim=1) / 2,
            "fidelity": (coarse - coarse_real).square().flatten(1).mean(dim=1),
        }
        return Terms(errors, restored_syn.detach(), restored_real.detach())

    @torch.no_grad()
    def target(self, restored: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
        """The denoised r0_hat of images that were noised, without gradient to images or prior.

        In [-1, 1], y_t = sqrt(alpha_bar) y + sqrt(1 - alpha_bar) eps is denoised to
        y0_hat = y - sqrt((1 - alpha_bar) / alpha_bar) (eps_hat - eps); in [0, 1] the step is half as long. Hence
        restored - r0_hat is the gradient of RED-diff, weighted by sqrt((1 - alpha_bar) / alpha_bar) (arXiv 2305.04391).

        Args:
            restored: (B, C, H, W) in [0, 1].
            eps: (B, C, H, W) standard Gaussian noise.
            alpha_bar: (B,) noise levels.

        Returns:
            (B, C, H, W).
        """
        eps_hat = self.denoiser.predict(restored, (), eps, alpha_bar)
        ratio = append_dims(((1 - alpha_bar) / alpha_bar).sqrt(), restored.ndim)
        step: Tensor = ratio * (eps_hat - eps) / 2
        return restored - step

    def weights(self, progress: float) -> Weights:
        """L = L_res + L_noise + weight(p) * (L_score + fidelity * L_fidelity)."""
        weight = ramp(progress, weight=self.settings.weight, steepness=self.settings.ramp)
        real = {"score": 1.0, "fidelity": self.settings.fidelity}
        return {"restoration": 1.0, "noise": 1.0, "real": Sum(weight, real)}
