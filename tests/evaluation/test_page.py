"""The page that ``noiseda evaluate`` writes."""

import math
from pathlib import Path

import pytest
import torch

from noiseda import cli
from noiseda.evaluation.comparisons import compared
from noiseda.evaluation.page import scores_page
from noiseda.images import Picture, write
from noiseda.report.page import page
from tests.report.page import assert_self_contained

NAMES = ("a.png", 'b "two".png', "<img src=x onerror=alert(1)>.png", "d.png", "e.png", "f.png")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Six images, each farther from its target than the one before."""
    random = torch.Generator().manual_seed(0)
    for folder in ("restored", "target"):
        (tmp_path / folder).mkdir()
    for index, name in enumerate(NAMES):
        target = torch.rand(3, 40, 60, generator=random)
        noise = 0.02 * (index + 1) * torch.randn(3, 40, 60, generator=random)
        write(Picture(target), tmp_path / "target" / name)
        write(Picture((target + noise).clamp(0, 1)), tmp_path / "restored" / name)
    return tmp_path


def test_the_command_writes_a_page_with_every_image_in_its_table(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(folders / "restored"), str(folders / "target"), "--out", str(folders / "out")]
    assert cli.main(words) == 0
    read = assert_self_contained((folders / "out/report.html").read_text(encoding="utf-8"))
    assert read.said["th"] == [*sorted(NAMES), "mean of 6"]
    assert read.said["button"] == ["image", "PSNR dB", "SSIM"]
    shown = {has["alt"].split(".png, ")[0] + ".png" for has in read.all("img")}
    assert shown == {NAMES[0], NAMES[2], NAMES[4], NAMES[5]}, "the lowest, the highest, and two between"
    assert any(has["alt"].startswith("a.png, difference ×") for has in read.all("img"))
    assert "Against their targets, 6 images score " in read.text
    printed = " ".join(capsys.readouterr().out.split())
    assert "PSNR over the RGB channels; SSIM with an 11x11 Gaussian window" in printed
    assert "PSNR over the RGB channels; SSIM with an 11x11 Gaussian window" in read.text
    assert str(folders / "restored") in read.text


def test_images_that_are_enlarged_or_have_no_score_are_shown(folders: Path) -> None:
    files = (folders / "restored/a.png", folders / "target/a.png")
    small = Picture(torch.rand(1, 20, 30, generator=torch.Generator().manual_seed(0)))
    write(small, folders / "small.png")
    rows = {"a": {"psnr": math.inf, "ssim": 1.0, "lpips": "unavailable: no file"}}
    for pair, scale in ((files, 1), ((folders / "small.png", files[1]), 2)):
        read = assert_self_contained(page(scores_page(rows, rows["a"], {"a": pair}, scale=scale)))
        assert {(has["width"], has["height"]) for has in read.all("img")} == {("60", "40")}
        assert "unavailable" in read.said["td"]
        assert "Against its target, 1 image scores " in read.text


def test_the_part_that_is_shown_is_the_same_of_all_versions() -> None:
    random = torch.Generator().manual_seed(0)
    target = torch.rand(3, 700, 90, generator=random)
    target[:, :500] = 0.5
    images = {"input": target * 0.9, "adapted": target * 0.95, "target": target}
    found = compared("n", images, target, opens=("input", "adapted"), differs=("input", "adapted"), taken=True, side=64)
    assert found.note == "64 × 64 of 90 × 700 pixels"
    assert [pane.label for pane in found.panes] == ["input", "adapted", "target", "taken away × 8"]
    assert [bool(pane.note) for pane in found.panes] == [True, True, False, False]
    shown = [pane.pixels for pane in found.panes]
    assert all(torch.equal(part, whole * shown[2]) for part, whole in zip(shown[:2], (0.9, 0.95), strict=False))
    assert torch.allclose(shown[3], 0.5 + 8 * (shown[0] - shown[1]))
    assert found.opened == (0, 1)
    assert found.spectrum is not None
    assert compared("n", images).spectrum is None
