"""No adaptation: the restorer sees synthetic pairs alone. The baseline of every comparison."""

from __future__ import annotations

from noiseda.adaptation.objective import Objective, Terms, Weights, charbonnier
from noiseda.data.batches import Batch
from noiseda.restoration import Restorer


class SyntheticOnly(Objective[None]):
    """Charbonnier on synthetic pairs.

    Args:
        restorer: the network to train.
    """

    by_sample = True

    def __init__(self, restorer: Restorer) -> None:
        super().__init__()
        self.restorer = restorer

    def forward(self, batch: Batch, draws: None) -> Terms:
        """Restore the synthetic images."""
        restored_syn = self.restorer(batch.x_syn).float()
        return Terms({"restoration": charbonnier(restored_syn, batch.y_syn)}, restored_syn.detach())

    def weights(self, progress: float) -> Weights:
        """L = L_res."""
        return {"restoration": 1.0}
