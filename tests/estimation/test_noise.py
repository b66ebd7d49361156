"""What photographs went through, found from their looks, where it is known."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from noiseda.data.degradations import degradation
from noiseda.errors import UserError
from noiseda.estimation import noise_looks
from noiseda.estimation.empirical_bayes import DRAWS, RULES, occurring
from noiseda.estimation.noise import LENIENCE, Matched, matched, smoothed_where_flat
from noiseda.estimation.noise_looks import noise_statistics, simulate


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photograph(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).permute(2, 0, 1).float() / 255


def save(path: Path, image: torch.Tensor) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()).save(path)
    return path


def white(sigma: float, channels: int = 3) -> torch.Tensor:
    return 0.5 + sigma / 255 * torch.randn(channels, 320, 320, generator=seeded())


def test_it_tells_a_camera_from_white_noise_and_how_strong_it_was(tmp_path: Path) -> None:
    clean = [
        save(tmp_path / f"clean/{index}.png", photograph(array))
        for index, array in enumerate((skimage.data.astronaut(), skimage.data.coffee(), skimage.data.rocket()))
    ]
    rows, known = simulate(clean, seed=0, count=16)
    other = photograph(skimage.data.chelsea())
    for kind, strength, family in (
        ("shot", 20.0, {"shot", "shrunk"}),
        ("camera", 6000.0, {"camera", "phone"}),
    ):
        degrade = degradation("denoise", kind, (strength, strength))
        looks = [noise_statistics(degrade(other, seeded(seed)).clamp(0, 1)) for seed in range(3)]
        seen = torch.stack([look for look in looks if look is not None])
        found, _ = occurring(seen, known, rows, noise_looks.CANDIDATES)
        counts = Counter(name in family for name, _ in found)
        assert counts[True] >= 0.8 * len(found)
        if kind == "shot":
            strengths = sorted(value for name, value in found if name == kind)
            assert 10 < strengths[len(strengths) // 2] < 40


def test_what_was_found_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise_looks.simulate, "__defaults__", (3,))
    clean = [save(tmp_path / "clean/0.png", photograph(skimage.data.astronaut()))]
    shared = torch.nn.functional.avg_pool2d(white(40)[None], 3, 1, 1)[0]
    real = [save(tmp_path / f"real/{index}.png", shared) for index in range(2)]
    found = matched(real, clean, tmp_path / "cache/matched.json")
    assert len(found.found) == 2 * DRAWS
    assert not found.measured
    assert matched([], [], tmp_path / "cache/matched.json") == found
    (tmp_path / "cache/matched.json").unlink()
    assert matched(real, clean, tmp_path / "cache/matched.json") == found
    monkeypatch.setitem(RULES, "prior", 0.0)
    with pytest.raises(UserError, match="there is nothing to match"):  # found by another rule: looked for again
        matched([], [], tmp_path / "cache/matched.json")


def test_noise_that_differs_from_pixel_to_pixel_is_measured_and_not_simulated(tmp_path: Path) -> None:
    shared = torch.nn.functional.avg_pool2d(white(40)[None], 3, 1, 1)[0]
    images = [white(20), white(10), shared, shared]
    real = [save(tmp_path / f"real/{index}.png", image) for index, image in enumerate(images)]
    found = matched(real, [], tmp_path / "matched.json")
    assert sorted(noise.strength for noise in found.measured) == pytest.approx([10, 20], rel=0.05)
    assert matched([], [], tmp_path / "matched.json") == found, "read again"
    assert not found.found
    assert found.margin == 0
    assert found.prepare is None
    assert not found.processed
    assert str(found).startswith("noise that differs from pixel to pixel, as measured in 2 of them (deviation 10")
    grey, draws = torch.full((3, 64, 64), 0.5), seeded()
    deviations = {round(255 * float((found(grey, draws) - grey).std()) / 10) for _ in range(12)}
    assert deviations == {1, 2}, "each as likely as the others"
    fewer = [*real[1:], save(tmp_path / "real/4.png", shared)]
    clean = [save(tmp_path / "clean/0.png", photograph(skimage.data.astronaut()))]
    assert not matched(fewer, clean, tmp_path / "fewer.json").measured, "one in four is too few"


def test_photographs_without_colour_are_matched_by_clean_ones_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise_looks.simulate, "__defaults__", (20,))
    shown = torch.nn.functional.interpolate(torch.rand(1, 1, 6, 6, generator=seeded()), 320, mode="bicubic")[0]
    shown = 0.3 + 0.4 * shown
    clean = [save(tmp_path / "clean/0.png", shown.expand(3, -1, -1))]
    noisy = [(shown + 20 / 255 * torch.randn(1, 320, 320, generator=seeded(n))).clamp(0, 1) for n in (0, 1)]
    kept = tmp_path / "grey.json"
    (tmp_path / "real").mkdir()
    for number, image in enumerate(noisy):
        Image.fromarray((image[0] * 255).round().byte().numpy()).save(tmp_path / f"real/{number}.png")
    grey = matched(sorted((tmp_path / "real").iterdir()), clean, kept)
    assert grey.grey
    assert matched([], [], kept) == grey, "read again"
    assert "grey, as they are" in str(grey)
    three = [save(tmp_path / f"three/{n}.png", image.expand(3, -1, -1)) for n, image in enumerate(noisy)]
    assert matched(three, clean, tmp_path / "three.json") == grey, "in three equal channels likewise"
    coloured = torch.cat([noisy[0], noisy[1], noisy[0]])
    mixed = [save(tmp_path / "mixed/0.png", coloured), *three]
    assert not matched(mixed, clean, tmp_path / "mixed.json").grey


def test_photographs_without_noise_are_refused(tmp_path: Path) -> None:
    flat = [save(tmp_path / "real/0.png", torch.full((3, 320, 320), 0.5))]
    with pytest.raises(UserError, match="no photograph of --real has flat places with noise"):
        matched(flat, flat, tmp_path / "kept.json")
    assert not (tmp_path / "kept.json").exists()


def test_it_degrades_by_what_was_found_and_widens_what_cameras_smooth() -> None:
    clean = torch.full((3, 64, 64), 0.5)
    alike = Matched((("white", 10.0),))
    spreads = [(alike(clean, seeded(seed)) - 0.5).std().item() * 255 for seed in range(20)]
    assert spreads == pytest.approx([10] * 20, rel=0.05)
    assert alike.margin == 0
    seen = Matched((("camera", 1000.0),))
    assert seen.margin == degradation("denoise", "camera").margin
    assert torch.equal(seen(clean, seeded()), seen(clean, seeded()))
    stripes = clean + 0.3 * (torch.arange(64) // 3 % 2 - 0.5)
    even = Matched(seen.found, smoothed=1.0)

    def strength(alike: Matched, shown: torch.Tensor) -> float:
        return sum((alike(shown, seeded(seed)) - shown).std().item() for seed in range(80))

    assert strength(seen, clean) == pytest.approx(strength(even, clean), rel=0.15), "where it is flat, as it was found"
    mean = (4 - 1) / math.log(4)  # of a factor of 1 to 4, drawn by octaves
    assert strength(seen, stripes) == pytest.approx(mean * strength(even, stripes), rel=0.2)


def test_noise_is_smoothed_by_what_is_shown() -> None:
    """Against the formula, where the variance of what is shown is known: a ramp's, in windows of 7."""
    noise = 0.1 * torch.randn(1, 40, 40, generator=seeded())
    slope = 0.02
    clean = (slope * torch.arange(40.0)).expand(1, 40, 40)
    left = smoothed_where_flat(clean + noise, clean, 10.0) - clean
    variance = slope**2 * 4  # of -3 to 3
    share = variance / (variance + LENIENCE * noise.square().mean())
    torch.testing.assert_close(left[:, :, 3:-3], (share * noise)[:, :, 3:-3], rtol=1e-3, atol=1e-5)
    least = smoothed_where_flat(0.5 + noise, torch.full_like(noise, 0.5), 4.0) - 0.5
    torch.testing.assert_close(least, noise / 4, rtol=1e-3, atol=1e-5)
    colours = noise.expand(3, -1, -1)
    for size in ((3, 1, 1), (3, 2, 5)):
        small = colours[:, : size[1], : size[2]]
        left = smoothed_where_flat(small + 0.5, torch.full(size, 0.5), 2.0)
        torch.testing.assert_close(left, small / 2 + 0.5)


def test_it_says_what_was_found() -> None:
    found = Matched((("camera", 200.0), ("camera", 400.0), ("phone", 800.0), ("camera", 300.0)))
    text = "camera 75% (strength 200 to 400, median 300), phone 25% (strength 800 to 800, median 800)"
    assert str(found) == f"{text}; up to 4 times as strong where there is texture"
    assert str(Matched(found.found, smoothed=1.0)) == text
    shot = "shot 100% (strength 5 to 5, median 5)"
    assert str(Matched((("shot", 5.0),))) == shot, "what no camera smoothed"
    assert str(Matched((("shot", 5.0),), alike=False)) == f"{shot}; nothing simulated quite resembles them"


def test_photographs_are_looked_at_all_over_a_folder(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{index}.png", torch.full((3, 40, 40), index / 10)) for index in range(10)]
    levels = [round(10 * image.mean().item()) for image in noise_looks.middles(paths, 4)]
    assert levels == [0, 2, 5, 7]
    assert len(noise_looks.middles(paths, 64)) == 10
    assert noise_looks.middles([], 4) == []
