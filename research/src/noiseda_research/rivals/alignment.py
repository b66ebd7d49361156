"""Feature alignment: the restorer's features of both domains shall be distributed alike, by one of two distances."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from noiseda import Batch
from noiseda.adaptation import Objective, Terms, Weights, charbonnier, ramp
from noiseda.restoration import Restorer
from noiseda_research.rivals.features import cells, restore_with_features

Distance = Callable[[Tensor, Tensor], Tensor]
"""Two sets of samples, (N, K) and (M, K), to a scalar that is 0 where they are alike."""


class Alignment(Objective[None]):
    """L = L_res + weight(p) * distance between the features of both domains.

    Args:
        restorer: the network to adapt.
        distance: :func:`mmd` (Long et al., arXiv 1502.02791) or :func:`coral` (Sun and Saenko, arXiv 1607.01719).
        weight: final weight of the distance.
        steepness: of the weight's ramp.
        grid: cells along each side that features are averaged over.
    """

    wants_real = True

    def __init__(self, restorer: Restorer, distance: Distance, *, weight: float, steepness: float, grid: int) -> None:
        super().__init__()
        _ = restorer.features  # a network without is refused before the run
        self.restorer = restorer
        self.distance = distance
        self.weight = weight
        self.steepness = steepness
        self.grid = grid

    def forward(self, batch: Batch, draws: None) -> Terms:
        """Restore both domains and compare their features.

        Returns:
            Errors ``restoration`` and ``distance``, the latter of the whole batch, repeated for each sample.
        """
        assert batch.x_real is not None, "alignment needs real images in the batch"
        restored, features = restore_with_features(self.restorer, batch.x_syn, batch.x_real)
        restored_syn, restored_real = restored.chunk(2)
        syn, real = cells(features, self.grid).chunk(2)  # (B * cells, K) each
        with torch.autocast(features.device.type, enabled=False):
            distance = self.distance(syn, real)
        errors = {"restoration": charbonnier(restored_syn, batch.y_syn), "distance": distance.expand(len(restored_syn))}
        return Terms(errors, restored_syn.detach(), restored_real.detach())

    def weights(self, progress: float) -> Weights:
        """L = L_res + weight(p) * distance."""
        weight = ramp(progress, weight=self.weight, steepness=self.steepness)
        return {"restoration": 1.0, "distance": weight}


def mmd(a: Tensor, b: Tensor, *, kernels: int = 5) -> Tensor:
    """The squared maximum mean discrepancy of two sets of samples, under several Gaussian kernels.

    MMD^2 = mean k(a, a') + mean k(b, b') - 2 mean k(a, b), all pairs included (the biased estimate of Gretton et al.,
    2012, Eq. 5, which is never negative); k(x, y) = mean over u of exp(-|x - y|^2 / (2^u s)), where s is the mean
    squared distance of all pairs of both sets, taken as a constant, and u runs over ``kernels`` whole numbers around 0
    (several kernels: Long et al., arXiv 1502.02791).

    Args:
        a: (N, K).
        b: (M, K).
        kernels: how many.

    Returns:
        A scalar in [0, 2].
    """
    count = len(a)
    both = torch.cat([a, b])
    squares = both.square().sum(dim=1)
    distances = (squares[:, None] + squares[None] - 2 * both @ both.T).clamp_min(0)  # (N + M, N + M)
    scale = distances.detach().mean().clamp_min(1e-12)
    powers = range(-(kernels // 2), kernels - kernels // 2)
    k = torch.stack([(-distances / (2.0**power * scale)).exp() for power in powers]).mean(dim=0)
    return k[:count, :count].mean() + k[count:, count:].mean() - 2 * k[:count, count:].mean()


def coral(a: Tensor, b: Tensor) -> Tensor:
    """The distance of two covariances, |C_a - C_b|_F^2 / (4 K^2) (Eq. 1, arXiv 1607.01719).

    Covariances are first divided by the mean variance of all features of both sets, taken as a constant: the features'
    unit is a network's own choice, and its fourth power would else decide what a weight means.

    Args:
        a: (N, K).
        b: (M, K).

    Returns:
        A scalar, at least 0.
    """
    of_a, of_b = _covariance(a), _covariance(b)
    scale = ((of_a.diagonal() + of_b.diagonal()).detach().mean() / 2).clamp_min(1e-12)
    return ((of_a - of_b) / scale).square().mean() / 4


def _covariance(samples: Tensor) -> Tensor:
    """(N, K) -> (K, K), over N - 1 (Eq. 2 and 3); zero for one sample."""
    centred = samples - samples.mean(dim=0)
    return centred.T @ centred / max(len(samples) - 1, 1)
