"""diffusers, imported so that it stands beside any build of torch, and a small model of it as it writes them."""

import importlib

import torch

from noiseda.restoration.torchvision_schema import import_torchvision

import_torchvision()
diffusers = importlib.import_module("diffusers")

SMALL = {
    "in_channels": 3, "out_channels": 3, "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 4, "sample_size": 16,
}  # fmt: skip


def model(**changes):
    """A model whose weights are far from any start."""
    torch.manual_seed(5)
    unet = diffusers.UNet2DModel(**(SMALL | changes)).eval()
    with torch.no_grad():
        for weight in unet.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
    return unet


def written(folder, scheduler=None, **changes):
    """A model in a folder of its own, or in that of a pipeline where it has a scheduler; the model, and its folder."""
    unet, place = model(**changes), folder if scheduler is None else folder / "unet"
    unet.save_pretrained(place)
    if scheduler is not None:
        scheduler.save_pretrained(folder / "scheduler")
    return unet, place
