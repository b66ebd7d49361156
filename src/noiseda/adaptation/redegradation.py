"""Re-degradation: what is restored, degraded once more and restored again, must be the same (after DCTTA, CVPR 2026).

Several degraded versions of one scene have one clean image. DCTTA makes them by a diffusion model of the degradation;
here there is no such model. What the restorer takes away from an image, its residual x - f(x), is what it takes the
degradation for. Rolled by a random offset, so that it lands on other places, it is added to the restored image:

    f(f(x) + roll(x - f(x))) = f(x)

The first restoration is the target, and no gradient goes through it; the residual has none either. That suits what is
added to an image, such as noise and rain. Blur is no residual that could lie elsewhere.

Decided here: the residual is the image's own, so that it is as strong as that image's noise, and each image is measured
by itself. It may be that of the synthetic pair instead, which is known (``residual``). A restorer that returns its
input agrees with itself as well, so synthetic pairs are learnt from throughout, alone at first. All weights of the
restorer learn, where the paper selects some.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from noiseda.adaptation.objective import Distance, Objective, Terms, Weights, charbonnier
from noiseda.adaptation.ramp import ramp
from noiseda.data.batches import Batch
from noiseda.restoration import Restorer
from noiseda.strategies import RedegradationSettings


@dataclass(frozen=True)
class Offsets:
    """How far each image's residual is rolled.

    Attributes:
        places: (B, dims) int64, 0 up to below the side, for each spatial axis.
    """

    places: Tensor


class Redegradation(Objective[Offsets]):
    """The restorer must restore its own output, degraded again, to itself.

    Args:
        restorer: the network to adapt.
        settings: weight and ramp, whose residual.
        distance: the error of what it restores, against targets and against its first restoration.
    """

    wants_real = True
    by_sample = True

    def __init__(
        self, restorer: Restorer, settings: RedegradationSettings, *, distance: Distance = charbonnier
    ) -> None:
        super().__init__()
        self.restorer = restorer
        self.settings = settings
        self.distance = distance

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> Offsets:
        """Draw an offset along each axis for each image, all equally likely."""
        sides = [torch.randint(side, (len(y_syn),), generator=generator) for side in y_syn.shape[2:]]
        return Offsets(torch.stack(sides, dim=1))

    def forward(self, batch: Batch, draws: Offsets) -> Terms:
        """Restore the real images, degrade the result, and restore that beside the synthetic images.

        Returns:
            Errors ``restoration``; and ``again``, that of the second restoration against the first.
        """
        x_real = batch.x_real
        assert x_real is not None, "re-degradation needs real images in the batch"
        with torch.no_grad():
            first = self.restorer(x_real).float().clamp(0, 1)
        residual = x_real - first if self.settings.residual == "real" else batch.x_syn - batch.y_syn
        restored_syn, again = self.restorer.restore_jointly(batch.x_syn, first + rolled(residual, draws.places))
        errors = {"restoration": self.distance(restored_syn, batch.y_syn), "again": self.distance(again, first)}
        return Terms(errors, restored_syn.detach(), first)

    def weights(self, progress: float) -> Weights:
        """L = L_res + weight(p) * L_again."""
        weight = ramp(progress, weight=self.settings.weight, steepness=self.settings.ramp)
        return {"restoration": 1.0, "again": weight}


def rolled(signals: Tensor, places: Tensor) -> Tensor:
    """Each signal rolled around by offsets of its own; what leaves at the end comes back at the start.

    Args:
        signals: (B, C, *spatial).
        places: (B, dims) int64.

    Returns:
        The same shape.

    >>> rolled(torch.arange(4).view(1, 1, 4), torch.tensor([[1]])).flatten().tolist()
    [3, 0, 1, 2]
    """
    for axis, offsets in enumerate(places.unbind(dim=1), start=2):
        side = signals.shape[axis]
        index = (torch.arange(side, device=signals.device) - offsets[:, None]) % side  # (B, side)
        shape = [1] * signals.ndim
        shape[0], shape[axis] = index.shape
        signals = signals.gather(axis, index.view(shape).expand_as(signals))
    return signals
