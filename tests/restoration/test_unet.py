"""The U-Net against the paper's figures, against a transcription of it, and on images of every size."""

import itertools
import math

import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from noiseda.images import from_uint8
from noiseda.restoration import UNet
from tests.reference.unet import PaperUNet, copy_by_order

PHOTO = from_uint8(torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1).contiguous())[None]


def moved(*, seed=0, scale=0.1, **arguments):
    """A U-Net whose last layer is not zero."""
    torch.manual_seed(seed)
    network = UNet(**arguments).eval()
    with torch.no_grad():
        network.head.weight.normal_(std=scale)
        network.head.bias.normal_(std=scale)
    return network


def count(width, depth, channels):
    """Weights and biases of all 3x3 convolutions, in closed form."""
    widths = [width * 2**stage for stage in range(depth)]
    layers = [(channels, width), (width, width), (width, channels)]
    for small, large in itertools.pairwise(widths):
        layers += [(small, large), (large, large)]  # down
        layers += [(large, small), (2 * small, small), (small, small)]  # up
    return sum(9 * a * b + b for a, b in layers)


def test_the_default_is_of_the_papers_size():
    with torch.device("meta"):
        network, image = UNet(), torch.empty(1, 3, 128, 128)
    assert sum(p.numel() for p in network.parameters()) == 8_559_171
    with FlopCounterMode(display=False) as counter:
        network(image)
    assert counter.get_total_flops() / 2 == pytest.approx(12.44e9, abs=5e6)


@pytest.mark.parametrize(("width", "depth", "channels"), [(64, 4, 3), (24, 4, 3), (4, 2, 1), (5, 1, 3), (8, 5, 3)])
def test_the_number_of_parameters_and_the_stride_follow_from_width_and_depth(width, depth, channels):
    with torch.device("meta"):
        network = UNet(width=width, depth=depth, channels=channels)
    assert sum(p.numel() for p in network.parameters()) == count(width, depth, channels)
    assert network.multiple_of == 2 ** (depth - 1)
    assert network.channels == channels


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_papers_network(channels):
    ours = moved(width=8, channels=channels)
    paper = PaperUNet(8, channels)
    copy_by_order(ours, paper)
    images = torch.rand(2, channels, 32, 40)
    torch.testing.assert_close(ours(images), paper(images), rtol=1e-5, atol=1e-6)
    assert (ours(images) - images).abs().mean() > 0.01  # the comparison is not one of zeros


@given(height=st.integers(1, 40), width=st.integers(1, 40), channels=st.sampled_from([1, 3]), depth=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_any_size_comes_back_unchanged_before_training(height, width, channels, depth):
    images = torch.rand(1, channels, height, width)
    torch.testing.assert_close(UNet(width=2, depth=depth, channels=channels)(images), images, rtol=0, atol=0)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (13, 200), (200, 13), (31, 33)])
def test_awkward_sizes_are_restored(height, width):
    restored = moved(width=4)(torch.rand(2, 3, height, width))
    assert restored.shape == (2, 3, height, width)
    assert restored.isfinite().all()


def test_padding_does_not_reach_into_the_image_beyond_what_the_network_sees():
    network = moved(width=4)
    images = PHOTO[..., :64, :64]
    torch.testing.assert_close(network(images), network.restore(images), rtol=0, atol=0)  # no padding: no difference
    # 251 rows are padded to 256; row 100 lies beyond the reach of that padding (two 3x3 convolutions a stage).
    whole, cropped = network(PHOTO[..., :256, :256]), network(PHOTO[..., :251, :256])
    torch.testing.assert_close(cropped[..., :100, :], whole[..., :100, :], rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_parameter_once_the_last_layer_has_moved():
    network = moved(width=4)
    network(torch.rand(2, 3, 16, 16)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def decibel(a, b):
    return -10 * math.log10((a - b).square().mean().item())


def test_memory_format_and_half_precision_change_next_to_nothing():
    network = moved(width=16)
    images = PHOTO[..., 100:196, 200:296]
    with torch.no_grad():
        network.head.weight.mul_(0.2)  # a residual of about the size of real noise
        plain = network(images)
        last = network.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
        with torch.autocast("cpu", torch.bfloat16):
            half = network(images)
    assert decibel(plain, images) < 40  # it does something
    assert decibel(plain, last) > 100
    assert decibel(plain, half.float()) > 50


def test_equal_seeds_give_equal_networks():
    first, second, other = moved(width=4, seed=3), moved(width=4, seed=3), moved(width=4, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.head.weight, other.head.weight)
