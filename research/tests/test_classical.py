"""Classical rivals: each restores, all are measured alike, and the table says what was chosen by the truth."""

import json
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from noiseda import DegradationSettings, Picture, UserError, read_image, save_weights, to_uint8, write_image
from noiseda.data import generator
from noiseda.evaluation import PROTOCOLS, psnr
from noiseda.images import jpeg
from noiseda_research.classical import __main__ as command
from noiseda_research.classical import measure, optional, pictures, rivals, scores, table
from noiseda_research.classical.deviations import by_flat_places, by_wavelets
from noiseda_research.classical.rivals_others import OTHERS
from noiseda_research.comparison import runs
from noiseda_research.comparison.matrix import CompareSettings, SimulatedSettings
from tests.restoration.networks import SMALL, built


def clean(side=96, channels=3):
    """Large shapes without detail."""
    seeds = torch.rand(1, channels, 4, 4, generator=generator(0, "clean"))
    return torch.nn.functional.interpolate(seeds, (side, side), mode="bicubic").clamp(0.1, 0.9)[0]


def noisy(image, sigma, *key):
    return image + sigma / 255 * torch.randn(image.shape, generator=generator(0, "noise", *key))


def needs(*modules):
    for module in modules:
        pytest.importorskip(module, reason=f"needs {optional.PACKAGES[module]}, of research[classical]")


NEEDED = {"bm3d": ("bm3d",), "nlm-opencv": ("cv2",), "wavelet": ("pywt",)}


def gain(name, strength, degraded, target):
    """What a rival gains over the input, in dB; it leaves its input as it is."""
    image = degraded.permute(1, 2, 0).contiguous().numpy()
    before = image.copy()
    restored = rivals.RIVALS[name].restore(image, strength)
    assert restored.shape == image.shape
    assert restored.dtype == np.float32
    assert np.array_equal(image, before)
    found = torch.from_numpy(restored.copy()).permute(2, 0, 1)
    return (psnr(found[None], target[None]) - psnr(degraded[None], target[None])).item()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name.startswith("bm3d") else name
        for name in rivals.RIVALS
        if name != "input" and name not in OTHERS
    ],
)
def test_a_rival_removes_noise_from_colour_and_grey(name, channels):
    for part, modules in NEEDED.items():
        if part in name:
            needs(*modules)
    target = clean(96, channels)
    degraded = noisy(target, 20)
    rival = rivals.RIVALS[name]
    image = degraded.permute(1, 2, 0).contiguous().numpy()
    strength = rival.estimate(image) if rival.estimate else 20.0 if rival.tried else 0.0
    assert gain(name, strength, degraded, target) > 3


def edges(channels):
    """Squares with sharp edges; every channel has other grey levels."""
    rows = torch.arange(96) // 16 % 2
    squares = (rows[:, None] ^ rows[None]).float()
    return torch.stack([0.2 + (0.4 + 0.1 * channel) * squares for channel in range(channels)])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_median_removes_thin_bright_lines(channels):
    target = clean(96, channels)
    rainy = target.clone()
    for column in range(4, 92, 9):
        rainy[:, 10:80, column] = 0.95
    assert gain("median", 3.0, rainy, target) > 10


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("name", "strength"), [("unsharp", 10.0), ("richardson-lucy", 16.0)])
def test_a_blurred_image_becomes_sharper(name, strength, channels):
    target = edges(channels)
    blurred = torch.from_numpy(gaussian_filter(target.numpy(), (0, 1.6, 1.6)))
    assert gain(name, strength, blurred, target) > 1


@pytest.mark.parametrize("channels", [1, 3])
def test_compressing_again_at_all_shifts_removes_blocks(channels):
    target = clean(96, channels)
    assert gain("rejpeg", 10.0, jpeg(target, 10), target) > 1


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm3d", None)
    with pytest.raises(UserError, match=r"BM3D needs the package bm3d.*research\[classical\]"):
        rivals.bm3d(np.zeros((8, 8, 3), dtype=np.float32), 10)


@pytest.mark.parametrize("channels", [1, 3])
def test_flat_places_tell_the_deviation_of_white_noise(channels):
    image = noisy(torch.full((channels, 160, 160), 0.5), 20).permute(1, 2, 0).numpy()
    assert by_flat_places(image) == pytest.approx(20, rel=0.05)


def test_without_flat_places_wavelets_tell_it():
    needs("pywt")
    image = noisy(clean(24), 20).permute(1, 2, 0).numpy()
    assert by_flat_places(image) == by_wavelets(image) == pytest.approx(20, rel=0.15)


@pytest.fixture
def data(tmp_path):
    """Folders as the shared ones, with two tiny images each."""
    for number in range(2):
        target = clean(40 + 8 * number)
        for folder in (pictures.REAL["polyu"], pictures.FOLDERS["oct"]):
            one = target[:1] if "oct" in folder else target
            for half, image in {"input": noisy(one, 15, number), "target": one}.items():
                (tmp_path / folder / half).mkdir(parents=True, exist_ok=True)
                write_image(Picture(image), tmp_path / folder / half / f"{number}.png")
        (tmp_path / "clean/kodak24").mkdir(parents=True, exist_ok=True)
        write_image(Picture(target), tmp_path / f"clean/kodak24/{number}.png")
    return tmp_path


def test_simulated_phones_are_the_very_images_of_the_matrix(data):
    simulated = {
        name: SimulatedSettings(
            clean="{data}/clean/kodak24", degradation=DegradationSettings(kind=kind, strength=strength), count=12
        )
        for name, kind, strength in (
            ("phone-test", "camera", (1500.0, 4000.0)),
            ("dark-phone-test", "camera", (6000.0, 12000.0)),
            ("other-phone-test", "phone", (3000.0, 12000.0)),
        )
    }
    settings = CompareSettings(data=data, out=data / "out", simulated=simulated)
    for name, kept in pictures.PHONES.items():
        runs.render(settings, kept)
        for pair in pictures.pictures(data, name):
            folder = data / "out/simulated" / kept
            assert torch.equal(pair.degraded, read_image(folder / "input" / f"{pair.name}.png").pixels)
            assert torch.equal(pair.target, read_image(folder / "target" / f"{pair.name}.png").pixels)


def test_sets_are_whole_or_cut_to_their_middle(data):
    assert [pair.target.shape for pair in pictures.pictures(data, "oct")] == [(1, 40, 40), (1, 48, 48)]
    whole, cut = (next(pictures.pictures(data, "kodak-50", crop)) for crop in (None, 20))
    assert torch.equal(cut.degraded, whole.degraded[:, 10:30, 10:30])
    assert cut.degraded.min() < 0 or cut.degraded.max() > 1  # white noise is not clipped
    assert pictures.known_sigma("kodak-50") == 50
    assert pictures.known_sigma("polyu") is None


def halves(folder, stem, degraded, target):
    for half, image in {"input": degraded, "target": target}.items():
        (folder / half).mkdir(parents=True, exist_ok=True)
        write_image(Picture(image), folder / half / f"{stem}.png")


def test_rain_and_blur_are_pairs_but_for_scenes_seen_before(tmp_path):
    target = clean(40)
    for stem in ("2", "4", "10", "47", "58"):
        halves(tmp_path / "deraining/rain100l/test", stem, noisy(target, 15, stem), target)
    halves(tmp_path / "deblurring/levin/test", "im2_kernel1_img", noisy(target, 15)[:1], target[:1])
    halves(tmp_path / "deblurring/gopro", "4", noisy(target, 15), target)
    found = {name: list(pictures.pictures(tmp_path, name)) for name in ("rain100l", "levin", "gopro")}
    assert sorted(pair.name for pair in found["rain100l"]) == ["10", "2"]
    assert [(pair.name, len(pair.target)) for pair in found["levin"]] == [("im2_kernel1_img", 1)]
    assert [(pair.name, len(pair.target)) for pair in found["gopro"]] == [("4", 3)]
    assert not any(torch.equal(pair.degraded, pair.target) for pairs in found.values() for pair in pairs)


def test_clean_photographs_are_compressed_before_they_are_cut(tmp_path):
    (tmp_path / "jpeg/live1").mkdir(parents=True)
    write_image(Picture(clean(42)), tmp_path / "jpeg/live1/bikes.png")
    target = read_image(tmp_path / "jpeg/live1/bikes.png").pixels
    for quality in (10, 20, 40):
        (pair,) = pictures.pictures(tmp_path, f"live1-{quality}", 32)
        assert pair.name == "bikes"
        assert torch.equal(pair.target, target[:, 5:37, 5:37])
        assert torch.equal(pair.degraded, jpeg(target, quality)[:, 5:37, 5:37])


@pytest.mark.parametrize("channels", [1, 3])
def test_blur_is_scored_at_the_best_shift(tmp_path, channels):
    target = noisy(edges(channels), 20).clamp(0, 1)
    moved = noisy(target, 5, "again").clamp(0, 1).roll((3, -2), (1, 2))
    found = scores.score(moved, target, "deblur")
    protocol = PROTOCOLS["deblur"]
    assert found["psnr"] == pytest.approx(protocol.score(moved, target)["psnr_best_shift"])
    assert found["ssim"] == protocol.score(moved[:, 3:, :-2], target[:, :-3, 2:])["ssim"]
    assert found["ssim"] > protocol.score(moved, target)["ssim"] + 0.2
    assert scores.score(target, target, "deblur") == {"psnr": float("inf"), "ssim": 1.0}
    halves(tmp_path / "deblurring/gopro", "a", moved, target)
    halves(tmp_path / "deraining/rain100l/test", "a", moved, target)
    works = measure.plan(["gopro", "rain100l"], ["input"], None)
    shifted, in_place = measure.measure(tmp_path, tmp_path / "lines.jsonl", works)
    assert (shifted.psnr, shifted.ssim) == pytest.approx((found["psnr"], found["ssim"]), abs=1e-3)
    assert in_place.psnr < shifted.psnr - 3


def test_measuring_goes_on_where_it_stopped(data, capsys):
    lines = data / "lines.jsonl"
    arguments = [str(data), str(lines), "--sets", "polyu", "kodak-25", "--rivals", "input", "nlm", "--crop", "32"]
    command.main([*arguments, "--strengths", "10", "20"])
    first = measure.read_lines(lines)
    assert len(first) == 2 * (2 + 2 * 2)
    assert {line.parameter for line in first if line.rival == "nlm"} == {10, 20}
    whole = lines.read_text()
    lines.write_text(whole[: whole.rindex("{") + 20])  # cut off while the last line was written
    capsys.readouterr()
    command.main([*arguments, "--strengths", "10", "20"])
    assert capsys.readouterr().out.count("\n") == 1
    again = measure.read_lines(lines)
    assert [replace(line, seconds=0) for line in again] == [replace(line, seconds=0) for line in first]
    command.main([*arguments[:-2], "--crop", "24", "--strengths", "10"])
    assert {line.crop for line in measure.read_lines(lines)[12:]} == {24}


def test_scores_are_those_of_noisedas_own_evaluation(data):
    work = measure.plan(["polyu"], ["input"], None)
    line = next(measure.measure(data, data / "lines.jsonl", work))
    degraded, target = (
        read_image(data / "denoising/polyu/test" / half / "0.png").pixels for half in ("input", "target")
    )
    of_bytes = 10 * np.log10(255**2 / ((to_uint8(degraded).double() - to_uint8(target).double()) ** 2).mean().item())
    assert line.psnr == pytest.approx(of_bytes, abs=1e-4)
    assert (line.picture, line.parameter, line.megapixels) == ("0", None, 40 * 40 / 1e6)


def test_weights_are_measured_under_their_name(data):
    network, weights = built("unet-tiny"), data / "tiny.safetensors"
    save_weights(weights, network.state_dict(), architecture="unet", arguments=SMALL["unet-tiny"], task="denoise")
    works = measure.plan(["oct", "polyu"], [f"tiny={weights}"], None)
    found = list(measure.measure(data, data / "lines.jsonl", works[1:]))
    assert [line.rival for line in found] == ["tiny", "tiny"]
    assert not list(measure.measure(data, data / "lines.jsonl", works[1:]))


def test_a_rival_that_is_none_is_refused():
    with pytest.raises(UserError, match="'bm4d' is none of"):
        measure.plan(["polyu"], ["bm4d"], None)
    with pytest.raises(UserError, match="a rival's own name"):
        measure.plan(["polyu"], ["bm3d=weights.safetensors"], None)


def test_known_noise_is_told_and_else_all_strengths_are_tried():
    assert [work.strength for work in measure.plan(["kodak-15"], ["bm3d"], 256)] == [15]
    assert [work.strength for work in measure.plan(["polyu"], ["bm3d"], 256)] == list(rivals.SIGMAS)
    assert [work.strength for work in measure.plan(["kodak-15"], ["nlm-opencv"], 256)] == list(rivals.STRENGTHS)
    assert [work.strength for work in measure.plan(["polyu"], ["bm3d-flat-sigma"], 256)] == [None]


def test_other_tasks_try_what_their_rivals_count(tmp_path):
    tried = {name: [work.strength for work in measure.plan(["live1-20"], [name], None)] for name in OTHERS}
    assert tried == {name: list(rival.tried) for name, rival in OTHERS.items()}
    halves(tmp_path / "deraining/rain100l/test", "2", noisy(clean(40), 15), clean(40))
    works = measure.plan(["rain100l"], ["input", "median"], 32)
    lines = list(measure.measure(tmp_path, tmp_path / "lines.jsonl", works))
    found = table.cells(lines)
    assert found["median", table.EACH_ITS_OWN]["rain100l", 32].mean > found["input", ""]["rain100l", 32].mean
    assert "rain100l, 32 (1)" in table.markdown(lines)


def test_other_lines_are_refused(tmp_path):
    (tmp_path / "lines.jsonl").write_text('{"set": "polyu"}\n')
    with pytest.raises(UserError, match="holds other lines"):
        measure.read_lines(tmp_path / "lines.jsonl")


LINE = measure.Line("polyu", None, "a", "bm3d", 10.0, True, 30.0, 0.9, 2.0, 0.1)


def line(picture, psnr, parameter=10.0, **other):
    return replace(LINE, picture=picture, psnr=psnr, parameter=parameter, **other)


SWEPT = [line("a", 30.0), line("b", 36.0), line("a", 34.0, 20.0, ssim=0.8), line("b", 33.0, 20.0, ssim=0.8)]


def test_what_was_chosen_by_the_truth_is_called_an_oracle():
    found = table.cells([*SWEPT, line("a", 50.0, 30.0)])  # of 30, one of two images is done: it does not count
    assert found["bm3d", table.ONE_FOR_ALL] == {("polyu", None): table.Cell(33.5, 2, 20.0)}
    assert found["bm3d", table.EACH_ITS_OWN] == {("polyu", None): table.Cell(35.0, 2)}
    assert "oracle" in table.ONE_FOR_ALL
    assert "oracle" in table.EACH_ITS_OWN
    ssim = table.cells(SWEPT, "ssim")["bm3d", table.EACH_ITS_OWN]["polyu", None]  # chosen by PSNR
    assert ssim.mean == pytest.approx((0.8 + 0.9) / 2)


def test_a_strength_that_was_found_or_known_is_no_oracle():
    estimated = [replace(each, told=False, rival="bm3d-flat-sigma") for each in SWEPT[:2]]
    known = [replace(each, set="kodak-25", parameter=25.0) for each in SWEPT[:2]]
    found = table.cells([*estimated, *known])
    assert found["bm3d-flat-sigma", ""] == {("polyu", None): table.Cell(33.0, 2)}
    assert found["bm3d", table.TRUE] == {("kodak-25", None): table.Cell(33.0, 2, 25.0)}


def test_the_table_keeps_crops_apart_and_counts_what_is_missing(tmp_path, capsys):
    inputs = [replace(each, rival="input", parameter=None, told=False) for each in SWEPT[:2]]
    cut = [replace(each, crop=128, psnr=20.0) for each in SWEPT[:1]]
    lines = tmp_path / "lines.jsonl"
    lines.write_text("".join(json.dumps(asdict(each)) + "\n" for each in [*SWEPT[:1], *inputs, *cut]))
    table.main([str(lines)])
    rows = capsys.readouterr().out.splitlines()
    assert rows == [
        "| rival | strength | polyu, 128 (1) | polyu, whole (2) | s a megapixel |",
        "| --- | --- | --- | --- | --- |",
        "| input |  |  | 33.00 | 20 |",
        f"| bm3d | {table.ONLY} | 20.00 at 10 | 30.00 at 10 (only 1) | 20 |",
    ]
    table.main([str(lines), "--measure", "ssim", "--crop", "128"])
    assert "0.900 at 10" in capsys.readouterr().out
    table.main([str(lines), "--sets", "oct"])
    assert capsys.readouterr().out == "no lines\n"
