"""No adaptation: the restorer sees synthetic pairs alone. The baseline of every comparison."""

from __future__ import annotations

from noiseda.adaptation.objective import Distance, Objective, Terms, Weights, charbonnier
from noiseda.data.batches import Batch
from noiseda.restoration import Restorer


class SyntheticOnly(Objective[None]):
    """The error on synthetic pairs.

    Args:
        restorer: the network to train.
        distance: the error of what it restores.
    """

    by_sample = True

    def __init__(self, restorer: Restorer, *, distance: Distance = charbonnier) -> None:
        super().__init__()
        self.restorer = restorer
        self.distance = distance

    def forward(self, batch: Batch, draws: None) -> Terms:
        """Restore the synthetic images."""
        restored_syn = self.restorer(batch.x_syn).float()
        return Terms({"restoration": self.distance(restored_syn, batch.y_syn)}, restored_syn.detach())

    def weights(self, progress: float) -> Weights:
        """L = L_res."""
        return {"restoration": 1.0}
