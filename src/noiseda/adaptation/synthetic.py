"""No adaptation: the restorer sees synthetic pairs alone. The baseline of every comparison."""

from __future__ import annotations

import torch
from torch import Tensor

from noiseda.adaptation.strategy import Strategy, Terms, charbonnier
from noiseda.data.batches import Batch
from noiseda.restoration import Restorer


class SyntheticOnly(Strategy[None]):
    """Charbonnier on synthetic pairs.

    Args:
        restorer: the network to train.
    """

    def __init__(self, restorer: Restorer) -> None:
        super().__init__()
        self.restorer = restorer

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> None:
        """Nothing is random here."""

    def forward(self, batch: Batch, draws: None) -> Terms:
        """Restore the synthetic images."""
        restored_syn = self.restorer(batch.x_syn).float()
        return Terms({"restoration": charbonnier(restored_syn, batch.y_syn)}, restored_syn.detach())

    def losses(self, terms: Terms, progress: float) -> dict[str, Tensor]:
        """L = L_res."""
        return {"loss": terms.errors["restoration"].mean()}
