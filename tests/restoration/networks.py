"""Small forms of every network of the catalogue, which tests can afford; and a stand-in for super-resolution."""

import torch
from torch import nn
from torch.nn import functional

from noiseda.restoration import Restorer, build_restorer
from noiseda.restoration.spandrel_models import registry, theirs
from noiseda.restorer_settings import RestorerSettings

SMALL = {
    "unet-tiny": {"width": 4, "depth": 2},
    "unet-residual": {"width": 4, "blocks": [1] * 7},
    "unet-pilots": {"width": 4, "blocks": [1] * 7},
    "unet-groups": {"width": 4, "blocks": [1] * 7},
    "dncnn": {"width": 8, "depth": 4},
    "nafnet": {"width": 4, "blocks": [1] * 9},
    "swinir": {"width": 12, "blocks": [2, 2, 2, 2]},
    "uformer": {"width": 4, "blocks": [1] * 9},
    "drunet": {"width": 4, "blocks": [2]},
    "scunet": {"width": 64, "blocks": [1] * 7},
    "kbnet": {"width": 8, "blocks": [1] * 9},
    "fftformer": {"width": 8, "blocks": [1, 1, 1, 1]},
    "restormer": {"width": 8, "blocks": [1] * 5},
    "mprnet": {"width": 8, "blocks": [1]},
    "mirnet2": {"width": 16, "blocks": [1]},
}


def built(name: str, channels: int = 3) -> Restorer:
    """A small one with random weights."""
    return build_restorer(RestorerSettings(network=name, channels=channels, **SMALL[name]))


def enlarging(scale: int = 2, channels: int = 3) -> nn.Module:
    """A small ESRGAN with random weights, as others publish them."""
    registry()
    return theirs("ESRGAN")(in_nc=channels, out_nc=channels, num_filters=4, num_blocks=1, scale=scale).eval()


class Doubling(Restorer):
    """A stand-in for super-resolution by 2: bilinear enlargement, then a 3 x 3 convolution; it sees two pixels far."""

    multiple_of, scale = 1, 2

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.channels = channels
        self.sharpen = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="replicate", bias=False)
        kernel = torch.tensor([[0.0, -0.1, 0.0], [-0.1, 1.3, -0.1], [0.0, -0.05, 0.05]])
        with torch.no_grad():
            self.sharpen.weight.copy_(kernel * torch.eye(channels)[:, :, None, None])

    def restore(self, images):
        return self.sharpen(functional.interpolate(images, scale_factor=2, mode="bilinear"))
