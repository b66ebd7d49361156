"""How much of each pilot an image needs, judged by how much each of them takes away."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.restoration.pilots import colourless, opponent

CELL = 8
"""Side in pixels of the cells in which is measured what pilots take away."""

AROUND = 5
"""Cells to a side of what is seen of them at once."""

_LEAST = (0.25 / 255) ** 2  # what is weaker than a quarter of a step of 8 bits counts as that
_USUAL, _SPREAD = -4.0, 1.5  # of the logarithm of deviations


class Chooser(nn.Module):
    """A mixture of pilots, by the strength of the noise around each pixel.

    What a pilot takes away from an image, and what the next stronger one takes beyond it, show how strong the noise is
    and of what grain. Their mean squares over some 40 pixels, of brightness and of colour, are all that the chooser
    sees, beside the light. Small layers make shares of them: of brightness and of colour, for each pilot. Before it is
    trained, all shares are nothing.

    Noise of a grey image in RGB has no colour. There the chooser sees brightness and colour of white noise as strong
    in each channel: such noise it knows.

    Of photographs of cameras, constant shares that the truth chose were 0.3 dB better than the best single pilot, and
    1.5 dB on sidd-small, whose photographs have more noise in their colours.

    Args:
        pilots: how many there are.
        channels: of the images, 1 (grey) or 3 (RGB).
        width: of the layers.
    """

    colours: Tensor

    def __init__(self, pilots: int, channels: int = 3, width: int = 48) -> None:
        super().__init__()
        self.pilots = pilots
        with torch.device("cpu"):
            self.register_buffer("colours", opponent(channels), persistent=False)
        kinds = min(channels, 2)  # brightness, and colour where there is any
        self.first = nn.Conv2d(kinds * (2 * pilots - 1) + 1, width, 1)
        self.second = nn.Conv2d(width, width, 1)
        self.last = nn.Conv2d(width, kinds * pilots, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, images: Tensor, changes: Tensor) -> Tensor:
        """Mix pilots.

        Args:
            images: (B, C, H, W) in [0, 1]; both sides are multiples of :data:`CELL`.
            changes: (B, T * C, H, W), what each pilot changes.

        Returns:
            (B, C, H, W): what their mixture changes.
        """
        colours = self.colours.to(images.dtype)
        planes = torch.einsum("dc,btchw->btdhw", colours, torch.unflatten(changes, 1, (self.pilots, -1)))
        grey = colourless(torch.einsum("dc,bchw->bdhw", colours, images))
        seen = F.relu(self.second(F.relu(self.first(self._seen(images, planes, grey)))))
        return torch.einsum("dc,bdhw->bchw", colours, mixture(planes, self.last(seen)))

    def _seen(self, images: Tensor, planes: Tensor, grey: Tensor) -> Tensor:
        """What is measured of cells; (B, K, H / CELL, W / CELL)."""
        parts = torch.cat([planes, planes[:, 1:] - planes[:, :-1]], dim=1)
        cells = F.avg_pool2d(parts.float().square().flatten(1, 2), CELL)
        cells = torch.unflatten(cells, 1, (2 * self.pilots - 1, -1))
        kinds = [cells[:, :, 0]]
        if cells.shape[2] > 1:
            alone = kinds[0] / cells.shape[2]  # white noise, alike in all channels, is all brightness
            kinds = [torch.where(grey, alone, kinds[0]), torch.where(grey, alone, cells[:, :, 1:].mean(2))]
        around = [F.avg_pool2d(kind, AROUND, 1, AROUND // 2, count_include_pad=False) for kind in kinds]
        strengths = ((torch.cat(around, dim=1) + _LEAST).log() / 2 - _USUAL) / _SPREAD
        light = F.avg_pool2d(images.mean(1, keepdim=True), CELL)
        return torch.cat([strengths.to(images.dtype), light], dim=1)


def mixture(planes: Tensor, shares: Tensor) -> Tensor:
    """The sum of several changes, of each of which there is a share.

    Args:
        planes: brightness and differences of colour of T changes, (B, T, C, H, W).
        shares: of each in each cell, (B, T * K, H / CELL, W / CELL): K is 2, of brightness and of colour; 1 of grey.

    Returns:
        (B, C, H, W).
    """
    shares = torch.unflatten(F.interpolate(shares, scale_factor=CELL, mode="bilinear"), 1, (planes.shape[1], -1))
    mixed = (planes[:, :, :1] * shares[:, :, :1]).sum(1)
    if planes.shape[2] == 1:
        return mixed
    return torch.cat([mixed, (planes[:, :, 1:] * shares[:, :, 1:]).sum(1)], dim=1)
