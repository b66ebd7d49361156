import math

import numpy as np
import pytest
import torch
from skimage import color, data
from torch import Tensor

from noiseda.data.camera import Camera, Demosaic, Shrunk, bayer_sites, demosaic, linear_from_srgb, srgb_from_linear


def lag1(residual: Tensor) -> float:
    residual = residual - residual.mean((1, 2), keepdim=True)
    return ((residual[..., 1:] * residual[..., :-1]).mean() / residual.square().mean()).item()


def psnr(a: Tensor, b: Tensor) -> float:
    return -10 * math.log10((a - b).square().mean().item())


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(side: int = 80) -> list[Tensor]:
    corners = [(data.astronaut, 30, 170), (data.coffee, 150, 250), (data.chelsea, 80, 120), (data.rocket, 120, 280)]
    crops = [read()[y : y + side, x : x + side].copy() for read, y, x in corners]
    return [torch.from_numpy(crop).permute(2, 0, 1).float() / 255 for crop in crops]


def test_the_transfer_function_is_the_one_of_scikit_image() -> None:
    values = torch.linspace(0, 1, 1000)
    # scikit-image's XYZ conversion undoes the transfer function first; a grey's Y is its light.
    grey = values.double().numpy()[:, None].repeat(3, 1)
    np.testing.assert_allclose(linear_from_srgb(values).numpy(), color.rgb2xyz(grey)[:, 1], atol=1e-5)
    torch.testing.assert_close(srgb_from_linear(linear_from_srgb(values)), values, atol=1e-5, rtol=0)


@pytest.mark.parametrize("phase", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_bayer_sensor_has_one_colour_a_pixel_and_green_twice(phase: tuple[int, int]) -> None:
    sites = bayer_sites(6, 8, *phase)
    assert torch.equal(sites.sum(0), torch.ones(6, 8))
    assert sites.sum((1, 2)).tolist() == [12, 24, 12]
    assert sites[0, phase[0], phase[1]] == 1


@pytest.mark.parametrize("method", ["bilinear", "malvar"])
@pytest.mark.parametrize("phase", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_demosaicing_keeps_what_was_measured_and_reproduces_ramps(method: Demosaic, phase: tuple[int, int]) -> None:
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(14.0), indexing="ij")
    sites = bayer_sites(12, 14, *phase)
    # The same slope in all colours (which the gradient correction assumes), different offsets.
    scene = (0.2 + 0.01 * y + 0.02 * x) + torch.tensor([0.0, 0.1, 0.3])[:, None, None]
    raw = (scene * sites).sum(0)
    full = demosaic(raw, sites, method)
    torch.testing.assert_close((full * sites).sum(0), raw)
    torch.testing.assert_close(full[:, 2:-2, 2:-2], scene[:, 2:-2, 2:-2], atol=1e-5, rtol=0)


def test_gradient_correction_beats_bilinear_by_decibels() -> None:
    gains = []
    for photo in photos():
        sites = bayer_sites(80, 80, 0, 1)
        raw = (photo * sites).sum(0)
        gains.append(psnr(demosaic(raw, sites, "malvar"), photo) - psnr(demosaic(raw, sites, "bilinear"), photo))
    assert min(gains) > 1


def test_without_noise_and_jpeg_the_photograph_comes_back() -> None:
    camera = Camera(strength=(1e-6, 1e-6), quality=None)
    for photo in photos():
        assert psnr(camera(photo, seeded()), photo) > 60


def test_demosaicing_the_photograph_costs_detail_only() -> None:
    camera = Camera(strength=(1e-6, 1e-6), quality=None, demosaic="malvar", demosaic_signal=True)
    flat = torch.tensor([0.7, 0.4, 0.2])[:, None, None].expand(3, 32, 32)
    torch.testing.assert_close(camera(flat, seeded()), flat, atol=1e-3, rtol=0)
    for photo in photos():
        assert 27 < psnr(camera(photo, seeded()), photo) < 35


def test_noise_and_photograph_can_be_demosaiced_apart_or_together() -> None:
    # A ramp, which demosaicing reproduces: both ways must then agree (away from the borders).
    ramp = srgb_from_linear(torch.linspace(0.2, 0.6, 64)).expand(3, 64, 64)
    apart, together = (Camera(quality=None, demosaic_signal=both)(ramp, seeded()) for both in (False, True))
    torch.testing.assert_close(apart[:, 2:-2, 2:-2], together[:, 2:-2, 2:-2], atol=1e-4, rtol=0)


@pytest.mark.parametrize("level", [0.3, 0.6])
def test_noise_is_correlated_between_neighbours(level: float) -> None:
    grey = torch.full((3, 160, 160), level)
    for seed in range(3):
        residual = Camera()(grey, seeded(seed)) - grey
        assert lag1(residual) > 0.4
        assert lag1(residual.mT) > 0.4


def test_noise_in_light_follows_shot_and_read_noise() -> None:
    # Gains of 1, no colour matrix, no clipping at black: what is developed at a site is the measured value itself.
    camera = Camera(
        strength=(8000, 8000), red_gain=(1, 1), blue_gain=(1, 1), crosstalk=(0, 0), clip_black=False, quality=None
    )
    for light in (0.2, 0.4, 0.6):
        grey = srgb_from_linear(torch.full((3, 200, 200), light))
        noise = linear_from_srgb(camera(grey, seeded(3))) - light
        # One lattice of every second pixel holds one colour's measurements; interpolated values vary less.
        variance = max(noise[0, y::2, x::2].var().item() for y in (0, 1) for x in (0, 1))
        shot = 8000e-6
        read = math.exp(2.18 * math.log(shot) + 1.20)
        assert variance > 0.95 * (shot * light + 0.4 * read)
        assert variance < 1.05 * (shot * light + 2.5 * read)  # read noise has a spread of its own


def test_clipping_at_black_lifts_shadows() -> None:
    black = torch.full((3, 128, 128), 0.02)
    settings = {"strength": (8000, 8000), "quality": None}
    clipped, unclipped = (Camera(clip_black=clip, **settings)(black, seeded()).mean() for clip in (True, False))
    assert clipped > unclipped + 0.004
    assert clipped > 0.04


def test_default_noise_is_that_of_a_phone_at_night() -> None:
    inputs = [psnr(Camera()(photo, seeded(seed)), photo) for seed in range(10) for photo in photos()]
    assert 25 < np.mean(inputs) < 29
    assert min(inputs) > 18


def test_compression_lies_on_a_block_grid_of_random_phase() -> None:
    ramp = torch.linspace(0.1, 0.9, 64).expand(3, 64, 64)
    camera = Camera(strength=(1e-6, 1e-6), quality=(5, 5))
    # The steepest jump of a coarsely quantised ramp sits at the block's border.
    borders = {camera(ramp, seeded(seed)).mean((0, 1)).diff().abs()[8:56].argmax().item() % 8 for seed in range(20)}
    assert len(borders) > 3


def test_a_grey_photograph_is_the_luma_of_a_colour_one() -> None:
    grey = photos()[0].mean(0, keepdim=True)
    camera = Camera(quality=None)
    colour = camera(grey.expand(3, -1, -1), seeded(5))
    luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    torch.testing.assert_close(camera(grey, seeded(5))[0], luma)


def test_the_noise_of_a_shrunk_photograph_is_white_in_place_and_darkens_mid_tones() -> None:
    grey = torch.full((3, 200, 200), 0.4)
    noise = Shrunk(strength=(3000, 3000))(grey, seeded()) - grey
    assert abs(lag1(noise)) < 0.02
    assert noise[1].mean() < -0.002
    assert noise[0].std() > 1.3 * noise[1].std()  # red reaches the sensor weaker, and is amplified
    assert abs(lag1(Camera(strength=(3000, 3000), quality=None)(grey, seeded()) - grey)) > 0.2
