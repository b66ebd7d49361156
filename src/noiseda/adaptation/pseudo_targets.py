"""Pseudo-targets: one denoising step on a restored real image gives its target (after GMD/LEGO, arXiv 2512.11121).

The paper's parts, and what stands for each here:

* A frozen model of natural images denoises what was restored. Here it is the run's noise predictor. It looks at one
  condition, the restored image, and learns in the same run, or was trained before: noise the clean target, show the
  restored synthetic image, predict the noise.
* A filter of quality rejects bad targets. There is no truth for real images, but there is for synthetic ones: the same
  step is made on both, and what it does to synthetic images is the yardstick (:func:`trust`).
* The source holds on: synthetic pairs are learnt from throughout, and the real images' term begins late.

No gradient goes through a target. The predictor's error does not move the restorer, and the restorer's error does not
move the predictor: the two meet in the targets alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from noiseda.adaptation.objective import Distance, Objective, Terms, Weights, charbonnier
from noiseda.adaptation.ramp import ramp
from noiseda.data.batches import Batch
from noiseda.diffusion import Denoiser, Schedule
from noiseda.errors import UserError
from noiseda.processes import mean_of_all
from noiseda.restoration import Restorer
from noiseda.strategies import PseudoTargetsSettings

LEAST = 1e-8
"""A squared difference, of values in [0, 1], up to which all is trusted: it is rounding."""


@dataclass(frozen=True)
class PseudoTargetDraws:
    """The random numbers of one step.

    Attributes:
        eps: (B, C, *spatial) standard Gaussian noise, from which the predictor learns.
        alpha_bar: (B,) its levels.
        eps_step: (B, draws, C, *spatial) standard Gaussian noise for the denoising step; both domains get the same.
        alpha_bar_step: (B,) its levels.
    """

    eps: Tensor
    alpha_bar: Tensor
    eps_step: Tensor
    alpha_bar_step: Tensor


class PseudoTargets(Objective[PseudoTargetDraws]):
    """The restored real images are held to what one denoising step makes of them, as far as that can be trusted.

    Args:
        restorer: the network to adapt.
        denoiser: the noise predictor, of one condition; thrown away after training.
        settings: weight and ramp, noise levels, draws, gate.
        distance: the error of what is restored, against targets and against pseudo-targets.

    Raises:
        UserError: the gate compares draws, and there is one alone.
    """

    wants_real = True

    def __init__(
        self,
        restorer: Restorer,
        denoiser: Denoiser,
        settings: PseudoTargetsSettings,
        *,
        distance: Distance = charbonnier,
    ) -> None:
        super().__init__()
        if settings.gate == "agreement" and settings.draws < 2:
            raise UserError(
                "--pseudo_targets.gate agreement compares draws of noise: --pseudo_targets.draws must be at least 2, "
                f"not {settings.draws}"
            )
        self.restorer = restorer
        self.denoiser = denoiser
        self.settings = settings
        self.distance = distance
        self.schedule = Schedule("linear", settings.levels)

    @property
    def real_from(self) -> float:
        """Where the pseudo-targets begin."""
        return self.settings.start

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> PseudoTargetDraws:
        """Draw noise and noise levels, for the predictor and for the denoising step."""
        count, *shape = y_syn.shape
        return PseudoTargetDraws(
            eps=torch.randn(y_syn.shape, generator=generator),
            alpha_bar=self.schedule.draw(count, generator),
            eps_step=torch.randn(count, self.settings.draws, *shape, generator=generator),
            alpha_bar_step=self.schedule.draw(count, generator),
        )

    def forward(self, batch: Batch, draws: PseudoTargetDraws) -> Terms:
        """Teach the predictor on synthetic pairs; late in the run, hold restored real images to its targets.

        Returns:
            Errors ``restoration``; ``noise``, the predictor's own; and, from ``settings.start`` on, ``pseudo_target``,
            the gated error of restored real images against their pseudo-targets, and ``gate``, in [0, 1], to look at.
        """
        late = batch.progress >= self.settings.start
        if late:
            assert batch.x_real is not None, "pseudo-targets need real images in the batch"
            restored_syn, restored_real = self.restorer.restore_jointly(batch.x_syn, batch.x_real)
        else:
            restored_syn, restored_real = self.restorer(batch.x_syn).float(), None
        seen = restored_syn.detach()
        errors = {
            "restoration": self.distance(restored_syn, batch.y_syn),
            "noise": self.denoiser.error(batch.y_syn, (seen,), draws.eps, draws.alpha_bar),
        }
        if restored_real is None:
            return Terms(errors, seen)
        target, gate = self.judged(seen, restored_real.detach(), batch.y_syn, draws)
        errors["pseudo_target"] = gate * self.distance(restored_real, target)
        errors["gate"] = gate
        return Terms(errors, seen, restored_real.detach())

    @torch.no_grad()
    def judged(
        self, restored_syn: Tensor, restored_real: Tensor, y_syn: Tensor, draws: PseudoTargetDraws
    ) -> tuple[Tensor, Tensor]:
        """The pseudo-targets of restored real images, and how far each is to be trusted.

        Args:
            restored_syn: (B, C, *spatial).
            restored_real: the same shape.
            y_syn: the truth of the synthetic ones.
            draws: of the step.

        Returns:
            (B, C, *spatial) in [0, 1], the mean of the draws; (B,) in [0, 1].
        """
        both = torch.cat([restored_syn, restored_real])
        eps, alpha_bar = draws.eps_step.repeat(2, *[1] * y_syn.ndim), draws.alpha_bar_step.repeat(2)
        steps = torch.stack([self.denoiser.clean(both, (both,), one, alpha_bar) for one in eps.unbind(dim=1)])
        target_syn, target_real = steps.mean(dim=0).clamp(0, 1).chunk(2)
        if self.settings.gate == "off":
            return target_real, torch.ones_like(draws.alpha_bar)
        if self.settings.gate == "agreement":
            known, found = steps.var(dim=0, unbiased=False).flatten(1).mean(dim=1).chunk(2)
            return target_real, trust(known, found)
        gate = trust(_distance(target_syn, restored_syn), _distance(target_real, restored_real))
        off_truth = mean_of_all(_distance(target_syn, y_syn).mean()).expand_as(gate)
        return target_real, gate * trust(_distance(restored_syn, y_syn), off_truth)

    def weights(self, progress: float) -> Weights:
        """L = L_res + L_noise + weight(q) * L_pseudo; q is the progress since ``start``."""
        own = self.settings
        if progress < own.start:
            return {"restoration": 1.0, "noise": 1.0}
        weight = ramp(progress, weight=own.weight, steepness=own.ramp, begins=own.start)
        return {"restoration": 1.0, "noise": 1.0, "pseudo_target": weight}


def trust(allowed: Tensor, found: Tensor) -> Tensor:
    """How far something stays within what is usual: min(1, max(mean(allowed), LEAST) / found).

    The mean is over the batches of all processes. The gate ``truth`` multiplies two of them: a real image is trusted
    less the further the step moves it, compared with synthetic ones; and all are, if the step leads these away from
    their truth. ``agreement`` compares the variance over the draws of noise.

    Args:
        allowed: (B,) not negative, of synthetic images.
        found: (B,) not negative.

    Returns:
        (B,) in (0, 1].

    >>> trust(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0, 4.0]))
    tensor([1.0000, 1.0000, 0.5000])
    """
    usual = mean_of_all(allowed.mean()).clamp(min=LEAST)
    return torch.where(found <= usual, torch.ones_like(found), usual / found)


def _distance(one: Tensor, other: Tensor) -> Tensor:
    """(B, C, *spatial) twice -> (B,): the mean squared difference."""
    return (one - other).square().flatten(1).mean(dim=1)
