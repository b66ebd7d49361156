"""NIQE, where it is known what it should say."""

import pytest
import skimage.data
import torch
import torch.nn.functional as F

from noiseda.errors import UserError
from noiseda.evaluation.niqe import Niqe, _fitted


def photograph(array):
    return torch.from_numpy(array).permute(2, 0, 1).float() / 255


@pytest.fixture(scope="module")
def niqe():
    return Niqe(
        [photograph(skimage.data.chelsea()), photograph(skimage.data.coffee()), photograph(skimage.data.rocket())]
    )


def test_it_rises_with_noise_and_with_blur(niqe):
    clean = photograph(skimage.data.astronaut())
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    noisy = [niqe([(clean + sigma * noise).clamp(0, 1)]) for sigma in (0, 0.02, 0.08)]
    assert noisy == sorted(noisy)
    blurred = [niqe([F.avg_pool2d(clean[None], side, 1, side // 2)[0] if side else clean]) for side in (0, 3, 7)]
    assert blurred == sorted(blurred)


def test_good_photographs_are_at_no_distance_from_themselves():
    images = [photograph(skimage.data.astronaut())[:, :192, :192]]
    tile = images[0][:, :96, :96].repeat(1, 2, 2)
    assert Niqe([tile])([tile]) < 1e-4


def test_grey_is_a_colour_image_of_equal_channels(niqe):
    grey = photograph(skimage.data.astronaut()).mean(0, keepdim=True)
    assert niqe([grey]) == pytest.approx(niqe([grey.expand(3, -1, -1)]), rel=1e-4)


@pytest.mark.parametrize(("values", "shape"), [(torch.randn, 2.0), (None, 1.0)])
def test_the_fit_finds_the_shape_of_what_it_is_fitted_to(values, shape):
    """Gaussian values have shape 2, Laplacian ones 1; both have equal scales on both sides."""
    torch.manual_seed(0)
    drawn = torch.randn(2, 400_000) if values else torch.distributions.Laplace(0.0, 1.0).sample((2, 400_000))
    found, mean, left, right = _fitted(drawn.double())
    assert found.tolist() == pytest.approx([shape] * 2, abs=0.03)
    assert mean.abs().max() < 0.01
    expected = 2**0.5 if values else 1.0
    assert torch.cat([left, right]).tolist() == pytest.approx([expected] * 4, rel=0.02)


def test_pictures_that_are_too_small_are_said_to_be(niqe):
    with pytest.raises(UserError, match="at least two patches of 96 x 96 pixels of the pictures, not 0"):
        niqe([torch.zeros(3, 95, 300)])
