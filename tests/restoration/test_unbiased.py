"""What noise in the light takes from brightness, what shows it, and the network that puts it back."""

import pytest
import torch

from noiseda.data.camera import linear_from_srgb, srgb_from_linear
from noiseda.restoration import ResidualUNet, Unbiased


def normal(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def in_light(brightness, deviation, photons=False):
    """Noise in the light on an even grey; its deviation at that brightness, in values."""
    grey = torch.full((1, 3, 160, 160), brightness)
    slope = (linear_from_srgb(grey + 1e-3) - linear_from_srgb(grey)) / 1e-3
    variance = (deviation * slope).square()
    light = linear_from_srgb(grey)
    if photons:
        gain = variance / light
        noisy = gain * torch.poisson(light / gain, generator=torch.Generator().manual_seed(0))
    else:
        noisy = light + variance.sqrt() * normal(*grey.shape)
    return grey, srgb_from_linear(noisy.clamp(0, 1))


@pytest.mark.parametrize("brightness", [0.3, 0.6])
@pytest.mark.parametrize("photons", [False, True])
def test_the_loss_is_what_noise_in_the_light_takes(brightness, photons):
    grey, noisy = in_light(brightness, 0.06, photons)
    _, lost = Unbiased().seen(noisy, noisy.mean((2, 3), keepdim=True).expand_as(noisy))
    taken = float((grey - noisy).mean())
    assert taken > 0.002
    assert float(lost.mean()) == pytest.approx(taken, rel=0.1)


@pytest.mark.parametrize(("photons", "expected"), [(False, 1.0), (True, 0.43)])
def test_skewness_shows_it(photons, expected):
    _, noisy = in_light(0.4, 0.03, photons)
    seen, _ = Unbiased().seen(noisy, noisy.mean((2, 3), keepdim=True).expand_as(noisy))
    assert float(seen[0, 0].mean()) == pytest.approx(expected, abs=0.1)
    assert float(seen[0, 1].mean()) < -0.05
    white = 0.4 + 0.06 * normal(1, 3, 160, 160)
    seen, _ = Unbiased().seen(white, torch.full_like(white, 0.4))
    assert float(seen[0, :2].abs().max()) < 0.1


def test_what_neighbours_and_colours_share_is_seen():
    noise = 0.05 * normal(1, 1, 160, 160)
    seen, _ = Unbiased().seen(0.5 + noise.expand(-1, 3, -1, -1), torch.full((1, 3, 160, 160), 0.5))
    assert float(seen[0, 4].mean()) == pytest.approx(1.0, abs=0.01)
    shared = (noise + noise.roll(1, 2) + noise.roll(1, 3) + noise.roll((1, 1), (2, 3))) / 2
    seen, _ = Unbiased(1).seen(0.5 + shared, torch.full((1, 1, 160, 160), 0.5))
    assert float(seen[0, 2].mean()) == pytest.approx(0.5, abs=0.03)
    assert float(seen[0, 3].mean()) == pytest.approx(0.0, abs=0.03)
    assert not seen[0, 4].any()


@pytest.mark.parametrize("channels", [1, 3])
def test_before_it_is_trained_nothing_is_put_back(channels):
    images = torch.rand(2, channels, 24, 32, generator=torch.Generator().manual_seed(0))
    unbiased = Unbiased(channels)
    assert torch.equal(unbiased(images, images / 2), images / 2)
    with torch.no_grad():
        unbiased.last.bias.fill_(0.5)
    _, lost = unbiased.seen(images, images / 2)
    torch.testing.assert_close(unbiased(images, images / 2), images / 2 + lost / 2)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(unbiased(images, images / 2), images / 2 + lost / 2)


def test_a_network_with_it_is_found_by_its_weights_and_learns_without_it():
    torch.manual_seed(0)
    network = ResidualUNet(width=4, blocks=(1, 1, 1), groups=True, look=True, unbiased=True)
    found = ResidualUNet.detect(network.state_dict())
    assert found.arguments == network.arguments
    assert found.arguments["unbiased"] is True
    images = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    assert torch.equal(found(images), network(images))
    with torch.no_grad():
        network.head.bias[:3] = 0.1  # something is taken away
    network(images).square().mean().backward()
    assert network.head.bias.grad.any()
    assert all(one.grad is None for one in network.unbiased.parameters())


def test_it_needs_neither_groups_nor_pilots():
    network = ResidualUNet(width=4, blocks=(1,), unbiased=True)
    assert (network.multiple_of, network.border) == (8, 0)
    assert network(torch.rand(1, 3, 13, 9)).shape == (1, 3, 13, 9)
    with pytest.raises(ValueError, match="unbiased must be true or false"):
        ResidualUNet.outline({"unbiased": 1})
