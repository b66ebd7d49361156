"""The algebra around the network, against numpy."""

import numpy as np
import pytest
import torch
from torch import nn

from noiseda.diffusion import Denoiser, add_noise

B, C, H, W = 3, 3, 4, 5


class Spy(nn.Module):
    """Remembers what it was shown and answers with a fixed tensor, or with the noise itself."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, y_t, conditions, level):
        self.y_t, self.conditions, self.level = y_t, conditions, level
        return self.answer


@pytest.fixture
def images():
    g = torch.Generator().manual_seed(0)
    y = torch.rand(B, C, H, W, generator=g)
    conditions = torch.rand(B, 2 * C, H, W, generator=g).chunk(2, dim=1)
    eps = torch.randn(B, C, H, W, generator=g)
    return y, conditions, eps, torch.tensor([0.9, 0.5, 0.01])


def test_noise_is_added_by_the_formula(images):
    y, _, eps, alpha_bar = images
    noised = add_noise(y, eps, alpha_bar)
    for i in range(B):
        a = alpha_bar[i].item()
        expected = np.sqrt(a) * y[i].numpy() + np.sqrt(1 - a) * eps[i].numpy()
        np.testing.assert_allclose(noised[i].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_noise_keeps_the_variance_of_unit_images():
    g = torch.Generator().manual_seed(0)
    y, eps = torch.randn(8, 1, 100, 100, generator=g), torch.randn(8, 1, 100, 100, generator=g)
    noised = add_noise(y, eps, torch.linspace(0.01, 0.99, 8))
    torch.testing.assert_close(noised.flatten(1).var(dim=1), torch.ones(8), rtol=0.05, atol=0)


def test_the_ends_are_the_image_and_the_noise(images):
    y, _, eps, _ = images
    assert torch.equal(add_noise(y, eps, torch.ones(B)), y)
    assert torch.equal(add_noise(y, eps, torch.zeros(B)), eps)


def test_the_error_is_a_numpy_transcription_image_by_image(images):
    y, conditions, eps, alpha_bar = images
    answer = torch.randn(B, C, H, W, generator=torch.Generator().manual_seed(9))
    error = Denoiser(Spy(answer)).error(y, conditions, eps, alpha_bar)
    assert error.shape == (B,)
    expected = [np.mean((eps[i].numpy() - answer[i].numpy()) ** 2) for i in range(B)]
    np.testing.assert_allclose(error.numpy(), expected, rtol=1e-5)


def test_the_network_sees_images_in_minus_one_to_one_and_levels_spread_over_a_thousand(images):
    y, conditions, eps, alpha_bar = images
    spy = Spy(eps)
    Denoiser(spy).error(y, conditions, eps, alpha_bar)
    a = alpha_bar.numpy()[:, None, None, None]
    y_t = np.sqrt(a) * (2 * y.numpy() - 1) + np.sqrt(1 - a) * eps.numpy()
    np.testing.assert_allclose(spy.y_t.numpy(), y_t, rtol=1e-5, atol=1e-6)
    for shown, condition in zip(spy.conditions, conditions, strict=True):
        np.testing.assert_allclose(shown.numpy(), 2 * condition.numpy() - 1, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(spy.level, torch.tensor([900.0, 500.0, 10.0]))


def test_a_perfect_prediction_has_no_error(images):
    y, conditions, eps, alpha_bar = images
    assert torch.equal(Denoiser(Spy(eps)).error(y, conditions, eps, alpha_bar), torch.zeros(B))


def test_half_precision_predictions_are_measured_in_full(images):
    y, conditions, eps, alpha_bar = images
    error = Denoiser(Spy(eps.bfloat16())).error(y, conditions, eps, alpha_bar)
    assert error.dtype is torch.float32
    assert (error < 1e-4).all()


def test_the_gradient_reaches_the_conditions(images):
    """What adapts the restorer: no stop-gradient between the error and the images that the prediction looks at."""
    y, conditions, eps, alpha_bar = images
    network = nn.Module()
    network.forward = lambda y_t, conditions, level: conditions[0] * conditions[1]
    for condition in conditions:
        condition.requires_grad_()
    Denoiser(network).error(y, conditions, eps, alpha_bar).sum().backward()
    for condition in conditions:
        assert (condition.grad.flatten(1).abs().amax(dim=1) > 0).all()
