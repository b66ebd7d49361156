import math

import pytest
import torch
from torch import Tensor

from noiseda.data.rain import Drops, Rain, Streaks, capsules, haze, soft_lines


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def principal_angle(picture: Tensor) -> float:
    """Angle of a shape's long axis against the vertical, in degrees, from its second moments."""
    y, x = torch.meshgrid(*(torch.arange(float(side)) for side in picture.shape), indexing="ij")
    weight = picture / picture.sum()
    y, x = y - (weight * y).sum(), x - (weight * x).sum()
    return math.degrees(
        0.5 * math.atan2(2 * (weight * x * y).sum().item(), ((weight * y * y).sum() - (weight * x * x).sum()).item())
    )


@pytest.mark.parametrize("rain", [Streaks(), Streaks(blend="additive"), Drops()])
def test_rain_without_haze_only_brightens_and_is_colourless(rain: Streaks | Drops) -> None:
    clean = torch.rand(3, 96, 96, generator=seeded(1)) * 0.9
    rain = type(rain)(veil=(0, 0), strength=(15, 15))
    for seed in range(4):
        added = rain(clean, seeded(seed)) - clean
        assert added.min() >= -1e-6
        assert added.max() > 0.1
    black = rain(torch.zeros(3, 96, 96), seeded())
    assert torch.equal(black[0], black[1])
    assert torch.equal(black[0], black[2])


@pytest.mark.parametrize("kind", [Streaks, Drops])
def test_no_rain_is_haze_alone(kind: type[Streaks] | type[Drops]) -> None:
    clean = torch.rand(3, 40, 40, generator=seeded(1))
    torch.testing.assert_close(kind(strength=(0, 0), veil=(0, 0))(clean, seeded()), clean)
    hazy = kind(strength=(0, 0), veil=(0.3, 0.3))(clean, seeded())
    torch.testing.assert_close(hazy.std(), 0.7 * clean.std())


def test_haze_draws_every_pixel_towards_one_light() -> None:
    clean = torch.rand(3, 30, 30, generator=seeded(1))
    air = (haze(clean, (0.4, 0.4), seeded()) - 0.6 * clean) / 0.4
    assert air.min() >= 0.7
    assert air.max() <= 0.95
    assert (air.max() - air.min()).item() == pytest.approx(0, abs=1e-5)


def test_blends_agree_on_black_and_differ_on_bright() -> None:
    settings = {"strength": (15.0, 15.0), "veil": (0.0, 0.0)}
    screen, additive = Streaks(blend="screen", **settings), Streaks(blend="additive", **settings)
    black, bright = torch.zeros(1, 80, 80), torch.full((1, 80, 80), 0.6)
    rain = screen(black, seeded())
    torch.testing.assert_close(rain, additive(black, seeded()))
    torch.testing.assert_close(screen(bright, seeded()), 1 - 0.4 * (1 - rain))
    torch.testing.assert_close(additive(bright, seeded()), (0.6 + rain).clamp(max=1))


@pytest.mark.parametrize("kind", [Streaks, Drops])
def test_coverage_is_the_asked_share_of_the_image(kind: type[Streaks] | type[Drops]) -> None:
    rain = kind(strength=(6, 6), veil=(0, 0))
    black = torch.zeros(1, 192, 192)
    shares = []
    for seed in range(30):
        picture = rain(black, seeded(seed))[0]
        shares.append((picture > 0.04).float().mean().item())
    # Soft edges widen streaks, fading ends and overlaps shorten them: the area seen is near the nominal one, not equal.
    assert 0.03 < sum(shares) / len(shares) < 0.12


@pytest.mark.parametrize("angle", [-35.0, 0.0, 20.0])
def test_a_line_has_the_asked_angle_length_and_width(angle: float) -> None:
    line = soft_lines(torch.tensor([40.0]), torch.tensor([3.0]), torch.tensor([angle]))[0]
    centre = line.shape[0] // 2
    assert line[centre, centre] == 1
    assert principal_angle(line) == pytest.approx(angle, abs=0.5)
    # A Gaussian of FWHM w has the area 1.064 w; the fade sqrt(1 - s^2) keeps pi/4 of the length.
    assert line.sum().item() == pytest.approx(40 * math.pi / 4 * 1.0645 * 3, rel=0.02)


@pytest.mark.parametrize("angle", [-30.0, 0.0, 44.0])
def test_a_capsule_lies_where_it_was_put(angle: float) -> None:
    y, x = torch.tensor([30.3]), torch.tensor([41.7])
    pixel, cover = capsules(y, x, torch.tensor([36.0]), torch.tensor([4.0]), torch.tensor([angle]).deg2rad(), 64, 80)
    picture = torch.zeros(64 * 80 + 1).index_add_(0, pixel[0], cover[0])
    assert picture[-1] == 0  # nothing falls outside
    picture = picture[:-1].reshape(64, 80)
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(80.0), indexing="ij")
    assert ((picture * rows).sum() / picture.sum()).item() == pytest.approx(30.3, abs=0.1)
    assert ((picture * columns).sum() / picture.sum()).item() == pytest.approx(41.7, abs=0.1)
    assert principal_angle(picture) == pytest.approx(angle, abs=0.5)
    # The fade 1 - 0.8 s^4 keeps 0.84 of the straight part and 0.2 of the caps.
    area = 36 * 4 * 0.84 + math.pi * 2**2 * 0.2
    assert picture.sum().item() == pytest.approx(area, rel=0.04)


def test_a_capsule_outside_the_image_leaves_it_alone() -> None:
    pixel, cover = capsules(*(torch.tensor([v]) for v in (-50.0, 10.0, 20.0, 2.0, 0.1)), 32, 32)
    assert (pixel[cover > 0] == 32 * 32).all()


def test_rain_falls_within_the_asked_slant() -> None:
    black = torch.zeros(1, 128, 128)
    steep = Streaks(strength=(10, 10), slant=0, veil=(0, 0))(black, seeded())[0]
    # Along vertical streaks neighbours agree better than across.
    down = (steep[1:] * steep[:-1]).mean() / steep.square().mean()
    across = (steep[:, 1:] * steep[:, :-1]).mean() / steep.square().mean()
    assert down > across + 0.1
    drops = Drops(strength=(10, 10), slant=0, jitter=0, veil=(0, 0))(black, seeded())[0]
    assert (drops[1:] - drops[:-1]).square().mean() < 0.2 * (drops[:, 1:] - drops[:, :-1]).square().mean()


def test_rain_of_every_kind_is_drawn_within_the_asked_coverage() -> None:
    rain, generator = Rain(strength=(5.0, 20.0)), seeded(3)
    kinds = [rain.kind(generator) for _ in range(200)]
    covered = sorted(kind.strength[0] for kind in kinds)
    assert 5.0 <= covered[0] < 5.5
    assert 18.0 < covered[-1] <= 20.0
    assert 9.0 < covered[100] < 11.0  # by octaves: the middle is the geometric mean
    assert all(low == high for low, high in (kind.strength for kind in kinds))
    layered = [kind for kind in kinds if isinstance(kind, Streaks)]
    assert 70 < len(layered) < 130
    assert {kind.blend for kind in layered} == {"screen", "additive"}
    assert {kind.layers[0] for kind in layered} == {1, 2, 3, 4}
    assert all(sum(kind.length) > 3 * sum(kind.width) for kind in kinds if isinstance(kind, Drops))
    clear = sum(kind.veil == (0.0, 0.0) for kind in kinds)
    assert 40 < clear < 120


def test_one_state_of_the_generator_gives_one_rain() -> None:
    clean = torch.full((3, 64, 64), 0.4)
    one, same, other = (Rain()(clean, seeded(seed)) for seed in (4, 4, 5))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.min() >= 0
    assert one.max() <= 1
