"""The small networks that strategies throw away: shapes, what they are at the start, and how far they see."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from noiseda_research.rivals.convolutions import SpectralConvolution
from noiseda_research.rivals.discriminators import DomainClassifier, PatchDiscriminator
from noiseda_research.rivals.generator import Generator
from noiseda_research.rivals.pairwise import pairwise_error
from tests.adaptation.examples import move


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("noise", [0, 2])
def test_an_untrained_generator_returns_its_input_and_can_learn(channels, noise):
    network = Generator(channels=channels, noise=noise, width=4, blocks=2)
    images, z = torch.rand(2, channels, 12, 16), torch.rand(2, noise, 12, 16)
    assert torch.equal(network(images, z), images)
    move(network)
    out = network(images, z)
    assert out.shape == images.shape
    assert not torch.equal(out, images)
    out.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_a_verdict_sees_20_pixels():
    network, images = PatchDiscriminator(width=4), torch.rand(1, 3, 64, 64, requires_grad=True)
    verdicts = network(images)
    assert verdicts.shape == (1, 1, 16, 16)
    verdicts[0, 0, 8, 8].backward()
    rows = images.grad.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    assert rows.max() - rows.min() + 1 == 20


@pytest.mark.parametrize("stride", [1, 2])
def test_a_spectral_convolution_is_torchs(stride):
    """Value and gradient of torch's own parametrisation, once both power iterations have converged."""
    mine = SpectralConvolution(3, 5, size=4, stride=stride)
    plain = nn.Conv2d(3, 5, 4, stride=stride, padding=1)
    plain.load_state_dict({name: value for name, value in mine.state_dict().items() if name != "left"})
    theirs = parametrizations.spectral_norm(plain, n_power_iterations=200)
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        for _ in range(200):
            mine(x)
    for a, b in zip(
        (mine(x), mine.norm()), (theirs(x), torch.linalg.matrix_norm(mine.weight.flatten(1), 2)), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    mine(x).square().sum().backward()
    theirs(x).square().sum().backward()
    torch.testing.assert_close(mine.weight.grad, plain.parametrizations.weight.original.grad, rtol=1e-3, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        assert mine(x).dtype == torch.bfloat16
        torch.testing.assert_close(mine.norm(), mine.norm().float())
    left = mine.eval().left.clone()
    mine(x)
    assert torch.equal(mine.left, left)


@pytest.mark.parametrize("sides", [(4, 4), (17, 30)])
def test_a_discriminator_takes_any_size_from_4_pixels(sides):
    assert PatchDiscriminator(channels=1, width=4)(torch.rand(2, 1, *sides)).isfinite().all()


def test_a_classifier_judges_each_position_by_itself():
    network, features = DomainClassifier(6, width=8).eval(), torch.randn(2, 6, 3, 5)
    assert network(features).shape == (2, 1, 3, 5)
    torch.testing.assert_close(network(100 * features), network(features))  # larger features say no more
    torch.testing.assert_close(network(features)[..., 1:2, 2:3], network(features[..., 1:2, 2:3]))


def test_the_pairwise_error_is_that_of_all_pairs():
    """Half the mean of ((a_i - a_j) - (b_i - b_j))^2 over all i, j; a shift costs nothing."""
    a, b = torch.rand(2, 2, 3, 4, 5)
    d = (a - b).flatten(1)
    pairs = (d[:, :, None] - d[:, None, :]).square().mean(dim=(1, 2)) / 2
    torch.testing.assert_close(pairwise_error(a, b), pairs)
    torch.testing.assert_close(pairwise_error(a, b + 0.3), pairs, rtol=1e-4, atol=1e-6)
    assert pairwise_error(a, a + 0.5).max() < 1e-9
