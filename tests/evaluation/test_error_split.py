"""The split of an error: each part found where it was put, and all of them adding up."""

import pytest
import torch

from noiseda.evaluation.error_split import split_error


@pytest.fixture
def images():
    g = torch.Generator().manual_seed(0)
    fine = torch.randn(3, 90, 75, generator=g)
    target = 0.5 + 0.1 * fine
    noise = 0.05 * torch.randn(3, 90, 75, generator=g)
    return target, noise


def test_the_parts_add_up(images):
    target, noise = images
    restored = target + 0.3 * noise - 0.2 * (target - 0.5) + 0.02
    split = split_error(restored, target, target + noise)
    assert split.total == pytest.approx(float((restored - target).double().square().mean()), rel=1e-9)
    assert min(split.bias, split.noise, split.texture) > 0


def test_a_shift_of_brightness_is_bias(images):
    target, noise = images
    split = split_error(target + 0.03, target, target + noise)
    assert split.bias == pytest.approx(0.03**2, rel=1e-5)
    assert split.noise + split.texture + abs(split.other) < 1e-9


def test_noise_left_in_is_noise(images):
    target, noise = images
    split = split_error(target + 0.4 * noise, target, target + noise)
    assert split.noise / split.total > 0.97
    assert split.bias / split.total < 0.02  # the low frequencies of the noise itself
    assert split.texture / split.total < 0.01


def test_smoothing_is_texture_lost(images):
    target, noise = images
    split = split_error(target - 0.4 * (target - 0.5), target, target + noise)
    assert split.texture / split.total > 0.97
    assert split.noise / split.total < 0.01


def test_what_is_neither_is_other(images):
    target, noise = images
    foreign = 0.05 * torch.randn(3, 90, 75, generator=torch.Generator().manual_seed(9))
    split = split_error(target + foreign, target, target + noise)
    assert split.other / split.total > 0.95


def test_a_perfect_image_has_no_error(images):
    target, noise = images
    split = split_error(target, target, target + noise)
    assert split.total == 0
