"""Score distillation by two predictors: restored real images drift from where such images lie to where clean ones do.

A noise predictor learns restored real images only, as the teacher of restoration score distillation learns from
corrupted images only (RSD, arXiv 2505.13377, after DSD, arXiv 2503.07578). Another learns clean images. Both denoise
the same noised restored real image r, in one step, to r_hat and y_hat. By the difference of the two scores,

    r_hat - y_hat,

the restored images' distribution moves to the clean ones' (variational score distillation, arXiv 2305.16213). As in
distribution matching distillation (arXiv 2311.18828) the pull is divided by the mean of |r - y_hat| in each image, so
that it is alike at all noise levels. What both predictors do wrong cancels: where their scores agree, nothing moves.

Decided here: neither predictor has conditions. No gradient goes through them into the restorer, and none of the
restorer's into them. They learn from the first step on, the pull begins late. Synthetic pairs hold the content; RSD
itself makes images from noise, and has nothing to hold. With ``teacher`` ``restored`` there is no model of clean
images: r - r_hat pulls each image to where such images are dense.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from noiseda.adaptation.objective import Distance, Objective, Terms, Weights, charbonnier
from noiseda.adaptation.ramp import ramp
from noiseda.data.batches import Batch
from noiseda.diffusion import Denoiser, Schedule, add_noise, squared_error
from noiseda.dims import append_dims
from noiseda.restoration import Restorer
from noiseda.strategies import ScoreDistillationSettings

SHORTEST = 1 / 255
"""The least that a pull is divided by, in [0, 1]: one step of 8 bits."""


@dataclass(frozen=True)
class ScoreDistillationDraws:
    """The random numbers of one step.

    Attributes:
        eps: (B, C, *spatial) standard Gaussian noise for clean images.
        alpha_bar: (B,) its levels.
        eps_real: (B, C, *spatial) standard Gaussian noise for restored real images.
        alpha_bar_real: (B,) its levels.
    """

    eps: Tensor
    alpha_bar: Tensor
    eps_real: Tensor
    alpha_bar_real: Tensor


class ScoreDistillation(Objective[ScoreDistillationDraws]):
    """The restored real images are pulled by the difference of two scores: of clean images, and of their own kind.

    Args:
        restorer: the network to adapt.
        of_restored: the model of restored real images, a noise predictor without conditions.
        of_clean: the model of clean images, of the same kind; None: there is none, and the other one pulls alone.
        settings: weight and ramp, noise levels, start.
        distance: the error of restored synthetic images.
    """

    wants_real = True

    def __init__(
        self,
        restorer: Restorer,
        of_restored: Denoiser,
        of_clean: Denoiser | None,
        settings: ScoreDistillationSettings,
        *,
        distance: Distance = charbonnier,
    ) -> None:
        super().__init__()
        self.restorer = restorer
        self.of_restored = of_restored
        self.of_clean = of_clean
        self.settings = settings
        self.distance = distance
        self.schedule = Schedule("linear", settings.levels)

    @property
    def real_from(self) -> float:
        """Where the pull on the restorer begins; a predictor learns from restored real images before, too."""
        return self.settings.start

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> ScoreDistillationDraws:
        """Draw noise and noise levels for clean and for restored real images."""
        count = len(y_syn)
        return ScoreDistillationDraws(
            eps=torch.randn(y_syn.shape, generator=generator),
            alpha_bar=self.schedule.draw(count, generator),
            eps_real=torch.randn(y_syn.shape, generator=generator),
            alpha_bar_real=self.schedule.draw(count, generator),
        )

    def forward(self, batch: Batch, draws: ScoreDistillationDraws) -> Terms:
        """Restore both domains, teach the predictors, and measure the pull on the restored real images.

        Returns:
            Errors ``restoration``; ``noise_restored`` and ``noise_clean``, the predictors' own; and, from
            ``settings.start`` on, ``score``, half the mean square of the pull, whose gradient is the pull.
        """
        x_real, y_syn = batch.x_real, batch.y_syn
        assert x_real is not None, "score distillation needs real images in the batch"
        late = batch.progress >= self.settings.start
        if late:
            restored_syn, restored_real = self.restorer.restore_jointly(batch.x_syn, x_real)
        else:
            restored_syn = self.restorer(batch.x_syn).float()
            with torch.no_grad():
                restored_real = self.restorer(x_real).float()
        seen, eps, alpha_bar = restored_real.detach(), draws.eps_real, draws.alpha_bar_real
        eps_hat, own = self.of_restored.denoise(add_noise(2 * seen - 1, eps, alpha_bar), (), alpha_bar)
        errors = {
            "restoration": self.distance(restored_syn, y_syn),
            "noise_restored": squared_error(eps, eps_hat),
        }
        if self.of_clean is not None:
            errors["noise_clean"] = self.of_clean.error(y_syn, (), draws.eps, draws.alpha_bar)
        if late:
            target = seen - self.pull(seen, own.detach(), eps, alpha_bar)
            errors["score"] = (restored_real - target).square().flatten(1).mean(dim=1) / 2
        return Terms(errors, restored_syn.detach(), seen)

    @torch.no_grad()
    def pull(self, restored: Tensor, own: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
        """What restored images have of their own kind that clean ones have not; they are to move against it.

        Args:
            restored: (B, C, *spatial) in [0, 1].
            own: (B, C, *spatial) what the model of restored images denoises them to, once they are noised.
            eps: (B, C, *spatial) standard Gaussian noise, the same as for ``own``.
            alpha_bar: (B,) noise levels, the same as for ``own``.

        Returns:
            (B, C, *spatial): (r_hat - y_hat) / mean |r - y_hat|; (r - r_hat) / mean |r - r_hat| without a model of
            clean images.
        """
        if self.of_clean is None:
            away, length = restored - own, restored - own
        else:
            clean = self.of_clean.clean(restored, (), eps, alpha_bar)
            away, length = own - clean, restored - clean
        return away / append_dims(length.abs().flatten(1).mean(dim=1).clamp(min=SHORTEST), away.ndim)

    def weights(self, progress: float) -> Weights:
        """L = L_res + L_noise_restored + L_noise_clean + weight(q) * L_score; q is the progress since ``start``."""
        own = self.settings
        weights = {"restoration": 1.0, "noise_restored": 1.0}
        if self.of_clean is not None:
            weights["noise_clean"] = 1.0
        if progress >= own.start:
            weights["score"] = ramp(progress, weight=own.weight, steepness=own.ramp, begins=own.start)
        return weights
