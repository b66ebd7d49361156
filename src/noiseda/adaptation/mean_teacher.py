"""Mean teacher: agree, on real images, with a moving average of oneself (Tarvainen and Valpola, arXiv 1703.01780).

The teacher restores a real image; the student, which sees it turned and with noise added, must give the same. With no
synthetic pairs beside it, a network that was trained elsewhere is fine-tuned on real images alone (source-free).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from noiseda.adaptation.objective import Distance, Objective, Terms, Weights, charbonnier, detached
from noiseda.adaptation.ramp import ramp
from noiseda.adaptation.teacher import Teacher
from noiseda.data.batches import Batch
from noiseda.dims import append_dims
from noiseda.orientations import COUNT, turn_each
from noiseda.restoration import Restorer
from noiseda.strategies import MeanTeacherSettings


@dataclass(frozen=True)
class Perturbation:
    """How the student's view of each real image differs from the teacher's.

    Attributes:
        noise: (B, C, *spatial) Gaussian noise, of a standard deviation drawn for each image.
        orientation: (B,) int64, 0..7.
    """

    noise: Tensor
    orientation: Tensor


class MeanTeacher(Objective[Perturbation]):
    """The restorer is held to its own moving average on real images.

    Args:
        restorer: the network to adapt.
        settings: weight and ramp, the teacher, the perturbation.
        synthetic: learn from synthetic pairs too; without, the run is source-free.
        distance: the error of what it restores, against targets and against the teacher's labels.
    """

    wants_real = True
    by_sample = True

    def __init__(
        self,
        restorer: Restorer,
        settings: MeanTeacherSettings,
        *,
        synthetic: bool = True,
        distance: Distance = charbonnier,
    ) -> None:
        super().__init__()
        self.restorer = restorer
        self.teacher = Teacher(restorer, decay=settings.decay, views=settings.views)
        self.settings = settings
        self.synthetic = synthetic
        self.distance = distance

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> Perturbation:
        """Draw noise of sigma ~ U(0, settings.sigma) / 255 and an orientation for each image."""
        count = len(y_syn)
        sigma = append_dims(torch.rand(count, generator=generator), y_syn.ndim) * self.settings.sigma / 255
        return Perturbation(
            noise=sigma * torch.randn(y_syn.shape, generator=generator),
            orientation=torch.randint(COUNT, (count,), generator=generator),
        )

    def forward(self, batch: Batch, draws: Perturbation) -> Terms:
        """Restore the perturbed real images, and compare with what the teacher makes of them unperturbed.

        Returns:
            Errors ``teacher``, that against the teacher's label; and ``restoration``, where synthetic pairs are learnt
            from.
        """
        x_real = batch.x_real
        assert x_real is not None, "a mean teacher needs real images in the batch"
        label = self.teacher(x_real)
        perturbed = turn_each(x_real, draws.orientation) + draws.noise
        errors = {}
        if self.synthetic:
            restored_syn, student = self.restorer.restore_jointly(batch.x_syn, perturbed)
            errors["restoration"] = self.distance(restored_syn, batch.y_syn)
        else:
            restored_syn, student = None, self.restorer(perturbed).float()
        errors["teacher"] = self.distance(student, turn_each(label, draws.orientation))
        return Terms(errors, detached(restored_syn), label)

    def weights(self, progress: float) -> Weights:
        """L = L_res + weight(p) * L_teacher; source-free L = L_teacher."""
        if not self.synthetic:
            return {"teacher": 1.0}
        weight = ramp(progress, weight=self.settings.weight, steepness=self.settings.ramp)
        return {"restoration": 1.0, "teacher": weight}

    def after_step(self, progress: float) -> None:
        """The teacher follows."""
        self.teacher.follow(self.restorer)
