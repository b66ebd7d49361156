"""Transplanted noise: what a restorer takes from real images, put onto clean ones, makes pairs of the real kind.

Noise taken from the user's own images and put onto others (GCBD, Chen et al., CVPR 2018; Noise2Grad, Lin et al., IJCAI
2021) is estimated by a denoiser that what it made has trained, round after round, as the targets of IDR are (Zhang et
al., CVPR 2022, arXiv 2111.14358). Here that denoiser is a moving average of the restorer: the estimate is refined all
through one run. A restorer that only knows white noise leaves part of a correlated one in the image; trained on the
part it took, it takes more.

Noise depends on brightness, which clean images have elsewhere. Its standard deviation s as a function of brightness is
measured on the way, and a residual is scaled from the brightness that it came from to that on which it lands.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from noiseda import Batch
from noiseda.adaptation import Objective, Teacher, Terms, Weights, charbonnier, ramp
from noiseda.estimation import NoiseLevels
from noiseda.orientations import COUNT, turn_each
from noiseda.restoration import Restorer
from noiseda_research.rivals.settings import TransplantSettings

LARGEST = 4.0
"""Largest factor by which noise is scaled up or down from one brightness to another."""


@dataclass(frozen=True)
class Moves:
    """Where the noise of each real image lands, and how strong it is there.

    Attributes:
        orientation: (B,) int64, 0..7.
        shift: (B, 2) int64: rows and columns by which it is rolled.
        strength: (B,) factors.
    """

    orientation: Tensor
    shift: Tensor
    strength: Tensor


class Transplant(Objective[Moves]):
    """The restorer learns from synthetic pairs, and from clean images that wear the noise of the real ones.

    Args:
        restorer: the network to adapt.
        settings: weight and ramp, the teacher, the range of strengths, the brightness bins.
    """

    wants_real = True

    def __init__(self, restorer: Restorer, settings: TransplantSettings) -> None:
        super().__init__()
        self.restorer = restorer
        self.teacher = Teacher(restorer, decay=settings.decay, views=settings.views)
        self.levels = NoiseLevels(restorer.channels, settings.bins)
        self.settings = settings

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> Moves:
        """Draw an orientation, a shift and a strength for each image."""
        count, _, height, width = y_syn.shape
        low, high = self.settings.strength
        shift = torch.rand(count, 2, generator=generator) * torch.tensor([height, width])
        return Moves(
            orientation=torch.randint(COUNT, (count,), generator=generator),
            shift=shift.long(),
            strength=low + (high - low) * torch.rand(count, generator=generator),
        )

    def forward(self, batch: Batch, draws: Moves) -> Terms:
        """Restore the synthetic inputs, and the clean images under transplanted noise.

        Returns:
            Errors ``restoration`` and ``transplant``, both Charbonnier against ``y_syn``; and ``residual``, the
            standard deviation of what the teacher takes from the real images, to watch.
        """
        x_real, y_syn = batch.x_real, batch.y_syn
        assert x_real is not None, "transplanting noise needs real images in the batch"
        with torch.no_grad():
            clean = self.teacher(x_real)
            noise = x_real - clean
            noise = noise - noise.mean(dim=(2, 3), keepdim=True)  # a shift of colour is no noise
            self.levels.observe(noise, clean)
            landed, origin = (rolled(turn_each(images, draws.orientation), draws.shift) for images in (noise, clean))
            factor = (self.levels(y_syn) / self.levels(origin)).clamp(1 / LARGEST, LARGEST)
            x_new = (y_syn + draws.strength[:, None, None, None] * factor * landed).clamp(0, 1)
        restored_syn, restored_new = self.restorer.restore_jointly(batch.x_syn, x_new)
        errors = {
            "restoration": charbonnier(restored_syn, y_syn),
            "transplant": charbonnier(restored_new, y_syn),
            "residual": noise.square().flatten(1).mean(dim=1).sqrt(),
        }
        return Terms(errors, restored_syn.detach(), clean)

    def weights(self, progress: float) -> Weights:
        """L = L_res + weight(p) * L_transplant."""
        weight = ramp(progress, weight=self.settings.weight, steepness=self.settings.ramp)
        return {"restoration": 1.0, "transplant": weight}

    def after_step(self, progress: float) -> None:
        """The teacher follows, and what was seen of the noise becomes part of what is known."""
        self.teacher.follow(self.restorer)
        self.levels.settle()


def rolled(images: Tensor, shift: Tensor) -> Tensor:
    """Roll each image by rows and columns of its own.

    Args:
        images: (B, C, H, W).
        shift: (B, 2) int64: rows down, columns to the right.

    Returns:
        (B, C, H, W): what leaves at one side comes in at the other.
    """
    count, _, height, width = images.shape
    image = torch.arange(count, device=images.device)[:, None, None]
    row = (torch.arange(height, device=images.device) - shift[:, :1]) % height  # (B, H)
    column = (torch.arange(width, device=images.device) - shift[:, 1:]) % width  # (B, W)
    return images.permute(0, 2, 3, 1)[image, row[:, :, None], column[:, None, :]].permute(0, 3, 1, 2)
