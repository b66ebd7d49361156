"""Which rain photographs are like, found from what a network takes away from them."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from noiseda.data.rain import Drops, Rain, Streaks
from noiseda.errors import UserError
from noiseda.estimation import MatchedRain, matched_rain
from noiseda.estimation import rain as estimation
from noiseda.estimation.finding import finding
from noiseda.estimation.rain import rain_statistics
from noiseda.images import Picture, read, write
from noiseda.inference import restore_tensor
from noiseda.restoration import load
from noiseda.restoration.ready import READY, included
from noiseda.tasks import INCLUDED

CLEAN = sorted(included(Path(INCLUDED)).iterdir())
FEW, MANY = Drops(strength=(2.0, 2.0), veil=(0.0, 0.0)), Streaks(strength=(45.0, 45.0), veil=(0.0, 0.0))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(image: Tensor) -> Tensor:
    """What takes rain away without a network: a mean over a row of 15 pixels."""
    return torch.nn.functional.avg_pool2d(image[None], (1, 15), stride=1, padding=(0, 7), count_include_pad=False)[0]


def taken(folder: Path, rain: Streaks | Drops, count: int = 6) -> list[Path]:
    """Photographs taken in a rain."""
    folder.mkdir()
    for number in range(count):
        backdrop = torch.nn.functional.interpolate(
            torch.rand(1, 3, 8, 8, generator=seeded(number)), 192, mode="bicubic"
        )
        write(Picture(rain(0.5 * backdrop[0].clamp(0, 1), seeded(100 + number))), folder / f"{number}.png")
    return sorted(folder.iterdir())


def test_much_rain_and_little_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimation, "SIMULATIONS", 120)
    clean = taken(tmp_path / "clean", Drops(strength=(0.0, 0.0), veil=(0.0, 0.0)))
    middle = {}
    for name, rain in (("few", FEW), ("many", MANY)):
        like = matched_rain(taken(tmp_path / name, rain), clean, tmp_path / f"{name}.json", smooth, seed=0)
        assert len(like.found) == 30
        middle[name] = sorted(kind.strength[0] for kind in like.found)[15]
    assert middle["many"] > 3 * middle["few"]


def test_what_was_found_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimation, "SIMULATIONS", 20)
    real, kept = taken(tmp_path / "real", MANY, 2), tmp_path / "kept.json"
    like = matched_rain(real, real, kept, smooth, seed=0)
    assert matched_rain([], [], kept, smooth, seed=0) == like, "no photograph is looked at"
    document = json.loads(kept.read_text())
    kept.write_text(json.dumps({**document, "asked": {}}))
    assert matched_rain(real, real, kept, smooth, seed=0) == like
    assert matched_rain(real, real, tmp_path / "other.json", smooth, seed=1) != like


def test_small_photographs_are_named(tmp_path: Path) -> None:
    write(Picture(torch.rand(3, 40, 200)), tmp_path / "small.png")
    large = taken(tmp_path / "real", FEW, 1)
    with pytest.raises(UserError, match="no photograph of --real has 64 x 64 pixels"):
        matched_rain([tmp_path / "small.png"], large, tmp_path / "kept.json", smooth, seed=0)
    with pytest.raises(UserError, match="no photograph of --clean has 64 x 64 pixels"):
        matched_rain(large, [tmp_path / "small.png"], tmp_path / "kept.json", smooth, seed=0)


def test_figures_know_direction_length_and_strength() -> None:
    clean = torch.full((3, 160, 160), 0.3)
    short, long = (
        Streaks(strength=(10.0, 10.0), length=(length, length), layers=(1, 1), veil=(0.0, 0.0), slant=0.0)
        for length in (8.0, 80.0)
    )
    of = {name: rain_statistics(kind(clean, seeded()), clean) for name, kind in (("short", short), ("long", long))}
    nothing = rain_statistics(clean, clean)
    assert all(figures.shape == (18,) and bool(figures.isfinite().all()) for figures in (*of.values(), nothing))
    along = slice(9, 12)  # at 6, 12 and 24 pixels
    assert bool((of["long"][along] > of["short"][along] + 0.1).all())
    assert of["short"][0] > nothing[0] + 2
    turned = rain_statistics(long(clean, seeded()).transpose(1, 2), clean)
    torch.testing.assert_close(turned[8:17], of["long"][8:17], atol=0.05, rtol=0)


def test_grey_photographs_are_looked_at_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimation, "SIMULATIONS", 10)
    write(Picture(torch.rand(1, 80, 80)), tmp_path / "grey.png")
    like = matched_rain([tmp_path / "grey.png"], [tmp_path / "grey.png"], tmp_path / "kept.json", smooth, seed=0)
    assert like(torch.rand(1, 70, 70), seeded()).shape == (1, 70, 70)


def test_it_is_said_and_drawn_in_the_report() -> None:
    found = finding(MatchedRain((FEW, MANY)), seeded())
    assert found is not None
    assert "They were taken in rain" in found.words
    assert len(found.pictures) == 5


@pytest.mark.slow
def test_with_the_ready_weights_coverage_is_found_within_a_factor_of_four(tmp_path: Path) -> None:
    restore = partial(restore_tensor, load(READY["derain"]))
    generator = seeded(7)
    kinds = [Rain(strength=(covered, covered)).kind(generator) for covered in (1.0, 30.0) for _ in range(6)]
    for start, covered in ((0, 1.0), (6, 30.0)):
        folder = tmp_path / str(covered)
        folder.mkdir()
        for number, kind in enumerate(kinds[start : start + 6]):
            write(Picture(kind(read(CLEAN[number]).pixels[:, :160, :160], generator)), folder / f"{number}.png")
        like = matched_rain(sorted(folder.iterdir()), CLEAN, tmp_path / f"{covered}.json", restore, seed=0)
        middle = sorted(kind.strength[0] for kind in like.found)[len(like.found) // 2]
        assert covered / 4 < middle < 4 * covered
