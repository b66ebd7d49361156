"""A noise predictor of your own: `python examples/own_predictor.py CLEAN REAL OUT`.

Here, it looks at the conditions by cross-attention instead of concatenation.
"""

import sys

import torch
from torch import Tensor, nn

import noiseda


class CrossAttention(nn.Module):
    """Patches of the noised image ask, patches of both restored images answer."""

    def __init__(self, channels: int = 3, side: int = 4, width: int = 64) -> None:
        super().__init__()
        self.cut = nn.Conv2d(channels, width, side, stride=side)
        self.level = nn.Linear(1, width)
        self.attend = nn.MultiheadAttention(width, 4, batch_first=True)
        self.mix = nn.Sequential(nn.Linear(2 * width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        self.join = nn.ConvTranspose2d(width, channels, side, stride=side)

    def forward(self, y_t: Tensor, conditions: tuple[Tensor, ...], level: Tensor) -> Tensor:
        """(B, C, H, W), a tuple of the same, (B,) in 0..1000 -> (B, C, H, W)."""
        asked = self.cut(y_t)
        tokens = asked.flatten(2).transpose(1, 2) + self.level(level[:, None] / 1000)[:, None]
        shown = torch.cat([self.cut(image).flatten(2).transpose(1, 2) for image in conditions], dim=1)
        answered, _ = self.attend(tokens, shown, shown, need_weights=False)
        mixed = self.mix(torch.cat([tokens, answered], dim=2))
        return self.join(mixed.transpose(1, 2).reshape(asked.shape))


def main(clean: str, real: str, out: str, steps: int = 1000, patch: int = 48) -> noiseda.Summary:
    """Adapt a U-Net by the paper's objective with it."""
    torch.manual_seed(0)
    model = noiseda.UNet(width=24)
    denoiser = noiseda.Denoiser(CrossAttention())
    objective = noiseda.NoiseSpace(model, denoiser, noiseda.NoiseSpaceSettings())
    data = noiseda.photographs(clean, real)
    return noiseda.fit(model, objective, data, out=out, training=noiseda.TrainingSettings(steps=steps, patch=patch))


if __name__ == "__main__":
    main(*sys.argv[1:4])
