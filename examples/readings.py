"""A modality of one's own: readings of a sensor in text files. `python examples/readings.py CLEAN REAL OUT`."""

import sys
from pathlib import Path

import torch
from torch import Tensor

import noiseda


class Readings(noiseda.Modality):
    """A number a line, in [0, 1]."""

    name, dims, suffixes = "series of readings", 1, frozenset({".txt"})
    tile, overlap = 4096, 256

    def read(self, path: Path) -> noiseda.Signal:
        """Its lines, as (1, T)."""
        return noiseda.Signal(torch.tensor([[float(line) for line in path.read_text().split()]]))

    def write(self, signal: noiseda.Signal, path: Path) -> None:
        """The same."""
        path.write_text("".join(f"{value:.6f}\n" for value in signal.values[0].tolist()))


def drift(clean: Tensor, generator: torch.Generator) -> Tensor:
    """What a cheap sensor adds: noise that lasts."""
    noise = 0.1 * torch.randn(clean.shape, generator=generator)
    return clean + noise + noise.roll(1, dims=-1)


def main(clean: str, real: str, out: str, steps: int = 500) -> list[Path]:
    """Adapt a one-dimensional U-Net to the readings in a folder, and restore them."""
    torch.manual_seed(0)
    model = noiseda.UNet(width=16, depth=3, channels=1, dims=1)
    teacher = noiseda.MeanTeacher(model, noiseda.MeanTeacherSettings())
    objective = noiseda.Stages([(0.0, noiseda.SyntheticOnly(model)), (0.67, teacher)])
    data = noiseda.Signals(Readings(), clean, drift, real=real, side=128)
    training = noiseda.TrainingSettings(steps=steps, batch=16)
    summary = noiseda.fit(model, objective, data, out=f"{out}/run", training=training)
    return noiseda.restore_signals(noiseda.load(summary.weights), real, f"{out}/restored", Readings())


if __name__ == "__main__":
    main(*sys.argv[1:])
