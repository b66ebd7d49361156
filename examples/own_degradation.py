"""A degradation of your own: `python examples/own_degradation.py CLEAN REAL OUT`.

Here, a sensor some of whose rows are brighter than others.
"""

import sys

import torch
from torch import Tensor

import noiseda


def banding(clean: Tensor, generator: torch.Generator) -> Tensor:
    """(C, H, W) in [0, 1] -> the same, with an offset a row and a little noise; all draws are the generator's."""
    strength = 0.02 + 0.06 * torch.rand(1, generator=generator)
    rows = strength * torch.randn(1, clean.shape[1], 1, generator=generator)
    return clean + rows + 0.02 * torch.randn(clean.shape, generator=generator)


def main(clean: str, real: str, out: str, steps: int = 1000, patch: int = 48) -> noiseda.Summary:
    """Adapt a U-Net with it."""
    torch.manual_seed(0)
    model = noiseda.UNet(width=24)
    objective = noiseda.MeanTeacher(model, noiseda.MeanTeacherSettings())
    data = noiseda.photographs(clean, real, degradation=banding)
    return noiseda.fit(model, objective, data, out=out, training=noiseda.TrainingSettings(steps=steps, patch=patch))


if __name__ == "__main__":
    main(*sys.argv[1:4])
