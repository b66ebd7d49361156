"""The batched mixture does what the one for single images does: the same filters, and noise of the same kind."""

import pytest
import skimage.data
import torch

from noiseda.data import Camera, Phone, Shot, White
from noiseda.data.camera import bayer_sites, demosaic
from noiseda.data.phone import gaussian as of_one
from noiseda.images import jpeg as of_pillow
from noiseda_research.ready import batched
from noiseda_research.ready.batched import MARGIN, Mixture, Random, degraded, gaussian, jpeg, speckle
from noiseda_research.ready.mixture import Coarse, Speckle, Wide
from noiseda_research.ready.varied import Varied


@pytest.fixture(scope="module")
def photograph():
    image = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1).float() / 255
    return image[:, 32:224, 150:342].contiguous()  # 192 pixels of a face, cloth and wall


def draws(count, seed=0):
    return Random(torch.Generator().manual_seed(seed), count)


def test_gaussians_are_those_of_single_images_inside(photograph):
    sigmas = torch.tensor([0.5, 1.5, 5.0])
    found = gaussian(photograph.expand(3, -1, -1, -1), sigmas[:, None, None, None])
    for sigma, smooth in zip(sigmas.tolist(), found, strict=True):
        inner = (slice(None), slice(20, -20), slice(20, -20))
        torch.testing.assert_close(smooth[inner], of_one(photograph, sigma)[inner], atol=1e-4, rtol=0)


@pytest.mark.parametrize("method", ["bilinear", "malvar"])
def test_demosaicing_is_that_of_single_images_at_every_phase(photograph, method):
    raw = photograph[:1].expand(4, -1, -1, -1)
    rows, columns = (torch.tensor(bits).reshape(4, 1, 1, 1).bool() for bits in ([0, 0, 1, 1], [0, 1, 0, 1]))
    sites = batched._sites(raw, rows, columns)
    found = (batched._malvar if method == "malvar" else batched._bilinear)(raw, sites)
    for row, column, one in zip([0, 0, 1, 1], [0, 1, 0, 1], found, strict=True):
        wanted = demosaic(photograph[0], bayer_sites(192, 192, row, column), method)
        torch.testing.assert_close(one, wanted)


@pytest.mark.parametrize("quality", [10, 49, 50, 75, 98])
def test_jpeg_is_pillows_but_for_rounding(photograph, quality):
    found = jpeg(photograph[None], torch.full((1, 1, 1, 1), float(quality)))[0]
    wanted = of_pillow(photograph, quality)
    lost = (wanted - photograph).square().mean()
    rounding = 3 / 12 / 255**2  # of colours, of what is quantised, and of the result
    assert (found - wanted).square().mean() < 0.05 * lost + 4 * rounding


PARTS = [
    White(strength=(20, 20)),
    Shot(strength=(20, 20), read=(0.3, 0.3)),
    Camera(strength=(3000, 3000), quality=None),
    Camera(strength=(3000, 3000), demosaic="malvar", quality=None),
    Phone(strength=(8000, 8000), quality=None),
    Coarse(strength=(10, 10), compressed=0.0),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{type(part).__name__}-{getattr(part, 'demosaic', '')}")
def test_noise_is_as_strong_and_as_coarse_as_that_of_single_images(photograph, part):
    count = 48
    one_by_one = torch.stack([part(photograph, torch.Generator().manual_seed(seed)) for seed in range(count)])
    together = degraded(photograph.expand(count, -1, -1, -1), draws(count), part)
    for figure, tolerance in ((_strength, 0.08), (_neighbours, 0.06), (_colours, 0.06), (_light, 0.08)):
        assert abs(figure(together - photograph) - figure(one_by_one - photograph)) < tolerance, figure.__name__


def _strength(noise):
    return float((noise * 255).square().mean((1, 2, 3)).sqrt().log().mean())


def _neighbours(noise):
    noise = noise[..., 8:-8, 8:-8]
    return float((noise[..., 1:] * noise[..., :-1]).mean() / noise.square().mean())


def _colours(noise):
    return float((noise[:, 0] * noise[:, 1]).mean() / noise.square().mean())


def _light(noise):
    """How much stronger the noise is in the left half than in the right one."""
    half = noise.shape[-1] // 2
    return float((noise[..., :half].square().mean() / noise[..., half:].square().mean()).log() / 2)


def test_speckle_is_as_strong_as_that_of_single_images(photograph):
    grey = photograph.mean(0, keepdim=True)
    by = Speckle(compressed=0.0, strength=(30, 30))
    one_by_one = torch.stack([by(grey, torch.Generator().manual_seed(seed)) for seed in range(64)])
    together = speckle(grey.expand(64, -1, -1, -1), draws(64), by)
    assert abs(_strength(together - grey) - _strength(one_by_one - grey)) < 0.12
    assert abs(_neighbours(together - grey) - _neighbours(one_by_one - grey)) < 0.06


def test_a_part_without_a_batched_form_is_refused(photograph):
    with pytest.raises(TypeError, match="Camera has no batched form"):
        degraded(photograph[None], draws(1), Camera(mosaic=False))


class Unchanged(Varied):
    """Clean photographs stay as they are."""

    swapped = bent = faded = grey = doubled = soft = 0.0


def test_the_mixture_is_as_hard_as_that_of_single_images(photograph):
    """Quantiles of the noise's deviation, of 208 samples each: 16 of each part."""
    photograph = photograph[:, 32:160, 32:160]
    inner = (..., slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    wide = Wide()
    found = []
    for seed in range(208):
        noisy = wide(photograph, torch.Generator().manual_seed(seed))
        found.append(float((noisy - photograph)[inner].square().mean().sqrt()))
    crops = photograph.expand(208, -1, -1, -1)
    noisy, clean = Mixture(varied=Unchanged)(crops, *(torch.Generator().manual_seed(0) for _ in range(2)))
    assert noisy.shape == clean.shape == (208, 3, 128 - 2 * MARGIN, 128 - 2 * MARGIN)
    assert torch.equal(clean, crops[inner])
    together = (noisy - clean).square().mean((1, 2, 3)).sqrt()
    for share in (0.25, 0.5, 0.75):
        ratio = together.quantile(share) / torch.tensor(found).quantile(share)
        assert 0.7 < ratio < 1.4, share


def test_clean_crops_are_varied_within_bounds(photograph):
    crops = photograph[:, :96, :96].expand(64, -1, -1, -1)
    noisy, clean = Mixture()(crops, *(torch.Generator().manual_seed(0) for _ in range(2)))
    assert noisy.isfinite().all()
    assert 0 <= clean.min() < clean.max() <= 1
    grey = (clean[:, 0] == clean[:, 1]).all(2).all(1)
    assert 13 <= grey.sum() <= 24  # a fifth by itself, and those that faded to nothing
    assert (noisy[grey][:, 0] == noisy[grey][:, 1]).float().mean() > 0.8  # and so is their noise


def test_samples_differ_and_the_same_seed_gives_the_same(photograph):
    crops = photograph[:, :96, :96].expand(32, -1, -1, -1)

    def made(seed):
        return Mixture()(crops, torch.Generator().manual_seed(seed), torch.Generator().manual_seed(0))[0]

    assert torch.equal(made(1), made(1))
    assert not torch.equal(made(1), made(2))
    noisy = made(1)
    assert len({one.sum().item() for one in noisy}) == 32
