"""Cycle-consistent adaptation: generators both ways that undo each other, and a restorer that learns what they make."""

from __future__ import annotations

import torch
from torch import Tensor

from noiseda import Batch
from noiseda.adaptation import Objective, Sum, Terms, Weights, charbonnier, ramp
from noiseda.restoration import Restorer
from noiseda_research.rivals.adversary import confusion, discriminator_loss, frozen, generator_loss
from noiseda_research.rivals.discriminators import DomainClassifier, PatchDiscriminator
from noiseda_research.rivals.features import feature_shape, restore_with_features
from noiseda_research.rivals.generator import Generator
from noiseda_research.rivals.settings import CycadaSettings


class CycleAdaptation(Objective[None]):
    """CyCADA (Hoffman et al., arXiv 1711.03213), with the generators of CycleGAN's kind (arXiv 1703.10593).

    The paper trains in stages; here all learn at once. The restorer learns on translated images as they are, which the
    generators do not feel; they are held to what the restorer, taken as a constant, makes of their images
    ("semantic consistency").

    Args:
        restorer: the network to adapt.
        settings: weights, and sizes of generators, discriminators and classifier.
    """

    wants_real = True

    def __init__(self, restorer: Restorer, settings: CycadaSettings) -> None:
        super().__init__()
        self.restorer = restorer
        self.settings = settings
        channels = restorer.channels
        self.to_real = Generator(channels=channels, width=settings.width, blocks=settings.blocks)
        self.to_syn = Generator(channels=channels, width=settings.width, blocks=settings.blocks)
        self.discriminator_real = PatchDiscriminator(channels=channels, width=settings.discriminator)
        self.discriminator_syn = PatchDiscriminator(channels=channels, width=settings.discriminator)
        self.classifier = (
            DomainClassifier(feature_shape(restorer).channels, width=settings.width) if settings.feature else None
        )

    def forward(self, batch: Batch, draws: None) -> Terms:
        """Translate both domains there and back, and restore what was translated.

        Returns:
            Errors ``restoration`` and ``translated``, of synthetic inputs and of their translations; ``deceiving`` and
            ``discriminator``, sums over both directions (Eq. 2); ``cycle``, likewise (Eq. 3); ``semantic``, likewise
            (Eq. 4); and, with the classifier, ``domain`` and ``reversed``, which compare the restorer's features of
            translated and of real images.
        """
        x_syn, y_syn, x_real = batch.x_syn, batch.y_syn, batch.x_real
        assert x_real is not None, "cycle-consistent adaptation needs real images in the batch"
        as_real, as_syn = self.to_real(x_syn), self.to_syn(x_real)

        # The restorer learns on synthetic images and their translations; of real ones it has no target.
        restored, features = restore_with_features(self.restorer, x_syn, as_real.detach(), x_real)
        restored_syn, restored_translated, restored_real = restored.chunk(3)
        # The generators must keep what it sees in an image.
        kept = torch.cat([frozen(self.restorer, x) for x in self.restorer.passes(as_real, as_syn)]).float()
        expected = torch.cat([restored_syn, restored_real]).detach()
        back = torch.cat([self.to_syn(as_real), self.to_real(as_syn)])
        errors = {
            "restoration": charbonnier(restored_syn, y_syn),
            "translated": charbonnier(restored_translated, y_syn),
            **self._duel(x_syn, x_real, as_syn, as_real),
            "cycle": _both_ways((back - torch.cat([x_syn, x_real])).abs().flatten(1).mean(dim=1)),
            "semantic": _both_ways(charbonnier(kept, expected)),
        }
        if self.classifier is not None:
            _, translated, real = features.chunk(3)
            errors |= confusion(self.classifier, translated, real)
        return Terms(errors, restored_syn.detach(), restored_real.detach())

    def _duel(self, x_syn: Tensor, x_real: Tensor, as_syn: Tensor, as_real: Tensor) -> dict[str, Tensor]:
        """The errors of both generators and of both discriminators, (B,) each."""
        form = self.settings.form
        of_real = discriminator_loss(form, *self.discriminator_real(torch.cat([x_real, as_real.detach()])).chunk(2))
        of_syn = discriminator_loss(form, *self.discriminator_syn(torch.cat([x_syn, as_syn.detach()])).chunk(2))
        to_real = generator_loss(form, frozen(self.discriminator_real, as_real))
        to_syn = generator_loss(form, frozen(self.discriminator_syn, as_syn))
        return {"deceiving": to_real + to_syn, "discriminator": of_real + of_syn}

    def weights(self, progress: float) -> Weights:
        """L = L_res + L_translated + L_discriminator + the generators' and the features' terms, weighted (Eq. 5)."""
        settings = self.settings
        generators = {"deceiving": settings.adversarial, "cycle": settings.cycle, "semantic": settings.semantic}
        weights: dict[str, float | Sum] = {
            "restoration": 1.0,
            "translated": 1.0,
            "discriminator": 1.0,
            "generators": Sum(1.0, generators),
        }
        if self.classifier is None:
            return weights
        weight = ramp(progress, weight=settings.feature, steepness=settings.ramp)
        return {**weights, "domain": 1.0, "reversed": -weight}


def _both_ways(errors: Tensor) -> Tensor:
    """(2B,), one direction after the other -> (B,), their sum."""
    there, here = errors.chunk(2)
    return there + here
