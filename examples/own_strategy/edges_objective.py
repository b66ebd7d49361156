"""The objective of a strategy, and the table that noiseda finds it by."""

from edges import EdgesSettings

import noiseda
from noiseda import Batch, Restorer, Terms


class Edges(noiseda.SyntheticOnly):
    """The error of synthetic pairs, and that of the differences between neighbours."""

    def __init__(self, restorer: Restorer, own: EdgesSettings) -> None:
        super().__init__(restorer)
        self.own = own

    def forward(self, batch: Batch, draws: None) -> Terms:
        """Restore the batch and measure it."""
        restored = self.restorer(batch.x_syn).float()
        edges = (restored - batch.y_syn).diff(dim=-1).abs().flatten(1).mean(dim=1)
        errors = {"restoration": noiseda.charbonnier(restored, batch.y_syn), "edges": edges}
        return Terms(errors, restored.detach())

    def weights(self, progress: float) -> noiseda.Weights:
        """How much each error counts."""
        return {"restoration": 1.0, "edges": self.own.weight}


BUILDERS = {"edges": lambda restorer, settings, levels: Edges(restorer, settings.section(EdgesSettings))}
