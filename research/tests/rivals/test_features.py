"""Features come from the pass that restores, whole and with their gradient, however the network is run."""

import copy

import pytest
import torch
import torch.nn.functional as F

from noiseda.restoration import Restorer, UNet
from noiseda_research.rivals.features import cells, feature_shape, restore_with_features
from tests.adaptation.examples import restorer


def test_they_are_what_the_deepest_stage_returns_in_one_pass():
    network, images = restorer(depth=3), torch.rand(2, 3, 16, 24)
    passes = []
    network.down[0].register_forward_hook(lambda *_: passes.append(1))
    restored, features = restore_with_features(network, images)
    assert len(passes) == 1
    assert torch.equal(restored, network(images))
    x = images
    for number, stage in enumerate(network.down):
        x = stage(F.avg_pool2d(x, 2) if number else x)
    assert torch.equal(features, x)
    assert features.shape == (2, 16, 4, 6)


@pytest.mark.parametrize("recompute", [False, True])
def test_a_gradient_flows_back_through_them_and_no_hook_stays(recompute):
    network, images = restorer(), torch.rand(2, 3, 16, 16)
    network.recompute = recompute
    _, features = restore_with_features(network, images)
    features.square().sum().backward()
    found = [parameter.grad for parameter in network.down.parameters()]
    x = network.down[1](F.avg_pool2d(network.down[0](images), 2))
    expected = torch.autograd.grad(x.square().sum(), list(network.down.parameters()))
    for mine, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, wanted)
    assert not network.features._forward_hooks
    copy.deepcopy(network)


def test_no_hook_stays_after_an_error_either():
    network = restorer()
    with pytest.raises(ValueError, match="expected images"):
        restore_with_features(network, torch.rand(2, 5, 16, 16))
    assert not network.features._forward_hooks


@pytest.mark.parametrize(("width", "depth"), [(4, 1), (4, 2), (6, 4)])
def test_their_shape_is_found_out(width, depth):
    shape = feature_shape(UNet(width=width, depth=depth))
    assert (shape.channels, shape.shrink) == (width * 2 ** (depth - 1), 2 ** (depth - 1))


def test_they_are_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        restored, features = restore_with_features(restorer(), torch.rand(1, 3, 16, 16))
    assert restored.dtype == features.dtype == torch.float32


def test_a_network_without_features_is_named():
    class Same(Restorer):
        channels, multiple_of = 3, 1

        def restore(self, images):
            return images

    with pytest.raises(TypeError, match="Same names no module"):
        restore_with_features(Same(), torch.rand(1, 3, 8, 8))


def test_cells_are_means_over_a_grid_image_by_image():
    features = torch.rand(2, 3, 8, 8)
    rows = cells(features, 4)
    assert rows.shape == (2 * 16, 3)
    torch.testing.assert_close(rows[16 + 4 + 2], features[1, :, 2:4, 4:6].mean(dim=(1, 2)))
    assert torch.equal(rows[:16], cells(features[:1], 4))
    assert cells(features[:, :, :2, :1], 4).shape == (4, 3)
