from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from noiseda import raster
from noiseda.errors import WeightsError
from noiseda.images import read
from noiseda.inference import restore_files
from noiseda.web.restoring import SIDE, before_and_after, check_weights, preview, restore_each
from tests.web.photographs import PROFILE, deep, photograph

READY = Path("denoise")


def test_sixteen_bits_exif_and_profile_are_in_what_is_downloaded(tmp_path: Path) -> None:
    source = deep(tmp_path / "in/a.png")
    ((path, target, reason),) = restore_each(READY, [source], tmp_path / "in", tmp_path / "out")
    assert (path, target, reason) == (source, tmp_path / "out/a.png", "")
    before, after = raster.read(source), raster.read(tmp_path / "out/a.png")
    assert (before.bits, after.bits) == (16, 16)
    assert len(np.unique(after.samples % 257)) > 100  # not 8 bits in 16
    assert after.icc == before.icc == PROFILE
    assert after.extras.exif == before.extras.exif
    assert before.extras.exif is not None


@pytest.mark.slow
def test_it_is_what_the_command_writes(tmp_path: Path) -> None:
    files = [deep(tmp_path / "in/a.tif"), photograph(tmp_path / "in/b.jpg")]
    made = [
        target
        for _, target, _ in restore_each(
            READY, files, tmp_path / "in", tmp_path / "page", strength=0.8, self_ensemble=True
        )
    ]
    restore_files(READY, str(tmp_path / "in"), tmp_path / "command", strength=0.8, self_ensemble=True)
    for target in made:
        assert target is not None
        assert target.read_bytes() == (tmp_path / "command" / target.name).read_bytes()


def test_what_cannot_be_restored_is_said_without_the_folders_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(photograph(tmp_path / "b.png").read_bytes()[:900])
    ((_, target, reason),) = restore_each(READY, [tmp_path / "in/a.png"], tmp_path / "in", tmp_path / "out")
    assert target is None
    assert reason.startswith("a.png: ")
    assert str(tmp_path) not in reason


def test_before_and_after_are_png_files_of_one_size(tmp_path: Path) -> None:
    source = deep(tmp_path / "a.tif")
    names = before_and_after(source, source, tmp_path, 100)
    for name in names:
        assert PIL.Image.open(name).format == "PNG"
        assert raster.read(name).bits == 8
        assert raster.read(name).icc == PROFILE
        assert (read(name).pixels - read(source).pixels).abs().max() <= 0.51 / 255


@pytest.mark.slow
def test_of_a_large_photograph_a_part_is_shown_pixel_for_pixel(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    samples = generator.integers(0, 256, (2100, 2000), dtype=np.uint8)
    PIL.Image.fromarray(samples).save(tmp_path / "a.png", compress_level=1)
    before, _ = before_and_after(tmp_path / "a.png", tmp_path / "a.png", tmp_path, 100)
    assert read(before).pixels.shape == (1, SIDE, SIDE)


def test_a_preview_is_what_the_network_makes_of_a_part(tmp_path: Path) -> None:
    before, after = (
        read(path).pixels
        for path in preview(READY, photograph(tmp_path / "a.png", 90, 70), tmp_path, side=64, megapixels=1)
    )
    assert before.shape == after.shape == (3, 64, 64)
    assert not torch.equal(before, after)


def test_a_file_that_is_no_network_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine.pth").write_text("not weights")
    with pytest.raises(WeightsError, match=r"^mine\.pth is a text \(not weights …\), not weights") as refused:
        check_weights(tmp_path / "mine.pth")
    assert str(tmp_path) not in str(refused.value)


def test_the_ready_weights_introduce_themselves() -> None:
    assert check_weights(READY).startswith("denoise: ResidualUNet, ")
