"""A network of your own, adapted: `python examples/own_network.py CLEAN REAL OUT`.

CLEAN is a folder of clean photographs, REAL one of your degraded ones.
"""

import sys

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import noiseda


class Plain(noiseda.Restorer):
    """Three convolutions that predict what to add."""

    channels = 3
    multiple_of = 1

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 3, 3, padding=1),
        )

    def restore(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same shape."""
        return images + self.layers(images)


def main(clean: str, real: str, out: str, steps: int = 1000, patch: int = 48) -> Plain:
    """Adapt it, and read its weights again."""
    torch.manual_seed(0)
    model = Plain()
    objective = noiseda.Stages(
        [(0.0, noiseda.SyntheticOnly(model)), (0.67, noiseda.MeanTeacher(model, noiseda.MeanTeacherSettings()))]
    )
    data = noiseda.photographs(clean, real, degradation="white+camera")
    training = noiseda.TrainingSettings(steps=steps, patch=patch)
    summary = noiseda.fit(model, objective, data, out=out, training=training)
    adapted = Plain()
    adapted.load_state_dict(load_file(summary.weights))
    return adapted.eval()


if __name__ == "__main__":
    main(*sys.argv[1:4])
