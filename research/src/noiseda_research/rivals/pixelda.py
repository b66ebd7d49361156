"""Pixel-level adaptation: a generator gives synthetic inputs the look of real ones, and the restorer learns on both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from noiseda import Batch
from noiseda.adaptation import Objective, Sum, Terms, Weights, charbonnier
from noiseda.restoration import Restorer
from noiseda_research.rivals.adversary import discriminator_loss, frozen, generator_loss
from noiseda_research.rivals.discriminators import PatchDiscriminator
from noiseda_research.rivals.generator import Generator
from noiseda_research.rivals.pairwise import pairwise_error
from noiseda_research.rivals.settings import PixeldaSettings


@dataclass(frozen=True)
class PixelDraws:
    """The random numbers of one step.

    Attributes:
        noise: (B, N, H, W) uniform in [-1, 1].
    """

    noise: Tensor


class PixelAdaptation(Objective[PixelDraws]):
    """PixelDA (Bousmalis et al., arXiv 1612.05424).

    The generator's noise is drawn for each pixel, where the paper expands one vector to an image: what it must imitate
    here is noise, at any image size. The restorer meets real images only by way of generated ones.

    Args:
        restorer: the network to adapt.
        settings: weights, and sizes of generator and discriminator.
    """

    wants_real = True

    def __init__(self, restorer: Restorer, settings: PixeldaSettings) -> None:
        super().__init__()
        self.restorer = restorer
        self.settings = settings
        channels = restorer.channels
        self.generator = Generator(
            channels=channels, noise=settings.noise, width=settings.width, blocks=settings.blocks
        )
        self.discriminator = PatchDiscriminator(channels=channels, width=settings.discriminator)

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> PixelDraws:
        """Draw the generator's noise for targets of (B, C, H, W)."""
        shape = (len(y_syn), self.settings.noise, *y_syn.shape[2:])
        return PixelDraws(2 * torch.rand(shape, generator=generator) - 1)

    def forward(self, batch: Batch, draws: PixelDraws) -> Terms:
        """Generate real-looking inputs and restore them beside the synthetic ones, for the same targets.

        Returns:
            Errors ``restoration`` and ``generated``, of synthetic and of generated inputs (Eq. 3); ``deceiving`` and
            ``discriminator``, of generator and discriminator (Eq. 2); ``content`` (Eq. 5).
        """
        x_syn, y_syn, x_real = batch.x_syn, batch.y_syn, batch.x_real
        assert x_real is not None, "pixel-level adaptation needs real images in the batch"
        form = self.settings.form
        x_generated = self.generator(x_syn, draws.noise)
        restored_syn, restored_generated = self.restorer.restore_jointly(x_syn, x_generated)
        real, generated = self.discriminator(torch.cat([x_real, x_generated.detach()])).chunk(2)
        errors = {
            "restoration": charbonnier(restored_syn, y_syn),
            "generated": charbonnier(restored_generated, y_syn),
            "deceiving": generator_loss(form, frozen(self.discriminator, x_generated)),
            "discriminator": discriminator_loss(form, real, generated),
            "content": pairwise_error(x_syn, x_generated),
        }
        return Terms(errors, restored_syn.detach())

    def weights(self, progress: float) -> Weights:
        """L = L_res + L_generated + adversarial L_deceiving + content L_content + L_discriminator (Eq. 4).

        Generator and restorer share the task's loss, as in the paper.
        """
        generator = {"deceiving": self.settings.adversarial, "content": self.settings.content}
        return {"restoration": 1.0, "generated": 1.0, "generator": Sum(1.0, generator), "discriminator": 1.0}
