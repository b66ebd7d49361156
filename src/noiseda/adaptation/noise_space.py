"""Noise-space domain adaptation: the paper's objective (Liao et al., ICLR 2025, arXiv 2406.18516).

Read :meth:`NoiseSpace.forward` and :meth:`NoiseSpace.weights` beside Algorithm 1 of the paper; the notation is that of
``docs/explanation/notation.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from noiseda.adaptation.objective import Distance, Objective, Sum, Terms, Weights, charbonnier
from noiseda.adaptation.permutation import draw_order, shuffle
from noiseda.adaptation.ramp import ramp
from noiseda.data.batches import Batch
from noiseda.diffusion import BANDS, SAMPLERS, WEIGHTINGS, Bands, Denoiser, LevelSampler, Schedule, Weighting
from noiseda.diffusion.levels import NoiseLevels
from noiseda.diffusion_settings import ObjectiveSettings
from noiseda.processes import mean_of_all
from noiseda.restoration import Restorer


@dataclass(frozen=True)
class NoiseDraws:
    """The random numbers of one step of noise-space adaptation.

    Attributes:
        eps: (B, C, *spatial) standard Gaussian noise.
        alpha_bar: (B,) noise levels, or the numbers that the sampler makes levels of when the step is measured
            (:class:`~noiseda.diffusion.levels.LevelSampler`).
        order: (B, 2C) order of the condition channels of the positives.
        order_swapped: the same for the negatives, drawn by itself.
    """

    eps: Tensor
    alpha_bar: Tensor
    order: Tensor
    order_swapped: Tensor


class NoiseSpace(Objective[NoiseDraws]):
    """A noise predictor, conditioned on both restored images, judges them; its error's gradient adapts the restorer.

    Args:
        restorer: the network to adapt.
        denoiser: the noise predictor, of two conditions (or of one, with one alone); thrown away after training.
        settings: weight and ramp, shuffling, contrast, and by name the schedule, where levels are drawn, and how the
            noise error is weighted and measured. What the network predicts is the denoiser's to say.
        reference: noise an unpaired clean image instead of the synthetic target ("Ours-Ex"); no contrastive term.
        distance: the error of restored synthetic images.
        sampling: where noise levels are drawn, in place of what the settings name.
        weighting: the weight of the noise error by level, likewise.
        bands: how the noise error is measured, likewise.
    """

    wants_real = True

    def __init__(
        self,
        restorer: Restorer,
        denoiser: Denoiser,
        settings: ObjectiveSettings,
        *,
        reference: bool = False,
        distance: Distance = charbonnier,
        sampling: LevelSampler | None = None,
        weighting: Weighting | None = None,
        bands: Bands | None = None,
    ) -> None:
        super().__init__()
        self.restorer = restorer
        self.denoiser = denoiser
        self.settings = settings
        self.distance = distance
        schedule = Schedule(settings.schedule, settings.levels, discrete=settings.discrete)
        self.sampling = sampling or SAMPLERS[settings.sampling](schedule)
        self.weighting = weighting or WEIGHTINGS[settings.weighting]
        self.bands = bands or BANDS[settings.bands]
        self.paired = settings.conditions == "both"
        self.contrast = settings.contrast and self.paired and not reference
        self.wants_reference = reference
        self._was_active: bool | Tensor = True  # the hinge, in the step before

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> NoiseDraws:
        """Draw noise, noise levels and the two channel orders for targets of (B, C, *spatial)."""
        count, channels = y_syn.shape[:2]
        mode = self.settings.shuffle
        return NoiseDraws(
            eps=torch.randn(y_syn.shape, generator=generator),
            alpha_bar=self.sampling.draw(count, generator),
            order=draw_order(mode, count, channels, generator),
            order_swapped=draw_order(mode, count, channels, generator),
        )

    def forward(self, batch: Batch, draws: NoiseDraws) -> Terms:
        """Restore both domains and predict the noise of a clean image from what was restored (Algorithm 1).

        Returns:
            Errors ``restoration``; ``noise``, the squared error of the prediction (Eq. 1), weighted by level; and,
            where the contrastive term is on, ``noise_swapped``, the same with residuals swapped between the domains
            (Eq. 2), and ``contrast``, whose mean is L_con (Eq. 3).
        """
        x_syn, y_syn, x_real = batch.x_syn, batch.y_syn, batch.x_real
        assert x_real is not None, "noise-space adaptation needs real images in the batch"
        y_ref = batch.y_ref if self.wants_reference else y_syn
        assert y_ref is not None, "the unpaired form needs reference images in the batch"

        # Restore both domains with the same network.
        restored_syn, restored_real = self.restorer.restore_jointly(x_syn, x_real)

        # Positives: both restored images as conditions, channels shuffled. No stop-gradient: the gradient that flows
        # from the noise predictor into its conditions is the adaptation.
        positives: tuple[Tensor, ...]
        if self.paired:
            positives = shuffle(restored_syn, restored_real, draws.order)
        else:  # an ablation of the paper
            positives = (restored_syn if self.settings.conditions == "synthetic" else restored_real,)
        levels = self.sampling(draws.alpha_bar, batch.progress)
        noise = self._judge(y_ref, positives, draws.eps, levels.alpha_bar)
        self.sampling.note(levels, noise)
        noise = _weighted(noise, levels)
        errors = {"restoration": self.distance(restored_syn, y_syn), "noise": noise}
        if self.contrast:
            # Negatives: each image with the other domain's residual. Same y_t, alpha_bar and eps.
            residual_syn, residual_real = restored_syn - x_syn, restored_real - x_real
            negatives: tuple[Tensor, ...] = shuffle(x_syn + residual_real, x_real + residual_syn, draws.order_swapped)
            if self.settings.detach_negative:
                negatives = tuple(condition.detach() for condition in negatives)
            errors |= self._contrast(
                noise, lambda: _weighted(self._judge(y_ref, negatives, draws.eps, levels.alpha_bar), levels)
            )
        return Terms(errors, restored_syn.detach(), restored_real.detach())

    def _judge(self, y: Tensor, conditions: tuple[Tensor, ...], eps: Tensor, alpha_bar: Tensor) -> Tensor:
        """The error of the noise prediction (B,), on bands, weighted by level."""
        error = self.bands(eps, self.denoiser.predict(y, conditions, eps, alpha_bar))
        return error * self.weighting(alpha_bar, self.denoiser.prediction)

    def _contrast(self, noise: Tensor, judge: Callable[[], Tensor]) -> dict[str, Tensor]:
        """The negatives' error and the hinge, L_con = max(0, MSE+ - MSE- + margin) on batch means (Eq. 3).

        Once MSE- is larger by the margin, which it is within some hundred steps, the hinge is 0 and so is its gradient:
        the negatives then need neither a backward pass nor any memory for one.

        Args:
            noise: (B,) error of the positives.
            judge: measures the error (B,) of the negatives.
        """
        was_active = bool(self._was_active)
        dropout = torch.random.fork_rng(_gpus(noise), enabled=not was_active)
        with dropout, torch.set_grad_enabled(was_active):
            swapped = judge()
        active = mean_of_all(noise.detach().mean() - swapped.detach().mean()) + self.settings.margin > 0
        if not was_active and bool(active):  # needs a gradient after all: once more, with the same dropout
            swapped = judge()
        self._was_active = active
        return {"noise_swapped": swapped, "contrast": active * (noise - swapped + self.settings.margin)}

    def weights(self, progress: float) -> Weights:
        """L = L_res + weight(p) * L_dif, with L_dif = (L_noise + L_con) / 2, or L_noise alone without contrast.

        L_con = max(0, MSE+ - MSE- + margin) compares means over the batches of all processes (Eq. 3).
        """
        diffusion = {"noise": 0.5, "contrast": 0.5} if self.contrast else {"noise": 1.0}
        weight = ramp(progress, weight=self.settings.weight, steepness=self.settings.ramp)
        return {"restoration": 1.0, "diffusion": Sum(weight, diffusion)}

    def after_step(self, progress: float) -> None:
        """Let the sampler of levels learn from the errors of the step."""
        self.sampling.after_step()

    def networks(self) -> list[nn.Module]:
        """The restorer and the denoiser."""
        return [self.restorer, self.denoiser]


def _weighted(errors: Tensor, levels: NoiseLevels) -> Tensor:
    return errors if levels.weights is None else errors * levels.weights


def _gpus(tensor: Tensor) -> list[torch.device]:
    return [tensor.device] if tensor.is_cuda else []
