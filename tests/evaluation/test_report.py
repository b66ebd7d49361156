import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
import torchvision
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from noiseda.errors import ImageError, UserError
from noiseda.evaluation.perceptual import BACKBONE
from noiseda.evaluation.protocols import PROTOCOLS
from noiseda.evaluation.report import compare, evaluate
from noiseda.images import Picture, write
from noiseda.inference.files import restore_jobs
from tests.restoration.networks import Doubling

PHOTOGRAPH = skimage.data.coffee()


@pytest.fixture(autouse=True)
def no_network_and_no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("tried the network"))
    before = torch.hub.get_dir()
    torch.hub.set_dir(tmp_path / "no-hub")
    yield
    torch.hub.set_dir(before)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two images with noise of 10 and 20 levels, and their targets; one in a folder of its own."""
    random = np.random.default_rng(0)
    for name, sigma, row in (("a.png", 10, 0), ("deep/b.png", 20, 200)):
        target = PHOTOGRAPH[row : row + 64, 100:180]
        noisy = np.clip(np.round(target + sigma * random.standard_normal(target.shape)), 0, 255).astype(np.uint8)
        save(tmp_path / "restored" / name, noisy)
        save(tmp_path / "target" / name, target)
    return tmp_path / "restored", tmp_path / "target"


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def load(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_each_image_is_scored_and_then_the_mean(folders: tuple[Path, Path], tmp_path: Path) -> None:
    restored, target = folders
    report = evaluate(restored, target, out=tmp_path / "out")
    expected = [peak_signal_noise_ratio(load(target / name), load(restored / name)) for name in ("a.png", "deep/b.png")]
    document = json.loads((tmp_path / "out/metrics.json").read_text())
    assert document["mean"]["psnr"] == pytest.approx(sum(expected) / 2, abs=1e-5)
    assert document["mean"]["psnr"] == report.mean["psnr"]
    assert document["images"] == 2
    assert document["identical"] == []
    assert document["lpips"] is None
    assert document["protocol"]["name"] == "rgb"
    assert (document["protocol"]["data_range"], document["protocol"]["bits"]) == (255, 8)
    assert document["protocol"]["border"] == 0
    assert document["protocol"]["sentence"] == PROTOCOLS["rgb"].sentence
    assert document["source"] == {"restored": str(restored), "target": str(target)}
    assert document["versions"]["torch"] == torch.__version__
    rows = list(csv.DictReader((tmp_path / "out/metrics.csv").open()))
    assert [row["image"] for row in rows] == ["a.png", "deep/b.png"]
    assert [float(row["psnr"]) for row in rows] == pytest.approx(expected, abs=1e-5)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "metrics.csv",
        "metrics.json",
        "report.html",
    ]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_writes_its_columns(folders: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    evaluate(*folders, protocol=name, out=tmp_path / "out")
    document = json.loads((tmp_path / "out/metrics.json").read_text())
    assert tuple(document["mean"]) == PROTOCOLS[name].columns
    header = (tmp_path / "out/metrics.csv").read_text().splitlines()[0]
    assert header == ",".join(["image", *PROTOCOLS[name].columns])


def test_the_table_says_what_was_measured(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(*folders, protocol="deblur")
    printed = capsys.readouterr().out
    assert "deep/b.png" in printed
    assert "mean of 2" in printed
    assert "best shift" in printed
    assert "scikit-image's defaults" in printed


def test_a_long_table_shows_the_lowest_and_the_highest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for i in range(20):
        save(tmp_path / f"r/{i:02}.png", PHOTOGRAPH[:20, :20] // 2 + np.uint8(i))
        save(tmp_path / f"t/{i:02}.png", PHOTOGRAPH[:20, :20] // 2 + np.uint8(60))
    evaluate(tmp_path / "r", tmp_path / "t")
    printed = capsys.readouterr().out
    assert "… 4 more" in printed
    assert [f"{i:02}.png" in printed for i in range(20)] == [True] * 8 + [False] * 4 + [True] * 8


def test_two_files_are_compared_whatever_their_names(folders: tuple[Path, Path]) -> None:
    restored, target = folders
    report = evaluate(restored / "a.png", target / "a.png")
    assert list(report.rows) == ["a.png"]
    assert report.rows["a.png"] == evaluate(restored, target).rows["a.png"]


def test_identical_images_are_counted_and_left_out_of_the_mean(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    restored, target = folders
    before = evaluate(restored, target).rows["deep/b.png"]["psnr"]
    save(restored / "a.png", load(target / "a.png"))
    report = evaluate(restored, target, out=tmp_path / "out")
    assert report.mean["psnr"] == before
    assert "1 identical to the target: left out of the mean PSNR" in capsys.readouterr().out
    document = json.loads((tmp_path / "out/metrics.json").read_text(), parse_constant=pytest.fail)
    assert document["identical"] == ["a.png"]
    assert (tmp_path / "out/metrics.csv").read_text().splitlines()[1].startswith("a.png,inf,1.0")


def test_nothing_but_identical_images_has_an_infinite_mean(folders: tuple[Path, Path], tmp_path: Path) -> None:
    report = evaluate(folders[1], folders[1], out=tmp_path / "out")
    assert report.mean["psnr"] == math.inf
    assert json.loads((tmp_path / "out/metrics.json").read_text())["mean"]["psnr"] == "inf"


def test_lpips_without_a_backbone_says_so_everywhere(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(*folders, weights_dir=tmp_path / "nothing", out=tmp_path / "out")
    value = json.loads((tmp_path / "out/metrics.json").read_text())["mean"]["lpips"]
    assert value.startswith("unavailable: no AlexNet backbone at ")
    rows = list(csv.DictReader((tmp_path / "out/metrics.csv").open()))
    assert [row["lpips"] for row in rows] == [value, value]
    assert "LPIPS unavailable: no AlexNet backbone" in capsys.readouterr().out


def test_lpips_with_a_backbone_is_a_number(folders: tuple[Path, Path], tmp_path: Path) -> None:
    restored, target = folders
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    torch.save(torchvision.models.alexnet(weights=None).state_dict(), tmp_path / "hub/checkpoints" / BACKBONE)
    save(restored / "a.png", load(target / "a.png"))
    report = evaluate(restored, target, weights_dir=tmp_path / "hub", out=tmp_path / "out")
    assert report.rows["a.png"]["lpips"] == 0.0
    assert report.rows["deep/b.png"]["lpips"] > 0.0
    document = json.loads((tmp_path / "out/metrics.json").read_text())
    assert document["mean"]["lpips"] == report.rows["deep/b.png"]["lpips"] / 2
    assert document["lpips"]["published_backbone"] is False
    assert "torchmetrics" in document["versions"]
    for folder in (restored, target):
        save(folder / "small.png", PHOTOGRAPH[:20, :20])
    small = evaluate(restored, target, weights_dir=tmp_path / "hub")
    assert small.rows["small.png"]["lpips"].startswith("unavailable: AlexNet needs")
    assert small.mean["lpips"].startswith("unavailable: AlexNet needs")


def test_16_bits_are_rounded_to_8(tmp_path: Path) -> None:
    grey = PHOTOGRAPH[:32, :32, 0]
    save(tmp_path / "r/1.png", grey.astype(np.uint16) * 257 + 100)  # less than half a level of 8 bits
    save(tmp_path / "t/1.png", grey)
    assert evaluate(tmp_path / "r", tmp_path / "t").identical == ["1.png"]


def test_a_partner_that_is_missing_is_named(folders: tuple[Path, Path]) -> None:
    restored, target = folders
    save(restored / "extra.png", PHOTOGRAPH[:20, :20])
    with pytest.raises(UserError, match=rf"{restored}/extra\.png has no partner in {target}"):
        evaluate(restored, target)


def test_sizes_that_differ_are_named_with_both_files(folders: tuple[Path, Path]) -> None:
    restored, target = folders
    save(restored / "a.png", PHOTOGRAPH[:64, :70])
    for pair in ((restored, target), (restored / "a.png", target / "a.png")):
        with pytest.raises(UserError, match=r"restored/a\.png is 70x64 but .*target/a\.png is 80x64"):
            evaluate(*pair)


def test_inputs_of_super_resolution_are_enlarged_to_their_targets_and_the_report_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, row in (("a", 0), ("b", 100)):
        target = PHOTOGRAPH[row : row + 64, :80]
        save(tmp_path / "target" / f"{name}.png", target)
        save(tmp_path / "input" / f"{name}.png", target[::2, ::2])
    report = evaluate(tmp_path / "input", tmp_path / "target", out=tmp_path / "out")
    assert report.enlarged == 2
    assert "Targets are 2 times as large as the images" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "out/metrics.json").read_text())["enlarged"] == {
        "by": 2, "how": "bicubic interpolation",
    }  # fmt: skip
    for name, row in report.rows.items():
        x = Image.open(tmp_path / "input" / name)
        planes = [
            Image.fromarray(np.asarray(plane, np.float32)).resize((80, 64), Image.Resampling.BICUBIC)
            for plane in x.split()
        ]
        enlarged = np.round(np.clip(np.stack(planes, axis=2), 0, 255)).astype(np.uint8)
        expected = peak_signal_noise_ratio(load(tmp_path / "target" / name), enlarged)
        assert row["psnr"] == pytest.approx(expected, abs=0.01)
    save(tmp_path / "target/b.png", PHOTOGRAPH[:96, :120])
    with pytest.raises(UserError, match="the same factor in all pairs"):
        evaluate(tmp_path / "input", tmp_path / "target")


def test_super_resolution_is_measured_at_the_size_of_the_targets(tmp_path: Path) -> None:
    """Restored by a network of scale 2 they have that size, and nothing is enlarged."""
    target = PHOTOGRAPH[:64, :80]
    save(tmp_path / "target/a.png", target)
    save(tmp_path / "input/a.png", target[::2, ::2])
    jobs = [(tmp_path / "input/a.png", tmp_path / "restored/a.png")]
    restore_jobs(Doubling(), jobs, tile=32, overlap=8, precision="fp32", max_megapixels=1)
    after = evaluate(tmp_path / "restored", tmp_path / "target")
    assert after.enlarged == 1
    assert after.to_dict()["enlarged"] is None
    expected = peak_signal_noise_ratio(target, load(tmp_path / "restored/a.png"))
    assert after.rows["a.png"]["psnr"] == pytest.approx(expected)


def test_what_cannot_be_compared_is_an_error(folders: tuple[Path, Path], tmp_path: Path) -> None:
    restored, target = folders
    with pytest.raises(UserError, match=r"absent: no such file or folder"):
        evaluate(tmp_path / "absent", target)
    with pytest.raises(UserError, match=r"restored is a folder and .*a\.png is a file"):
        evaluate(restored, target / "a.png")
    for name in ("empty1", "empty2"):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="hold no images"):
        evaluate(tmp_path / "empty1", tmp_path / "empty2")
    with pytest.raises(ImageError, match="megapixels"):
        evaluate(restored, target, max_megapixels=0.001)
    (target / "a.png").write_bytes((target / "a.png").read_bytes()[:2000])
    with pytest.raises(ImageError, match=r"target/a\.png"):
        evaluate(restored, target)


def test_too_small_an_image_is_named(tmp_path: Path) -> None:
    for folder in ("r", "t"):
        save(tmp_path / folder / "tiny.png", PHOTOGRAPH[:8, :9])
    with pytest.raises(UserError, match=r"tiny\.png: SSIM .* 9x8"):
        evaluate(tmp_path / "r", tmp_path / "t")


def test_an_unwritable_out_is_an_error_and_leaves_nothing(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"--out .*file"):
        evaluate(*folders, out=tmp_path / "file")


def test_compare_prints_nothing(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    restored, target = folders
    report = compare({"x": (restored / "a.png", target / "a.png")}, PROTOCOLS["rgb"])
    assert list(report.rows) == ["x"]
    assert capsys.readouterr().out == ""


def test_what_is_not_taken_is_said(folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    (folders[0] / "c.heic").write_bytes(b"x")
    (folders[1] / "d.gif").write_bytes(b"x")
    (folders[1] / "readme.txt").write_bytes(b"x")
    evaluate(*folders)
    told = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0:2] for line in told] == [[str(folder), " not taken"] for folder in folders]
    assert "1 HEIC (c.heic)" in told[0]
    assert "1 GIF, 1 other file (d.gif, readme.txt)" in told[1]


def test_files_of_sixteen_bits_are_measured_at_sixteen(tmp_path: Path) -> None:
    """A difference of a tenth of a step of 8 bits shows; beside one file of 8 bits it is rounded away, as ever."""
    target = torch.full((1, 32, 32), 30_000 / 65535)
    for name, pixels, bits in (("x", target + 26 / 65535, 16), ("y", target, 16), ("z", target, 8)):
        write(Picture(pixels, bits=bits), tmp_path / f"{name}.png")
    report = compare({"a": (tmp_path / "x.png", tmp_path / "y.png")}, PROTOCOLS["rgb"])
    assert report.rows["a"]["psnr"] == pytest.approx(-20 * math.log10(26 / 65535), abs=0.01)
    assert report.protocol.settings["bits"] == 16
    assert report.protocol.settings["data_range"] == 65535
    assert compare({"a": (tmp_path / "x.png", tmp_path / "z.png")}, PROTOCOLS["rgb"]).protocol.bits == 8
