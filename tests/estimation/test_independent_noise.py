"""Noise that differs from pixel to pixel, measured in a photograph, where it is known."""

import json

import pytest
import skimage.data
import torch
from torch import Tensor

from noiseda.data.camera import linear_from_srgb
from noiseda.data.phone import gaussian
from noiseda.estimation.independent_noise import (
    IndependentNoise,
    independent_noise,
    light_per_value,
    measured_noise,
)

SHARED = torch.tensor([[1.0, 0.1, 0.5], [0.1, 1.0, 0.05], [0.5, 0.05, 1.0]])  # as in photographs that were shrunk


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(shot: tuple[float, ...], read: tuple[float, ...], correlation: Tensor = SHARED) -> IndependentNoise:
    root = torch.linalg.cholesky(correlation)
    return IndependentNoise(shot, read, tuple(tuple(row) for row in root.tolist()))


def correlations(found: IndependentNoise) -> Tensor:
    root = torch.tensor(found.shared)
    return root @ root.T


def even(channels: int = 3, side: int = 384, low: float = 0.15, high: float = 0.8) -> Tensor:
    """From dark to bright, without any structure."""
    return torch.linspace(low, high, side).expand(channels, side, -1).contiguous()


def in_a_file(image: Tensor, levels: float = 255.0) -> Tensor:
    return (image.clamp(0, 1) * levels).round() / levels


def sharp(image: Tensor) -> Tensor:
    return 2 * image - gaussian(image, 0.7)


@pytest.mark.parametrize(("shot", "read", "off"), [(2e-4, 0.0, 0.05), (3e-3, 2e-4, 0.1), (1.2e-2, 1e-3, 0.2)])
def test_it_finds_how_strong_noise_is_at_every_brightness_and_what_colours_share(
    shot: float, read: float, off: float
) -> None:
    true = noise((2 * shot, shot, 2.5 * shot), (2 * read, read, 2.5 * read))
    found = independent_noise(in_a_file(true(even(), seeded())))
    assert found is not None
    for brightness in (0.2, 0.4, 0.6):
        grey = torch.full((3, 1, 1), brightness)
        assert (found.deviation(grey) / true.deviation(grey)).flatten().tolist() == pytest.approx([1, 1, 1], abs=off)
    assert (correlations(found) - SHARED).abs().max() < 0.06
    assert found.strength == pytest.approx(true.strength, rel=off)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_it_finds_it_beside_what_a_photograph_shows(name: str) -> None:
    shown = torch.from_numpy(getattr(skimage.data, name)()).permute(2, 0, 1).float() / 255
    shown = shown[:, : shown.shape[1] // 2 * 2, : shown.shape[2] // 2 * 2]
    true = noise((1.2e-2, 6e-3, 1.4e-2), (1e-4, 1e-4, 1e-4))
    found = independent_noise(in_a_file(true(shown, seeded())))
    assert found is not None
    assert found.strength == pytest.approx(true.strength, rel=0.25), "the rest is texture"
    assert (correlations(found) - SHARED).abs().max() < 0.15


def test_it_draws_the_noise_that_it_describes_and_no_other() -> None:
    true, level = noise((4e-3, 2e-3, 5e-3), (1e-4, 2e-4, 1e-4)), 0.5
    grey = torch.full((3, 256, 256), level)
    drawn = true(grey, seeded()) - grey
    assert drawn.flatten(1).std(dim=1).tolist() == pytest.approx(
        true.deviation(torch.full((3, 1, 1), level)).flatten().tolist(), rel=0.02
    )
    assert (torch.corrcoef(drawn.flatten(1)) - SHARED).abs().max() < 0.02
    assert torch.equal(drawn, true(grey, seeded()) - grey), "the same state, the same noise"


def test_noise_in_the_light_makes_photographs_darker_and_measurements_not() -> None:
    level = torch.tensor(0.4)
    light, slope = linear_from_srgb(level), light_per_value(level)
    true = noise((1e-2,) * 3, (0.0,) * 3, torch.eye(3))
    grey = level.expand(3, 512, 512)
    shift = (true(grey, seeded()) - grey).mean()
    # s(l + n) is about s + s' n + s'' n^2 / 2, and s'' = -l''(y) / l'(y)^3 at y = s(l).
    bend = 2.4 * 1.4 / 1.055**2 * ((level + 0.055) / 1.055) ** 0.4
    assert float(shift) == pytest.approx(float(-0.5 * bend / slope**3 * 1e-2 * light), rel=0.2)
    alone = IndependentNoise((0.0,), (1e-2,), ((1.0,),))
    assert float((alone(level.expand(1, 512, 512), seeded()) - level).mean()) == pytest.approx(0.0, abs=1e-3)


def test_measurements_have_their_noise_in_their_values() -> None:
    true = IndependentNoise((0.0,), (0.012,), ((1.0,),))
    found = independent_noise(in_a_file(true(even(1, low=0.1, high=0.9), seeded())))
    assert found is not None
    for brightness in (0.3, 0.5, 0.7):
        grey = torch.full((1, 1, 1), brightness)
        assert float(found.deviation(grey)) == pytest.approx(0.012**0.5, rel=0.08), "clipped places do not count"


def test_images_of_any_precision_are_taken_and_those_of_other_shapes_are_refused() -> None:
    coloured, brief = noise((1e-2,) * 3, (0.0,) * 3), torch.full((4, 32, 32), 0.5)
    for grey in (IndependentNoise((0.0,), (1e-3,), ((1.0,),)), coloured):
        for channels in (1, 3):
            fine = grey(brief[:channels].double(), seeded())
            assert torch.allclose(fine, grey(brief[:channels], seeded()).double(), atol=1e-5)
            assert independent_noise(coloured(even(channels).double(), seeded())) is not None
    for image in (brief, brief[:2], brief[0]):
        for use in (lambda image: coloured(image, seeded()), independent_noise):
            with pytest.raises(ValueError, match=r"expected an image \(C, H, W\), C = 1 or 3, not \("):
                use(image)


def test_a_grey_image_wears_coloured_noise_and_a_coloured_one_grey_noise() -> None:
    coloured = noise((1e-2,) * 3, (0.0,) * 3)
    assert coloured(even(1), seeded()).shape == (1, 384, 384)
    drawn = IndependentNoise((0.0,), (1e-3,), ((1.0,),))(even(), seeded()) - even()
    assert drawn.shape == (3, 384, 384)
    assert torch.allclose(drawn[0], drawn[2], atol=1e-6)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (gaussian(even() + 0.05 * torch.randn(3, 384, 384, generator=seeded()), 0.8), "neighbours share it"),
        (
            even() + 0.05 * (lambda n: 2 * n - gaussian(n, 0.7))(torch.randn(3, 384, 384, generator=seeded())),
            "sharpened",
        ),
        (even() + 0.05 * (torch.arange(384) % 2 - 0.5), "a pattern"),
        (even() + 0.1 * ((torch.arange(384)[:, None] // 2 + torch.arange(384) // 2) % 2), "squares"),
        (in_a_file(even()), "there is none"),
        (noise((1e-3,) * 3, (0.0,) * 3)(even(side=32), seeded()), "too few places"),
        (noise((1e-3,) * 3, (0.0,) * 3)(torch.full((3, 384, 384), 0.02), seeded()), "black"),
        (torch.rand(3, 8, 8, generator=seeded()), "no room"),
        (gaussian(torch.rand(3, 384, 384, generator=seeded()), 1.5) * 0.8, "texture everywhere"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_where_it_cannot_be_measured_it_is_not(image: Tensor, why: str) -> None:
    assert independent_noise(image.clamp(0, 1)) is None, why


def test_rounding_is_no_noise() -> None:
    true = noise((4e-5,) * 3, (0.0,) * 3, torch.eye(3))  # as strong as a step of 8 bits
    found = independent_noise(in_a_file(true(even(), seeded())))
    assert found is not None
    assert found.strength == pytest.approx(true.strength, rel=0.08)


def test_what_is_kept_is_read_again() -> None:
    true = noise((1e-3, 2e-3, 3e-3), (1e-5, 0.0, 1e-5))
    again = IndependentNoise.again(json.loads(json.dumps(true.kept())))
    assert again == true


def test_processors_do_not_matter() -> None:
    image = noise((1e-3,) * 3, (0.0,) * 3)(even(side=512), seeded())
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = independent_noise(image)
        torch.set_num_threads(2)
        assert independent_noise(image) == alone
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("neighbours", [(0.1, 0.04, 0.02), (0.0, 0.0, 0.0), (-0.04, 0.08, 0.0)])
def test_it_finds_what_little_neighbours_share_and_so_how_strong_noise_is(
    neighbours: tuple[float, float, float],
) -> None:
    true = IndependentNoise((0.0,), (0.012,), ((1.0,),), neighbours)
    drawn = true(torch.full((1, 512, 512), 0.5), seeded()) - 0.5
    assert float(drawn.square().mean()) == pytest.approx(0.012, rel=0.02)
    for (down, right), wanted in zip(((1, 0), (0, 1), (1, 1)), neighbours, strict=True):
        shared = (drawn * drawn.roll((-down, -right), (1, 2))).mean() / drawn.square().mean()
        assert float(shared) == pytest.approx(wanted, abs=0.015)
    found = independent_noise(in_a_file(true(even(1, side=640), seeded())))
    assert found is not None
    assert found.neighbours == pytest.approx(neighbours, abs=0.03)
    assert found.strength == pytest.approx(true.strength, rel=0.04)
    assert IndependentNoise.again(json.loads(json.dumps(found.kept()))) == found


def test_black_photographs_do_not_speak_against_the_noise_of_others() -> None:
    black, tile = torch.zeros(3, 384, 384), torch.rand(3, 96, 96, generator=seeded())
    noisy, textured = in_a_file(noise((1e-2,) * 3, (0.0,) * 3)(even(), seeded())), gaussian(tile.repeat(1, 4, 4), 1.0)
    assert len(measured_noise([noisy, black, 1 - black, black], 255.0, colourless=False)) == 1
    assert measured_noise([noisy, textured, textured, textured], 255.0, colourless=False) == ()


def test_what_neighbours_share_is_one_for_all_photographs() -> None:
    true = IndependentNoise((0.0,), (0.012,), ((1.0,),), (0.1, 0.0, 0.0))
    found = measured_noise([in_a_file(true(even(1), seeded(seed))) for seed in range(3)], 255.0, colourless=True)
    assert len(found) == 3
    assert len({one.neighbours for one in found}) == 1
    assert found[0].neighbours[0] == pytest.approx(0.1, abs=0.03)
    assert [one.strength for one in found] == pytest.approx([true.strength] * 3, rel=0.05)
