"""The residual U-Net: its size in closed form, any size of images, and how it introduces itself."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseda.errors import WeightsError
from noiseda.restoration import build_restorer, load, save_weights
from noiseda.restoration.introduce import teach_spandrel
from noiseda.restoration.residual_unet import ResidualUNet
from noiseda.restorer_settings import RestorerSettings


def moved(**arguments):
    """A network none of whose convolutions is zero."""
    torch.manual_seed(0)
    network = ResidualUNet(**arguments).eval()
    with torch.no_grad():
        for weight in network.parameters():
            if not weight.any():
                weight.normal_(std=0.05)
    return network


def count(width, blocks, channels, fold):
    """Weights and biases of all convolutions, in closed form."""
    depth = len(blocks) // 2 + 1
    widths = [width * 2**stage for stage in range(depth)]
    each = [*widths, *widths[-2::-1]]
    total = sum(2 * number * (9 * a * a + a) for a, number in zip(each, blocks, strict=True))
    for small, large in itertools.pairwise(widths):
        total += (4 * small * large + large) + (4 * large * small + small)
    own = channels * fold**2
    return total + (9 * own * width + width) + (9 * width * own + own)


@pytest.mark.parametrize(
    ("width", "blocks", "channels", "fold"),
    [(16, [1] * 7, 3, 1), (32, [2] * 5, 3, 2), (4, [1, 2, 3], 1, 4), (5, [3], 3, 1)],
)
def test_the_number_of_parameters_and_the_stride_follow_from_its_sizes(width, blocks, channels, fold):
    network = ResidualUNet.outline({"width": width, "blocks": blocks, "channels": channels, "fold": fold})
    assert sum(weight.numel() for weight in network.parameters()) == count(width, blocks, channels, fold)
    assert network.multiple_of == fold * 2 ** (len(blocks) // 2)


@given(height=st.integers(1, 40), width=st.integers(1, 40), channels=st.sampled_from([1, 3]), half=st.integers(0, 3),
       fold=st.sampled_from([1, 2, 4]))  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_any_size_comes_back_unchanged_before_training(height, width, channels, half, fold):
    images = torch.rand(1, channels, height, width)
    network = ResidualUNet(width=2, blocks=[1] * (2 * half + 1), channels=channels, fold=fold)
    torch.testing.assert_close(network(images), images, rtol=0, atol=0)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (13, 200), (31, 33)])
def test_awkward_sizes_are_restored(height, width):
    restored = moved(width=4)(torch.rand(2, 3, height, width))
    assert restored.shape == (2, 3, height, width)
    assert restored.isfinite().all()


def test_gradients_reach_every_parameter_once_the_last_convolutions_have_moved():
    network = moved(width=4)
    network(torch.rand(2, 3, 16, 16)).square().mean().backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in network.parameters())


def test_recomputing_changes_no_gradient():
    images, gradients = torch.rand(2, 3, 16, 16), []
    for recompute in (False, True):
        network = moved(width=4)
        network.recompute = recompute
        network(images).square().mean().backward()
        gradients.append([weight.grad for weight in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_it_comes_back_from_its_file_and_from_bare_weights(tmp_path):
    network = moved(width=4, blocks=(1, 2, 1, 1, 3), fold=2)
    images = torch.rand(1, 3, 21, 34)
    ours, bare = tmp_path / "ours.safetensors", tmp_path / "bare.pth"
    save_weights(
        ours, network.tensors(), architecture=network.architecture, arguments=network.arguments, task="denoise"
    )
    torch.save({"params": network.state_dict()}, bare)
    for path in (ours, bare):
        found = load(path)
        assert found.arguments == network.arguments
        assert torch.equal(found(images), network(images))


@pytest.mark.parametrize(
    "arguments",
    [{"width": 0}, {"width": 4.0}, {"blocks": [1, 1]}, {"blocks": []}, {"blocks": [0, 1, 1]}, {"blocks": "111"},
     {"blocks": 3}, {"channels": 2}, {"fold": 3}, {"depth": 3}, {"pilots": 1}],
)  # fmt: skip
def test_a_file_that_asks_for_nonsense_is_refused(arguments, tmp_path):
    network, path = moved(width=4), tmp_path / "odd.safetensors"
    told = dict(network.arguments) | arguments
    save_weights(path, network.tensors(), architecture=network.architecture, arguments=told, task="denoise")
    with pytest.raises(WeightsError, match="does not fit its own description"):
        load(path)


def test_weights_of_other_networks_are_not_taken_for_it():
    state = moved(width=4).state_dict()
    assert ResidualUNet.detect(state) is not None
    assert ResidualUNet.detect({name: weight for name, weight in state.items() if name != "grow.0.bias"}) is None
    assert ResidualUNet.detect(state | {"more.weight": torch.zeros(1)}) is None
    assert ResidualUNet.detect({}) is None


def test_spandrel_can_be_taught_it(tmp_path):
    spandrel = pytest.importorskip("spandrel")
    teach_spandrel()
    network, images = moved(width=4), torch.rand(1, 3, 32, 40)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    theirs = spandrel.ModelLoader().load_from_file(tmp_path / "weights.pth")
    assert theirs.architecture.id == "noiseda-residual-unet"
    assert torch.equal(theirs(images), network(images).clamp(0, 1))


def test_it_is_built_by_its_name():
    network = build_restorer(RestorerSettings(network="unet-residual", width=4))
    assert network.arguments == {"width": 4, "blocks": [1, 1, 1, 2, 1, 1, 1], "channels": 3, "fold": 1}
