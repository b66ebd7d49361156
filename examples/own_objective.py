"""An objective of your own: `python examples/own_objective.py CLEAN REAL OUT`.

Here, restored real photographs shall be piecewise smooth: their total variation is held down, late in the run more.
"""

import sys

import torch
from torch import Tensor

import noiseda


class TotalVariation(noiseda.Objective):
    """L = L_res + weight(p) * TV(restored real photograph)."""

    wants_real = True

    def __init__(self, restorer: noiseda.Restorer, weight: float = 0.05) -> None:
        super().__init__()
        self.restorer, self.weight = restorer, weight

    def forward(self, batch: noiseda.Batch, draws: None) -> noiseda.Terms:
        """The errors of a batch, one a sample."""
        syn, real = self.restorer.restore_jointly(batch.x_syn, batch.x_real)
        errors = {"restoration": noiseda.charbonnier(syn, batch.y_syn), "variation": total_variation(real)}
        return noiseda.Terms(errors, syn.detach(), real.detach())

    def weights(self, progress: float) -> noiseda.Weights:
        """How much each of them counts when a share of the run is done."""
        return {"restoration": 1.0, "variation": noiseda.ramp(progress, weight=self.weight, steepness=5.0)}


def total_variation(images: Tensor) -> Tensor:
    """(B, C, H, W) -> (B,)."""
    down, right = images.diff(dim=2).abs(), images.diff(dim=3).abs()
    return down.flatten(1).mean(dim=1) + right.flatten(1).mean(dim=1)


def main(clean: str, real: str, out: str, steps: int = 1000, patch: int = 48) -> noiseda.Summary:
    """Adapt a U-Net by it."""
    torch.manual_seed(0)
    model = noiseda.UNet(width=24)
    data = noiseda.photographs(clean, real)
    training = noiseda.TrainingSettings(steps=steps, patch=patch)
    return noiseda.fit(model, TotalVariation(model), data, out=out, training=training)


if __name__ == "__main__":
    main(*sys.argv[1:4])
