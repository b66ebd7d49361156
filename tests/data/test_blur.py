import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve as scipy_convolve
from torch import Tensor

from noiseda.data.blur import CameraShake, Defocus, FrameAverage, convolve, disc_kernel, shake_kernel, splat
from noiseda.data.camera import linear_from_srgb

KINDS = (CameraShake, Defocus, FrameAverage)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def centroid(kernel: Tensor) -> tuple[float, float]:
    axis = torch.arange(float(kernel.shape[0])) - kernel.shape[0] // 2
    return (kernel.sum(1) @ axis).item(), (kernel.sum(0) @ axis).item()


@given(extent=st.floats(0, 60), seed=st.integers(0, 2**31))
@settings(max_examples=80, deadline=None)
def test_a_shake_is_a_centred_distribution_of_the_asked_extent(extent: float, seed: int) -> None:
    kernel = shake_kernel(extent, seeded(seed))
    assert kernel.shape == (2 * math.ceil(extent / 2) + 3,) * 2
    assert kernel.min() >= 0
    assert kernel.sum().item() == pytest.approx(1, abs=1e-5)
    assert centroid(kernel) == pytest.approx((0, 0), abs=1e-3)
    axis = torch.arange(float(kernel.shape[0])) - kernel.shape[0] // 2
    farthest = torch.hypot(axis[:, None], axis)[kernel > 0].max().item()
    assert extent / 2 - 1e-3 <= farthest <= extent / 2 + math.sqrt(2)


def test_shakes_are_paths_not_clouds_and_differ() -> None:
    kernels = [shake_kernel(24, seeded(seed)) for seed in range(20)]
    touched = [(kernel > 1e-4).sum().item() for kernel in kernels]
    assert min(touched) > 24  # a path through the circle
    assert max(touched) < 0.6 * math.pi * 12**2  # that does not fill it
    assert len(set(touched)) > 10


def test_a_splat_shares_a_point_between_its_four_pixels() -> None:
    kernel = splat(torch.tensor([[0.25], [-0.5]]), 1)  # x, y
    expected = torch.tensor([[0, 0.375, 0.125], [0, 0.375, 0.125], [0, 0, 0]])
    torch.testing.assert_close(kernel, expected)


@given(radius=st.floats(0, 20))
@settings(max_examples=50, deadline=None)
def test_a_disc_is_round_even_and_of_its_area(radius: float) -> None:
    disc = disc_kernel(radius)
    assert disc.sum().item() == pytest.approx(1, abs=1e-5)
    assert torch.equal(disc, disc.flip(0))
    torch.testing.assert_close(disc, disc.T)
    if radius >= 1:  # the centre is fully covered: its weight is one over the area
        assert 1 / disc.max().item() == pytest.approx(math.pi * radius**2, rel=0.12)
    if radius <= 0.5:
        assert disc.max().item() == pytest.approx(1)


@pytest.mark.parametrize("shape", [(32, 40), (9, 33)])
def test_convolution_is_that_of_scipy_with_reflected_borders(shape: tuple[int, int]) -> None:
    image = torch.rand(2, *shape, generator=seeded())
    kernel = shake_kernel(11, seeded(1))
    expected = [scipy_convolve(channel, kernel.double().numpy(), mode="mirror") for channel in image.double().numpy()]
    blurred = convolve(image, kernel).double()
    for channel, reference in zip(blurred, expected, strict=True):
        torch.testing.assert_close(channel, torch.from_numpy(reference), atol=1e-5, rtol=0)


def test_an_image_smaller_than_the_kernel_is_blurred_too() -> None:
    assert convolve(torch.full((3, 8, 8), 0.3), disc_kernel(12)).sub(0.3).abs().max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_image_stays_constant(kind: type[CameraShake]) -> None:
    clean = torch.tensor([0.8, 0.5, 0.03])[:, None, None].expand(3, 48, 40)
    for seed in range(3):
        torch.testing.assert_close(kind(sigma=(0, 0))(clean, seeded(seed)), clean, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_noise_after_blur_has_the_asked_sigma(kind: type[CameraShake]) -> None:
    clean = torch.full((3, 100, 100), 0.5)
    assert (kind(sigma=(3, 3))(clean, seeded()) - clean).std().item() * 255 == pytest.approx(3, rel=0.03)


@pytest.mark.parametrize("kind", [CameraShake, Defocus])
def test_light_is_mixed_as_light(kind: type[CameraShake]) -> None:
    # A white dot on black keeps its light when it is smeared; blurring pixel values would keep their sum instead.
    dot = torch.zeros(1, 65, 65)
    dot[0, 32, 32] = 1
    strength = (6.0, 6.0)
    blurred = kind(strength=strength, sigma=(0, 0))(dot, seeded())
    assert linear_from_srgb(blurred).sum().item() == pytest.approx(1, abs=1e-3)
    assert blurred.sum() > 3
    assert kind(strength=strength, sigma=(0, 0), linear=False)(dot, seeded()).sum().item() == pytest.approx(1, abs=1e-3)


def test_averaged_frames_keep_the_light_of_a_spot_and_its_place() -> None:
    y, x = torch.meshgrid(torch.arange(81.0) - 40, torch.arange(81.0) - 40, indexing="ij")
    spot = torch.exp(-(x**2 + y**2) / 8)[None].pow(1 / 2.2)
    for seed in range(4):
        degrade = FrameAverage(strength=(16, 16), turn=0, zoom=0, sigma=(0, 0))
        light = degrade(spot, seeded(seed))[0].pow(2.2)
        assert light.sum().item() == pytest.approx(spot.pow(2.2).sum().item(), rel=1e-3)
        assert (light * x).sum().item() / light.sum().item() == pytest.approx(0, abs=0.05)
        assert (light * y).sum().item() / light.sum().item() == pytest.approx(0, abs=0.05)
        reach = torch.hypot(x, y)[light > 0.01].max().item()
        assert 8 < reach < 8 + 8  # half the extent, and the spot's own radius


def test_still_frames_average_to_the_image() -> None:
    clean = torch.rand(3, 40, 56, generator=seeded()).clamp(min=0.05)  # the root magnifies rounding near black
    still = FrameAverage(strength=(0, 0), turn=0, zoom=0, sigma=(0, 0))
    torch.testing.assert_close(still(clean, seeded()), clean, atol=1e-4, rtol=0)


def test_a_turn_leaves_the_middle_and_blurs_the_corners_of_any_format() -> None:
    clean = torch.rand(1, 60, 120, generator=seeded())
    turned = FrameAverage(strength=(0, 0), turn=8, zoom=0, sigma=(0, 0))(clean, seeded(1))
    error = (turned - clean).square()[0]
    assert error[28:32, 58:62].mean() < 0.3 * error[:10, :10].mean()


@pytest.mark.parametrize("kind", KINDS)
def test_the_margin_holds_the_largest_kernel(kind: type[CameraShake]) -> None:
    assert kind(strength=(1, 9)).margin >= (9 if kind is Defocus else 5)
