"""Domain separation: what is particular to a domain goes into an encoder of its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda import Batch
from noiseda.adaptation import Objective, Sum, Terms, Weights, charbonnier, ramp
from noiseda.restoration import Restorer
from noiseda_research.rivals.adversary import confusion
from noiseda_research.rivals.alignment import mmd
from noiseda_research.rivals.convolutions import trunk
from noiseda_research.rivals.discriminators import DomainClassifier
from noiseda_research.rivals.features import FeatureShape, cells, feature_shape, restore_with_features
from noiseda_research.rivals.pairwise import pairwise_error
from noiseda_research.rivals.settings import DsnSettings

GRID = 4
"""Cells along each side that features are averaged over where they are compared as samples."""


class DomainSeparation(Objective[None]):
    """Domain Separation Networks (Bousmalis et al., arXiv 1608.06019); the shared encoder is the restorer's.

    Two private encoders, one a domain, see what is particular to it: a decoder must rebuild the image from shared and
    private features together, while both must not overlap and the shared ones must not show the domain.

    Args:
        restorer: the network to adapt; its features are the shared ones.
        settings: weights, and sizes of the encoders and the decoder.
    """

    wants_real = True

    def __init__(self, restorer: Restorer, settings: DsnSettings) -> None:
        super().__init__()
        self.restorer = restorer
        self.settings = settings
        shape = feature_shape(restorer)
        self.private_syn = _encoder(restorer.channels, shape, settings)
        self.private_real = _encoder(restorer.channels, shape, settings)
        self.decoder = _decoder(restorer.channels, shape, settings)
        self.classifier = (
            DomainClassifier(shape.channels, width=settings.width) if settings.by == "classifier" else None
        )

    def forward(self, batch: Batch, draws: None) -> Terms:
        """Restore both domains, and rebuild their images from shared and private features.

        Returns:
            Errors ``restoration``; ``reconstruction`` (Eq. 4) of both domains; ``difference`` (Eq. 5), of the whole
            batch, repeated; and ``domain`` and ``reversed`` (Eq. 6), or ``distance`` (Eq. 7), repeated.
        """
        assert batch.x_real is not None, "domain separation needs real images in the batch"
        images = torch.cat([batch.x_syn, batch.x_real])
        restored, shared = restore_with_features(self.restorer, batch.x_syn, batch.x_real)
        restored_syn, restored_real = restored.chunk(2)
        private = torch.cat([self.private_syn(batch.x_syn), self.private_real(batch.x_real)]).float()  # as shared

        rebuilt_syn, rebuilt_real = pairwise_error(self.decoder(shared + private), images).chunk(2)
        count = len(restored_syn)
        shared_syn, shared_real = cells(shared, GRID).chunk(2)
        private_syn, private_real = cells(private, GRID).chunk(2)
        with torch.autocast(shared.device.type, enabled=False):
            difference = overlap(shared_syn, private_syn) + overlap(shared_real, private_real)
            distance = mmd(shared_syn, shared_real) if self.classifier is None else None
        errors = {
            "restoration": charbonnier(restored_syn, batch.y_syn),
            "reconstruction": rebuilt_syn + rebuilt_real,
            "difference": difference.expand(count),
        }
        if self.classifier is not None:
            errors |= confusion(self.classifier, *shared.chunk(2))
        elif distance is not None:
            errors["distance"] = distance.expand(count)
        return Terms(errors, restored_syn.detach(), restored_real.detach())

    def weights(self, progress: float) -> Weights:
        """L = L_res + reconstruction L_recon + difference L_difference + similarity(p) L_similarity (Eq. 1).

        The paper switches the similarity on after some thousand steps; here it rises over the run. The classifier
        learns at its own pace: its term is not weighted.
        """
        own = self.settings
        weight = ramp(progress, weight=own.similarity, steepness=own.ramp)
        similarity = {"distance": weight} if self.classifier is None else {"domain": 1.0, "reversed": -weight}
        separation = {"reconstruction": own.reconstruction, "difference": own.difference}
        return {"restoration": 1.0, "separation": Sum(1.0, separation), "similarity": Sum(1.0, similarity)}


def overlap(shared: Tensor, private: Tensor) -> Tensor:
    """How much two sets of features of the same samples have in common: |S^T P|_F^2 / N^2 (Eq. 5).

    S and P hold a sample a row, centred over the samples, then scaled to length 1, so that the value is comparable
    between batches and networks; the paper takes the sum. 0 where the subspaces are orthogonal.

    Args:
        shared: (N, K).
        private: (N, L).

    Returns:
        A scalar in [0, 1].
    """
    s, p = (F.normalize(rows - rows.mean(dim=0), dim=1, eps=1e-6) for rows in (shared, private))
    return (s.T @ p).square().sum() / len(s) ** 2


def _encoder(channels: int, shape: FeatureShape, settings: DsnSettings) -> nn.Sequential:
    """(B, C, H, W) -> (B, K, H / shrink, W / shrink): pixel blocks folded into channels, then convolutions."""
    inside = trunk(channels * shape.shrink**2, shape.channels, width=settings.width, blocks=settings.blocks)
    return nn.Sequential(nn.PixelUnshuffle(shape.shrink), inside)


def _decoder(channels: int, shape: FeatureShape, settings: DsnSettings) -> nn.Sequential:
    """The way back: (B, K, H / shrink, W / shrink) -> (B, C, H, W)."""
    inside = trunk(shape.channels, channels * shape.shrink**2, width=settings.width, blocks=settings.blocks)
    return nn.Sequential(inside, nn.PixelShuffle(shape.shrink))
