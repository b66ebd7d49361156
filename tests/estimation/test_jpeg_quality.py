"""At which qualities photographs were compressed, and that new ones are compressed alike."""

from pathlib import Path

import PIL.Image
import pytest
import torch
from skimage import data

from noiseda.errors import UserError
from noiseda.estimation import MatchedJpeg, matched_jpeg
from noiseda.estimation.finding import finding
from noiseda.estimation.jpeg_quality import SPREAD, VISIBLE, compression_of
from noiseda.images import jpeg

PHOTO = PIL.Image.fromarray(data.astronaut()[:96, 160:272])


def saved(path: Path, quality: int, colours: str = "4:2:0", mode: str = "RGB") -> Path:
    PHOTO.convert(mode).save(path, "JPEG", quality=quality, **({} if mode == "L" else {"subsampling": colours}))
    return path


def test_the_quality_and_the_colours_of_a_file_are_read(tmp_path: Path) -> None:
    for quality in (1, 5, 10, 25, 49, 50, 51, 75, 90, 100):
        found = compression_of(saved(tmp_path / "a.jpg", quality))
        assert found == (quality, "4:2:0")
    for colours in ("4:4:4", "4:2:2", "4:2:0"):
        assert compression_of(saved(tmp_path / "a.jpg", 40, colours)) == (40, colours)
    assert compression_of(saved(tmp_path / "grey.jpg", 30, mode="L")) == (30, "4:4:4")


def test_other_files_and_broken_ones_tell_nothing(tmp_path: Path) -> None:
    PHOTO.save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    for path in (tmp_path / "a.png", tmp_path / "b.jpg", tmp_path / "none.jpg"):
        assert compression_of(path) is None
    with pytest.raises(UserError, match=r"your 2 photographs were compressed is not known: none is a JPEG file"):
        matched_jpeg([tmp_path / "a.png", tmp_path / "b.jpg"])
    with pytest.raises(UserError, match=f"all are of a quality above {VISIBLE}"):
        matched_jpeg([saved(tmp_path / "fine.jpg", 95), tmp_path / "a.png"])


def test_what_was_saved_again_at_a_high_quality_is_left_out(tmp_path: Path) -> None:
    like = matched_jpeg([saved(tmp_path / f"{quality}.jpg", quality) for quality in (20, 60, 95)])
    assert like.found == ((20, "4:2:0"), (60, "4:2:0"))
    assert str(like) == "JPEG of quality 20 to 60 (median 40, of 2 found), mostly 4:2:0"


def test_images_are_compressed_as_the_files_were() -> None:
    clean = torch.from_numpy(data.astronaut()[:64, 160:224].copy()).permute(2, 0, 1).float() / 255
    like = MatchedJpeg(((30, "4:4:4"),))
    allowed = {jpeg(clean, quality, "4:4:4").numpy().tobytes() for quality in range(30 - SPREAD, 31 + SPREAD)}
    made = [like(clean, torch.Generator().manual_seed(seed)) for seed in range(400)]
    assert sum(image.numpy().tobytes() in allowed for image in made) > 0  # those whose grid begins at the corner
    errors = [float((image - clean).square().mean()) for image in made]
    worst, best = (float((jpeg(clean, 30 + far, "4:4:4") - clean).square().mean()) for far in (-SPREAD, SPREAD))
    assert 0.7 * best < min(errors)
    assert max(errors) < 1.4 * worst
    assert torch.equal(like(clean, torch.Generator().manual_seed(3)), made[3])
    both = MatchedJpeg(((8, "4:2:0"), (80, "4:2:0")))
    fine = 1.5 * float((jpeg(clean, 75) - clean).square().mean())
    made = [both(clean, torch.Generator().manual_seed(seed)) for seed in range(60)]
    assert 15 < sum(bool((image - clean).square().mean() > fine) for image in made) < 45


def test_it_is_said_in_the_report() -> None:
    found = finding(MatchedJpeg(((30, "4:2:0"),)), torch.Generator())
    assert found is not None
    assert "They were compressed" in found.words
    assert "quality 30 to 30" in found.words
