"""The building blocks of the networks that strategies bring along and throw away."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
"""Slope of LeakyReLU below zero, as in the restorer."""


def convolution(in_channels: int, out_channels: int, *, size: int = 3, stride: int = 1) -> nn.Conv2d:
    """A padded convolution whose weights keep the signal's size through LeakyReLU (arXiv 1502.01852)."""
    layer = nn.Conv2d(in_channels, out_channels, size, stride=stride, padding=(size - 1) // 2)
    nn.init.kaiming_normal_(layer.weight, a=SLOPE)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def zero(layer: nn.Conv2d) -> nn.Conv2d:
    """Start a convolution at zero, so that the branch it ends adds nothing at first."""
    nn.init.zeros_(layer.weight)
    return layer


class SpectralConvolution(nn.Conv2d):
    """A padded convolution whose weight, as a matrix of ``out_channels`` rows, has a spectral norm of 1.

    The norm is that of a power iteration, one step a pass in training mode (Algorithm 1, arXiv 1802.05957), in float32
    also under autocast; unlike torch's own parametrisation it can be pickled, as the data loader's processes need it.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        size: side of the kernel.
        stride: of the convolution.
    """

    left: Tensor

    def __init__(self, in_channels: int, out_channels: int, *, size: int = 3, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, size, stride=stride, padding=(size - 1) // 2)
        nn.init.kaiming_normal_(self.weight, a=SLOPE)
        assert self.bias is not None
        nn.init.zeros_(self.bias)
        self.register_buffer("left", F.normalize(torch.randn(out_channels), dim=0))
        for _ in range(15):
            self.norm()

    def norm(self) -> Tensor:
        """The largest singular value of the weight, as far as the iteration has come; a scalar."""
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.float().flatten(1)  # (out_channels, in_channels * size^2)
            with torch.no_grad():
                right = F.normalize(matrix.T @ self.left, dim=0)
                left = F.normalize(matrix @ right, dim=0)
                if self.training:
                    self.left.copy_(left)
            return left @ matrix @ right

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        return F.conv2d(x, self.weight / self.norm(), self.bias, self.stride, self.padding)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with LeakyReLU(0.2) before each, added to their input; they add nothing at first.

    Without normalisation, which would take away the very strength of the noise that domains differ in.

    Args:
        width: channels in and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.LeakyReLU(SLOPE), convolution(width, width), nn.LeakyReLU(SLOPE), zero(convolution(width, width))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same."""
        return x + self.branch(x)  # type: ignore[no-any-return]


def trunk(in_channels: int, out_channels: int, *, width: int, blocks: int) -> nn.Sequential:
    """A convolution, residual blocks, LeakyReLU, a convolution; (B, in_channels, H, W) -> (B, out_channels, H, W)."""
    inside = [ResidualBlock(width) for _ in range(blocks)]
    return nn.Sequential(
        convolution(in_channels, width), *inside, nn.LeakyReLU(SLOPE), convolution(width, out_channels)
    )
