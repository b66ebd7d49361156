"""A signal of one dimension, adapted from end to end: `python examples/one_dimensional.py OUT`.

Clean signals are sums of sines. Synthetic ones have white noise; the "real" ones, whose truth no one knows in training,
have stronger noise and a hum.
"""

import sys

import torch
from torch import Tensor

import noiseda

LENGTH = 256


def clean(generator: torch.Generator) -> Tensor:
    """(1, LENGTH) in [0, 1]."""
    time = torch.linspace(0, 1, LENGTH)
    pitch, phase = torch.rand(2, 3, 1, generator=generator)
    return 0.5 + 0.15 * torch.sin(2 * torch.pi * (pitch * 12 * time + phase)).sum(dim=0, keepdim=True)


def noisy(signal: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """White noise on a signal."""
    return signal + sigma * torch.randn(signal.shape, generator=generator)


def real(signal: Tensor, generator: torch.Generator) -> Tensor:
    """What a recording went through: noise and hum."""
    hum = 0.05 * torch.sin(2 * torch.pi * 50 * torch.linspace(0, 1, LENGTH))
    return noisy(signal + hum, 0.15, generator)


def draw(generator: torch.Generator) -> noiseda.Sample:
    """One sample: a synthetic pair, and a recording of another signal."""
    target = clean(generator)
    return noiseda.Sample(noisy(target, 0.1, generator), target, real(clean(generator), generator))


def main(out: str, steps: int = 500) -> noiseda.UNet:
    """Adapt a one-dimensional U-Net, and read it again."""
    torch.manual_seed(0)
    model = noiseda.UNet(width=16, depth=3, channels=1, dims=1)
    predictor = noiseda.NoisePredictor(channels=1, width=16, channel_mults=(1, 2), blocks=1, patch_size=2, dims=1)
    objective = noiseda.NoiseSpace(model, noiseda.Denoiser(predictor), noiseda.NoiseSpaceSettings())
    summary = noiseda.fit(model, objective, draw, out=out, training=noiseda.TrainingSettings(steps=steps, batch=16))
    return noiseda.load(summary.weights)


if __name__ == "__main__":
    main(sys.argv[1])
