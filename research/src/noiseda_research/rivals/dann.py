"""Adversarial features: a classifier that separates the domains, and a restorer that confuses it."""

from __future__ import annotations

from noiseda import Batch
from noiseda.adaptation import Objective, Terms, Weights, charbonnier, ramp
from noiseda.restoration import Restorer
from noiseda_research.rivals.adversary import confusion
from noiseda_research.rivals.discriminators import DomainClassifier
from noiseda_research.rivals.features import feature_shape, restore_with_features
from noiseda_research.rivals.settings import DannSettings


class Dann(Objective[None]):
    """Domain-adversarial training by gradient reversal (Ganin and Lempitsky, arXiv 1409.7495).

    Args:
        restorer: the network to adapt.
        settings: weight and ramp of the reversed gradient, size of the classifier.
    """

    wants_real = True

    def __init__(self, restorer: Restorer, settings: DannSettings) -> None:
        super().__init__()
        self.restorer = restorer
        self.settings = settings
        self.classifier = DomainClassifier(feature_shape(restorer).channels, width=settings.width)

    def forward(self, batch: Batch, draws: None) -> Terms:
        """Restore both domains and let the classifier guess them by their features.

        Returns:
            Errors ``restoration``, ``domain`` and ``reversed`` (:func:`noiseda_research.rivals.adversary.confusion`).
        """
        assert batch.x_real is not None, "domain-adversarial training needs real images in the batch"
        restored, features = restore_with_features(self.restorer, batch.x_syn, batch.x_real)
        restored_syn, restored_real = restored.chunk(2)
        syn, real = features.chunk(2)
        errors = {"restoration": charbonnier(restored_syn, batch.y_syn)} | confusion(self.classifier, syn, real)
        return Terms(errors, restored_syn.detach(), restored_real.detach())

    def weights(self, progress: float) -> Weights:
        """L = L_res + L_domain - weight(p) * L_reversed; the classifier descends where the restorer climbs."""
        weight = ramp(progress, weight=self.settings.weight, steepness=self.settings.ramp)
        return {"restoration": 1.0, "domain": 1.0, "reversed": -weight}
