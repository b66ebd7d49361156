"""A plain adversarial loss in place of the diffusion loss: the control of the paper's comparison."""

from __future__ import annotations

import torch

from noiseda import Batch
from noiseda.adaptation import Objective, Terms, Weights, charbonnier, ramp
from noiseda.restoration import Restorer
from noiseda_research.rivals.adversary import discriminator_loss, frozen, generator_loss
from noiseda_research.rivals.discriminators import PatchDiscriminator
from noiseda_research.rivals.settings import CriticSettings


class Critic(Objective[None]):
    """A discriminator separates restored real images from clean ones; the restorer is paid for deceiving it.

    Clean examples are the synthetic targets, which belong to none of the real images. No perceptual term.

    Args:
        restorer: the network to adapt.
        settings: weight and ramp, form of the loss, size of the discriminator.
    """

    wants_real = True

    def __init__(self, restorer: Restorer, settings: CriticSettings) -> None:
        super().__init__()
        self.restorer = restorer
        self.settings = settings
        self.discriminator = PatchDiscriminator(channels=restorer.channels, width=settings.width)

    def forward(self, batch: Batch, draws: None) -> Terms:
        """Restore both domains and let the discriminator look at the real one.

        Returns:
            Errors ``restoration``; ``deceiving``, of the restorer; ``discriminator``.
        """
        x_syn, y_syn, x_real = batch.x_syn, batch.y_syn, batch.x_real
        assert x_real is not None, "a critic needs real images in the batch"
        form = self.settings.form
        restored_syn, restored_real = self.restorer.restore_jointly(x_syn, x_real)
        clean, restored = self.discriminator(torch.cat([y_syn, restored_real.detach()])).chunk(2)
        errors = {
            "restoration": charbonnier(restored_syn, y_syn),
            "deceiving": generator_loss(form, frozen(self.discriminator, restored_real)),
            "discriminator": discriminator_loss(form, clean, restored),
        }
        return Terms(errors, restored_syn.detach(), restored_real.detach())

    def weights(self, progress: float) -> Weights:
        """L = L_res + weight(p) * L_deceiving + L_discriminator."""
        weight = ramp(progress, weight=self.settings.weight, steepness=self.settings.ramp)
        return {"restoration": 1.0, "deceiving": weight, "discriminator": 1.0}
