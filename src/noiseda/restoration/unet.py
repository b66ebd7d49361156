"""The paper's restoration network: a plain U-Net (arXiv 2406.18516, section 4 and its supplement)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from noiseda.dims import AVERAGES, CONVOLUTIONS, LINEAR, check_dims
from noiseda.restoration.base import Restorer, filled

SLOPE = 0.2
"""Slope of LeakyReLU below zero."""

_SIZES = {"width": range(1, 4097), "depth": range(1, 13), "channels": range(1, 65), "dims": range(1, 4)}


class UNet(Restorer):
    """U-Net that predicts what to add to the degraded image.

    Each stage is two 3x3 convolutions with LeakyReLU(0.2). Going down: average pooling; going up: bilinear
    interpolation and a 3x3 convolution, then concatenation with the stage of the same size. The last 3x3 convolution
    starts at zero, so that an untrained network returns its input.

    ``UNet()`` is the paper's: 8.56 million parameters, 12.4 GMAC for an image of 128 x 128.

    Args:
        width: channels of the first stage; stage s has width * 2**s.
        depth: number of stages.
        channels: 1 (grey), 3 (RGB), or those of another signal.
        dims: spatial dimensions of what is restored: 1 (sound), 2 (images) or 3 (clips, volumes).

    Raises:
        ValueError: where ``dims`` is another.

    Attributes:
        recompute: whether the backward pass computes the inside of the stages anew, to save memory.
    """

    reentrant = True
    recompute = False
    border = 8
    architecture = "unet"
    title = "U-Net"

    def __init__(self, *, width: int = 64, depth: int = 4, channels: int = 3, dims: int = 2) -> None:
        super().__init__()
        check_dims(dims)
        self.channels, self.dims = channels, dims
        self.arguments = {"width": width, "depth": depth, "channels": channels} | ({} if dims == 2 else {"dims": dims})
        self.multiple_of = 2 ** (depth - 1)
        widths = [width * 2**stage for stage in range(depth)]
        self.down = nn.ModuleList(_stage(a, b, dims) for a, b in zip([channels, *widths], widths, strict=False))
        upward = list(zip(widths[:0:-1], widths[-2::-1], strict=True))  # (from, to), deepest first
        self.grow = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2, mode=LINEAR[dims], align_corners=False),
                CONVOLUTIONS[dims](a, b, 3, padding=1),
            )
            for a, b in upward
        )
        self.up = nn.ModuleList(_stage(2 * b, b, dims) for _, b in upward)
        self.head = CONVOLUTIONS[dims](width, channels, 3, padding=1)
        for module in self.modules():
            if isinstance(module, CONVOLUTIONS[dims]):  # keeps the signal's size from layer to layer (arXiv 1502.01852)
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.head.weight)

    @classmethod
    def outline(cls, arguments: Mapping[str, object]) -> UNet:
        """The network without memory for its weights, and without random draws.

        Args:
            arguments: those of the constructor: width from 1 to 4096, depth from 1 to 12, 1 or 3 channels; with dims 1
                or 3, up to 64 channels.

        Raises:
            ValueError: One is another.
        """
        sizes = {"width": 64, "depth": 4, "channels": 3, "dims": 2}
        for name, value in arguments.items():
            if name not in sizes:
                raise ValueError(f"it has no argument {name[:40]!r}")
            if type(value) is not int or value not in _SIZES[name]:
                raise ValueError(f"{name} must be a whole number from 1 to {max(_SIZES[name])}, not {str(value)[:40]}")
            sizes[name] = value
        if sizes["dims"] == 2 and sizes["channels"] not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, not {sizes['channels']}")
        with torch.device("meta"):
            return cls(**sizes)

    @classmethod
    def detect(cls, state: Mapping[str, Tensor]) -> UNet | None:
        """The network that some weights are of; None where they are not those of such a U-Net.

        >>> UNet.detect(UNet(width=4, depth=3, channels=1).state_dict()).arguments
        {'width': 4, 'depth': 3, 'channels': 1}
        """
        first = state.get("down.0.0.weight")
        if first is None or first.ndim not in (3, 4, 5) or not {"head.weight", "head.bias"} <= state.keys():
            return None
        depth = len({name.split(".")[1] for name in state if name.startswith("down.")})
        try:
            found = cls.outline(
                {"width": first.shape[0], "depth": depth, "channels": first.shape[1], "dims": first.ndim - 2}
            )
        except ValueError:
            return None
        return filled(found, state)

    @property
    def features(self) -> nn.Module:
        """The deepest stage; (B, width * 2**(depth - 1), H / multiple_of, W / multiple_of)."""
        return self.down[-1]

    def restore(self, images: Tensor) -> Tensor:
        """Restore signals whose sides are multiples of ``multiple_of``; (B, C, *spatial) -> the same."""
        x = images
        skips: list[Tensor] = []
        for stage in self.down:
            x = self._run(stage, AVERAGES[self.dims](x, 2) if skips else x)  # (B, width * 2**s, *spatial / 2**s)
            skips.append(x)
        skips.pop()
        for grow, stage in zip(self.grow, self.up, strict=True):
            x = self._run(stage, torch.cat([grow(x), skips.pop()], dim=1))
        return images + self.head(x)  # type: ignore[no-any-return]

    def _run(self, stage: nn.Module, x: Tensor) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(stage, x, use_reentrant=False)  # type: ignore[no-any-return]
        return stage(x)  # type: ignore[no-any-return]


def _stage(in_channels: int, out_channels: int, dims: int) -> nn.Sequential:
    """Two convolutions of side 3, each followed by LeakyReLU(0.2)."""
    return nn.Sequential(
        CONVOLUTIONS[dims](in_channels, out_channels, 3, padding=1),
        nn.LeakyReLU(SLOPE, inplace=True),
        CONVOLUTIONS[dims](out_channels, out_channels, 3, padding=1),
        nn.LeakyReLU(SLOPE, inplace=True),
    )
