"""A blind-spot network: what it says of a pixel, it says without having seen that pixel.

Of the kind of AP-BSN (Lee et al., CVPR 2022, arXiv 2203.11799): two branches begin with a convolution whose centre is
masked, 3x3 and 5x5, and go on with 3x3 convolutions dilated by 2 and by 3. These reach offsets that are multiples of
their dilation only, and no masked offset but zero is one: so the pixel itself is never reached.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDES = (3, 5)
"""Sides of the masked convolutions, one a branch; the dilation of what follows is (side + 1) / 2."""


class BlindSpotNetwork(nn.Module):
    """Predicts each pixel from its surroundings.

    What it predicts is added to the mean of the eight pixels around (ours: AP-BSN predicts the pixel outright). It
    starts as that mean, and a short run has less to learn.

    Args:
        channels: 1 (grey) or 3 (RGB).
        width: channels inside.
        blocks: residual blocks a branch.
    """

    def __init__(self, *, channels: int = 3, width: int = 32, blocks: int = 3) -> None:
        super().__init__()
        self.head = nn.Conv2d(channels, width, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(
                MaskedConv2d(width, side),
                nn.ReLU(inplace=True),
                *(DilatedBlock(width, (side + 1) // 2) for _ in range(blocks)),
            )
            for side in SIDES
        )
        last = nn.Conv2d(width, channels, 1)
        self.tail = nn.Sequential(
            nn.Conv2d(len(SIDES) * width, width, 1), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 1), nn.ReLU(inplace=True),
            last,
        )  # fmt: skip
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        for block in [module for module in self.modules() if isinstance(module, DilatedBlock)]:
            nn.init.zeros_(block.mix.weight)  # a block starts as the identity
        nn.init.zeros_(last.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Predict every pixel; (B, C, H, W) -> the same, H and W of at least 2."""
        features = F.relu(self.head(images))
        seen = torch.cat([branch(features) for branch in self.branches], dim=1)  # (B, 2 * width, H, W)
        return mean_around(images) + self.tail(seen)  # type: ignore[no-any-return]


class MaskedConv2d(nn.Conv2d):
    """A convolution that does not see the pixel it is centred on.

    Args:
        width: channels in and out.
        side: side of the kernel, odd.
    """

    mask: Tensor

    def __init__(self, width: int, side: int) -> None:
        super().__init__(width, width, side, padding=side // 2)
        mask = torch.ones(side, side)
        mask[side // 2, side // 2] = 0
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same."""
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class DilatedBlock(nn.Module):
    """A dilated 3x3 convolution, ReLU, 1x1 convolution; plus a skip.

    Args:
        width: channels in and out.
        dilation: of the 3x3 convolution.
    """

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.reach = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same."""
        return x + self.mix(F.relu(self.reach(x)))  # type: ignore[no-any-return]


def mean_around(images: Tensor) -> Tensor:
    """The mean of the eight pixels around each, reflected at the border (so that no pixel is its own neighbour).

    >>> mean_around(torch.eye(2)[None, None]).flatten().tolist()  # a pixel of a corner: its neighbours count double
    [0.5, 0.5, 0.5, 0.5]
    """
    height, width = images.shape[-2:]
    wide = F.pad(images, (1, 1, 1, 1), mode="reflect")
    around = [wide[..., y : y + height, x : x + width] for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    return torch.stack(around).mean(dim=0)
