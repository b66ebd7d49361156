"""The networks that can be had by name: our own U-Nets, and those whose code comes with spandrel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import nn

from noiseda.errors import UserError
from noiseda.restoration.base import Restorer
from noiseda.restoration.own import OWN
from noiseda.restoration.residual_unet import ResidualUNet
from noiseda.restoration.spandrel_models import detect, require, theirs
from noiseda.restoration.unet import UNet
from noiseda.restorer_settings import SIZES, RestorerSettings

HEAD = 8
"""Least number of channels of an attention head, where heads are not the architecture's own."""


@dataclass(frozen=True)
class Network:
    """A network that can be built.

    Attributes:
        make: builds it with random weights, from its size (width, depth or blocks) and the number of channels.
        architecture: the name under which its weights are known.
        paper: where it was published.
        licence: of its code.
        multiple_of: sides of images are padded to a multiple of this (of a U-Net: by its depth).
        minimum: and to this at least.
        square: and to one another.
        level: channels beside the image: one, where it is given the strength of the noise.
    """

    make: Callable[..., nn.Module]
    architecture: str
    paper: str
    licence: str
    multiple_of: int = 1
    minimum: int = 1
    square: bool = False
    level: int = 0


def build(settings: RestorerSettings) -> Restorer:
    """Build a network with random weights, drawn from torch's own generator.

    What is trained is what a file of its weights says it is: a network of another's code is built once, and then
    recognised by its weights as any reader of the file will.

    Raises:
        UserError: when what the network comes with is not installed, or there is none of that size.
    """
    settings = settings.settled()
    settings.check()
    network = NETWORKS[settings.network]
    size = {name: getattr(settings, name) for name in SIZES[settings.network]}
    if network.architecture in OWN:
        return cast(Restorer, network.make(**size, channels=settings.channels))
    require(network.architecture)
    asked = ", ".join(f"--restorer.{name} {value}" for name, value in size.items())
    try:
        state = network.make(**size, channels=settings.channels).state_dict()
    except (ValueError, RuntimeError, AssertionError, ZeroDivisionError, TypeError) as error:
        raise UserError(f"there is no {settings.network} with {asked}: {error}") from error
    found = detect(state, f"{settings.network} with {asked}")
    if found.architecture != network.architecture:
        raise UserError(
            f"{settings.network} with {asked} would be taken for {found.architecture} when its file is read again"
        )
    return found


def _heads(width: int, most: int) -> int:
    """As many heads as go into a width, and no more than usual."""
    return next(count for count in range(most, 0, -1) if width % count == 0)


def _dncnn(width: int, depth: int, channels: int) -> nn.Module:
    return theirs("DnCNN")(in_nc=channels, out_nc=channels, nc=width, nb=depth)


def _nafnet(width: int, blocks: Sequence[int], channels: int) -> nn.Module:
    return theirs("NAFNet")(**_down_and_up(width, blocks, channels))


def _kbnet(width: int, blocks: Sequence[int], channels: int) -> nn.Module:
    return theirs("KBNet_s")(**_down_and_up(width, blocks, channels))


def _down_and_up(width: int, blocks: Sequence[int], channels: int) -> dict[str, Any]:
    middle = len(blocks) // 2
    return {
        "img_channel": channels,
        "width": width,
        "enc_blk_nums": list(blocks[:middle]),
        "middle_blk_num": blocks[middle],
        "dec_blk_nums": list(blocks[middle + 1 :]),
    }


def _swinir(width: int, blocks: Sequence[int], channels: int) -> nn.Module:
    return theirs("SwinIR")(
        in_chans=channels,
        embed_dim=width,
        depths=list(blocks),
        num_heads=[_heads(width, 6)] * len(blocks),
        window_size=8,
        mlp_ratio=2.0,
        upsampler="",
        upscale=1,
    )


def _uformer(width: int, blocks: Sequence[int], channels: int) -> nn.Module:
    return theirs("Uformer")(
        img_size=128, in_chans=channels, dd_in=channels, embed_dim=width, depths=list(blocks), modulator=True
    )


def _drunet(width: int, blocks: Sequence[int], channels: int) -> nn.Module:
    if blocks[0] < 2:
        raise ValueError("it needs two blocks a stage or more")
    widths = [width * 2**stage for stage in range(4)]
    return theirs("DRUNet")(in_nc=channels + 1, out_nc=channels, nc=widths, nb=blocks[0])


def _scunet(width: int, blocks: Sequence[int], channels: int) -> nn.Module:
    if width % 64:
        raise ValueError("its heads are 32 channels wide, in half of the width: it must be a multiple of 64")
    return theirs("SCUNet")(in_nc=channels, config=list(blocks), dim=width)


def _fftformer(width: int, blocks: Sequence[int], channels: int) -> nn.Module:
    *stages, refinement = blocks
    return theirs("FFTformer")(
        inp_channels=channels, out_channels=channels, dim=width, num_blocks=stages, num_refinement_blocks=refinement
    )


def _restormer(width: int, blocks: Sequence[int], channels: int) -> nn.Module:
    *stages, refinement = blocks
    return theirs("Restormer")(
        inp_channels=channels, out_channels=channels, dim=width, num_blocks=stages, num_refinement_blocks=refinement
    )


def _mprnet(width: int, blocks: Sequence[int], channels: int) -> nn.Module:
    more, less = width // 2, width * 2 // 5
    return theirs("MPRNet")(
        in_c=channels, out_c=channels, n_feat=width, scale_unetfeats=more, scale_orsnetfeats=less, num_cab=blocks[0]
    )


def _mirnet2(width: int, blocks: Sequence[int], channels: int) -> nn.Module:
    return theirs("MIRNet2")(inp_channels=channels, out_channels=channels, n_feat=width, n_MRB=blocks[0])


_UNSEEN = "as spandrel has it (its own was not seen)"
_ACADEMIC = "Academic Public License (no commercial use)"
_UNET = Network(UNet, "unet", "2406.18516", "MIT")
NETWORKS: dict[str, Network] = {
    "unet": _UNET,
    "unet-tiny": _UNET,
    "unet-large": _UNET,
    "unet-paper": _UNET,
    "unet-deep": _UNET,
    "unet-residual": Network(ResidualUNet, "residual-unet", "(ours)", "MIT"),
    "unet-pilots": Network(partial(ResidualUNet, pilots=True), "residual-unet", "(ours)", "MIT"),
    "unet-groups": Network(partial(ResidualUNet, groups=True), "residual-unet", "(ours)", "MIT"),
    "dncnn": Network(_dncnn, "DnCNN", "1608.03981", "MIT"),
    "nafnet": Network(_nafnet, "NAFNet", "2204.04676", "MIT"),
    "swinir": Network(_swinir, "SwinIR", "2108.10257", "Apache-2.0", minimum=16),
    "uformer": Network(_uformer, "Uformer", "2106.03106", "MIT", multiple_of=128, square=True),
    "drunet": Network(_drunet, "DRUNet", "2008.13751", "MIT", multiple_of=8, level=1),
    "scunet": Network(_scunet, "SCUNet", "2203.13278", _UNSEEN, minimum=40),
    "kbnet": Network(_kbnet, "KBNet", "2303.02881", _UNSEEN),
    "fftformer": Network(_fftformer, "FFTformer", "2211.12250", _UNSEEN, multiple_of=32),
    "restormer": Network(_restormer, "Restormer", "2111.09881", _ACADEMIC, multiple_of=8),
    "mprnet": Network(_mprnet, "MPRNet", "2102.02808", _ACADEMIC, multiple_of=8),
    "mirnet2": Network(_mirnet2, "MIRNet2", "2205.01649", _ACADEMIC, multiple_of=4),
}
"""Name -> network; in the order of :data:`noiseda.restorer_settings.SIZES`."""


def parameters(network: nn.Module) -> int:
    """Number of weights of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def example(network: Restorer, side: int = 128) -> torch.Tensor:
    """One image of the size nearest to a side that a network takes as it is; (1, C, H, W)."""
    return torch.zeros(1, network.channels, *network.padded(side, side))
