"""Borrowed noise: as strong and as coarse as that of the photographs it was cut from, on clean ones."""

import pytest
import skimage.data
import torch
import torch.nn.functional as F

from noiseda.errors import UserError
from noiseda.evaluation.borrowed import SIDE, borrowed_pairs, score

G = torch.Generator


def photograph(array):
    return torch.from_numpy(array).permute(2, 0, 1)[:, :256, :256] / 255


def coarse(strength, seed):
    white = torch.randn(3, 258, 258, generator=G().manual_seed(seed))
    noise = F.avg_pool2d(white, 3, stride=1)
    return strength * noise / noise.std()


@pytest.fixture(scope="module")
def images():
    clean = [photograph(skimage.data.astronaut()), photograph(skimage.data.coffee())]
    return clean, [image + coarse(0.04, seed) for seed, image in enumerate(clean)]


def test_noise_is_borrowed_with_its_strength_and_its_grain(images):
    clean, real = images
    x, y = borrowed_pairs(real, clean, count=40, generator=G().manual_seed(0))
    assert x.shape == y.shape == (40, 3, SIDE, SIDE)
    inside = (y > 0.2) & (y < 0.8)
    noise = torch.where(inside, x - y, torch.zeros(()))
    assert noise[inside].std() == pytest.approx(0.04, rel=0.25)
    neighbours = (noise[..., 1:] * noise[..., :-1]).mean() / noise.square().mean()
    assert 0.5 < neighbours < 0.8  # 2/3 for a mean over three pixels
    again = borrowed_pairs(real, clean, count=40, generator=G().manual_seed(0))
    assert torch.equal(again[0], x)


def test_the_better_restorer_scores_higher(images):
    clean, real = images
    x, y = borrowed_pairs(real, clean, count=20, generator=G().manual_seed(0))
    half = y + 0.5 * (x - y)
    assert score(y, y) > score(half, y) > score(x, y)
    assert score(half, y) - score(x, y) == pytest.approx(6.02, abs=0.1)


def test_images_without_noise_have_none_to_lend():
    with pytest.raises(UserError, match="no flat patch with noise in the real images of at least 64"):
        borrowed_pairs([torch.zeros(3, 128, 128)], [torch.rand(3, 128, 128)], count=2, generator=G())


def test_small_images_are_left_out(images):
    clean, real = images
    small = torch.rand(3, 40, 200)
    x, _ = borrowed_pairs([small, *real], [small, *clean], count=2, generator=G())
    assert len(x) == 2
    with pytest.raises(UserError, match="no clean image of at least 64"):
        borrowed_pairs(real, [small], count=2, generator=G())
