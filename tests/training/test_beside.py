"""What a run says of files that it does not take."""

from dataclasses import replace
from pathlib import Path

import pytest

from noiseda.errors import UserError
from noiseda.training.beside import list_others
from noiseda.training.build import list_images
from noiseda.training.cost import describe
from noiseda.training.run import prepare
from tests.training.photographs import CLEAN, folder, small


@pytest.fixture
def settings(tmp_path):
    """One folder for both domains, with files in it that are not taken."""
    folder(tmp_path / "photos", CLEAN)
    for name in ("IMG_1.HEIC", "b.dng", "notes.txt", "Thumbs.db"):
        (tmp_path / "photos" / name).write_bytes(b"x")
    return replace(small(tmp_path), clean=tmp_path / "photos", real=tmp_path / "photos")


TOLD = "not taken: 1 DNG, 1 HEIC, 1 other file (b.dng, IMG_1.HEIC, notes.txt): this version reads PNG, JPEG, TIFF"


def test_a_folder_of_several_flags_is_named_once(settings):
    (line,) = list_others(settings, list_images(settings))
    assert line.startswith(f"--clean and --real {settings.real}: {TOLD}")
    quiet, loud = list_others(settings, list_images(settings), quiet=False)
    assert quiet == line
    assert loud.endswith("passed over: 1 system file (Thumbs.db)")


def test_a_dry_run_says_it(settings):
    lines = str(describe(settings)).splitlines()
    assert any(line.startswith(f"beside      --clean and --real {settings.real}: {TOLD}") for line in lines)
    assert any("1 system file (Thumbs.db)" in line for line in lines)


def test_a_run_says_it_once(settings, caplog):
    prepare(settings)
    assert sum(TOLD in record.getMessage() for record in caplog.records) == 1


def test_a_folder_of_nothing_else_is_refused_with_the_reason(settings, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.NEF").write_bytes(b"x")
    with pytest.raises(UserError, match=r"^--real .*raw holds no image .*; not taken: 1 NEF \(a\.NEF\): this version"):
        list_images(replace(settings, real=Path(tmp_path / "raw")))
