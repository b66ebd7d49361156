"""The noise error on bands: Parseval, perfect reconstruction, white noise, and which band hears what."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseda.diffusion import BANDS, squared_error
from noiseda.diffusion.bands import Pixels, Pyramid, Wavelet, haar, unhaar

SHAPES = st.lists(st.integers(1, 7), min_size=1, max_size=3).map(tuple)
NAMES = pytest.mark.parametrize("name", BANDS)


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@settings(deadline=None, max_examples=40)
@given(SHAPES)
def test_haar_keeps_energy_and_is_reconstructed(spatial):
    signals = noise(2, 3, *spatial)
    bands = haar(signals)
    assert len(bands) == 2 ** len(spatial)
    assert all(band.shape == (2, 3, *(-(-side // 2) for side in spatial)) for band in bands)
    energy = sum(band.square().sum() for band in bands)
    torch.testing.assert_close(energy, signals.square().sum())
    torch.testing.assert_close(unhaar(bands, spatial), signals)


def test_haar_is_its_matrix_on_each_block():
    """Against Kronecker products of [[1, 1], [1, -1]] / sqrt(2), block by block."""
    step = np.array([[1, 1], [1, -1]]) / math.sqrt(2)
    for dims in (1, 2, 3):
        matrix = step
        for _ in range(dims - 1):
            matrix = np.kron(matrix, step)
        signals = noise(1, 1, *(4,) * dims)
        bands = torch.stack(haar(signals))[:, 0, 0].numpy()
        for place in itertools.product(range(2), repeat=dims):
            block = signals[0, 0][tuple(slice(2 * at, 2 * at + 2) for at in place)].reshape(-1).numpy()
            np.testing.assert_allclose(bands[(slice(None), *place)], matrix @ block, atol=1e-12)


@NAMES
@pytest.mark.parametrize("spatial", [(67,), (64, 64), (37, 50), (9, 16, 17)])
def test_white_errors_weigh_what_they_weigh_in_pixels(name, spatial):
    """Of any size, odd ones too: the mean over many is the variance."""
    error = noise(300, 2, *spatial, seed=4)
    found = BANDS[name](error, torch.zeros_like(error))
    assert found.shape == (300,)
    spread = (found.std() / math.sqrt(300)).item()
    assert spread < 0.02
    assert found.mean().item() == pytest.approx(1.0, abs=4 * spread)


@pytest.mark.parametrize("kind", [Pyramid, Wavelet])
@pytest.mark.parametrize("band", range(4))
@pytest.mark.parametrize("spatial", [(61,), (32, 27)])
def test_each_band_alone_is_normalised(kind, band, spatial):
    weights = [0.0] * 4
    weights[band] = 3.0
    measure = kind(4 if kind is Pyramid else 3, weights)
    error = noise(400, 2, *spatial, seed=band)
    found = measure(error, torch.zeros_like(error))
    assert found.mean().item() == pytest.approx(1.0, abs=5 * found.std().item() / 20)


def test_the_pyramid_is_average_pooling():
    error = noise(3, 2, 16, 24)
    expected = sum(4**level * F.avg_pool2d(error, 2**level).square().mean(dim=(1, 2, 3)) for level in range(4)) / 4
    torch.testing.assert_close(Pyramid()(error, torch.zeros_like(error)), expected)


def test_weights_by_their_number_of_frequencies_give_back_pixels():
    """Parseval, through the whole of the wavelet error."""
    error = noise(3, 2, 16, 24)
    shares = [3 / 4, 3 / 16, 3 / 64, 1 / 64]
    found = Wavelet(3, shares)(error, torch.zeros_like(error))
    torch.testing.assert_close(found, squared_error(error, torch.zeros_like(error)))


def test_a_shift_of_everything_is_heard_loudly_and_a_checkerboard_is_not():
    flat = torch.ones(1, 1, 16, 16, dtype=torch.float64)
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    fine = (1.0 - 2.0 * ((rows + columns) % 2)).double()[None, None]
    nothing = torch.zeros_like(flat)
    assert Pixels()(flat, nothing).item() == Pixels()(fine, nothing).item() == 1
    assert Pyramid()(flat, nothing).item() == pytest.approx((1 + 4 + 16 + 64) / 4)
    assert Pyramid()(fine, nothing).item() == pytest.approx(1 / 4)
    assert Wavelet()(flat, nothing).item() == pytest.approx(64 / 4)
    assert Wavelet()(fine, nothing).item() == pytest.approx(4 / 3 / 4)


@NAMES
@settings(deadline=None, max_examples=20)
@given(SHAPES, st.integers(1, 3))
def test_each_error_is_of_its_signal_alone_and_of_the_difference(name, spatial, channels):
    eps, eps_hat = noise(3, channels, *spatial), noise(3, channels, *spatial, seed=1)
    found = BANDS[name](eps, eps_hat)
    one_by_one = torch.cat([BANDS[name](a[None], b[None]) for a, b in zip(eps, eps_hat, strict=True)])
    torch.testing.assert_close(found, one_by_one)
    torch.testing.assert_close(found, BANDS[name](eps - eps_hat, torch.zeros_like(eps)))
    torch.testing.assert_close(BANDS[name](2 * eps, 2 * eps_hat), 4 * found)
    assert torch.equal(BANDS[name](eps, eps), torch.zeros(3, dtype=torch.float64))


@NAMES
def test_every_place_feels_the_error(name):
    eps_hat = torch.zeros(1, 2, 13, 9, dtype=torch.float64, requires_grad=True)
    (felt,) = torch.autograd.grad(BANDS[name](noise(1, 2, 13, 9), eps_hat).sum(), eps_hat)
    assert (felt.abs() > 0).all()


@NAMES
def test_autocast_does_not_round_it(name):
    eps, eps_hat = noise(2, 3, 16, 16, dtype=torch.float32), noise(2, 3, 16, 16, seed=1, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = BANDS[name](eps, eps_hat)
    assert torch.equal(found, BANDS[name](eps, eps_hat))


def test_pixels_are_todays_error():
    eps, eps_hat = noise(2, 3, 5, 7), noise(2, 3, 5, 7, seed=1)
    assert torch.equal(Pixels()(eps, eps_hat), squared_error(eps, eps_hat))


@pytest.mark.parametrize("weights", [(1.0,), (1.0, -1.0), (0.0, 0.0)])
def test_weights_that_weigh_nothing_are_refused(weights):
    for build in (lambda: Pyramid(2, weights), lambda: Wavelet(1, weights)):
        with pytest.raises(ValueError, match="weights must be 2 numbers"):
            build()
