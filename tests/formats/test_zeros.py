"""JPEGs with zero bytes where data were lost are refused; flat pictures, whose own data are zeros, are read."""

import io

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest

from noiseda import raster
from noiseda.errors import ImageError
from noiseda.formats import icc, jpeg_scans, jpeg_zeros

ROWS, COLUMNS = np.mgrid[0:160, 0:240]
PHOTO = np.stack([ROWS, COLUMNS, 255 - (ROWS + COLUMNS) // 2], axis=2)
PHOTO = np.clip(PHOTO + np.random.default_rng(0).normal(0, 12, PHOTO.shape), 0, 255).astype(np.uint8)
FLAT = np.full((400, 600, 3), 200, np.uint8)
HALF = np.concatenate([PHOTO, np.full_like(PHOTO, 255)])
"""A photograph above white."""
RAMP = np.repeat(np.linspace(255, 0, 600)[:, None, None], 3, axis=2).astype(np.uint8).repeat(800, axis=1)
"""As a progressive file, its refining scans hold long runs of zeros."""


def jpeg(picture=PHOTO, mode="RGB", **options):
    made = io.BytesIO()
    PIL.Image.fromarray(picture).convert(mode).save(made, "JPEG", **{"quality": 90, "subsampling": 0, **options})
    return made.getvalue()


KINDS = {
    "4:4:4": jpeg(),
    "4:2:0": jpeg(subsampling=2),
    "best codes": jpeg(optimize=True),
    "grey": jpeg(mode="L"),
    "CMYK": jpeg(mode="CMYK"),
    "restarts": jpeg(restart_marker_rows=1),
    "progressive": jpeg(progressive=True),
    "progressive 4:2:0": jpeg(progressive=True, subsampling=2),
    "above white": jpeg(HALF, optimize=True, subsampling=2),
}


def filled(content, start, stop):
    return content[:start] + bytes(stop - start) + content[stop:]


def read(folder, content):
    path = folder / "a.jpg"
    path.write_bytes(content)
    return raster.read(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tail_of_zeros_is_refused(tmp_path, kind):
    content = KINDS[kind]
    found = jpeg_scans.walk(content)
    start = found.scans[0].data[0]
    for share in (0.1, 0.5, 0.9):
        at = int(start + share * (found.end - start) * (0.7 if kind == "above white" else 1))
        for more in (0, 1, 5000):
            with pytest.raises(ImageError, match=r"a\.jpg: cannot be read: "):
                read(tmp_path, filled(content, at, len(content)) + bytes(more))


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"progressive 4:2:0"}))  # of which some come through
def test_a_hole_of_zeros_is_refused(tmp_path, kind):
    content = KINDS[kind]
    found = jpeg_scans.walk(content)
    start, end = found.scans[0].data[0], found.end
    for at in range(start, end - 2000, (end - start) // 9):
        with pytest.raises(ImageError, match=r"a\.jpg: cannot be read: "):
            read(tmp_path, filled(content, at, at + 2000))


def test_a_short_hole_is_known_by_its_tables(tmp_path):
    content = KINDS["4:2:0"]
    start = jpeg_scans.walk(content).scans[0].data[0]
    with pytest.raises(ImageError, match="a part of its data is lost and filled with zero bytes"):
        read(tmp_path, filled(content, start + 3000, start + 3100))


@pytest.mark.parametrize("options", [{}, {"subsampling": 2}, {"mode": "L"}, {"mode": "CMYK"}, {"progressive": True}])
@pytest.mark.parametrize("picture", [FLAT, 0 * FLAT, FLAT[:399, :593], HALF, HALF[::-1], RAMP])
def test_a_flat_picture_whose_own_data_are_zeros_is_read(tmp_path, picture, options):
    for quality in (10, 95):
        found = read(tmp_path, jpeg(picture, **{"quality": quality, "optimize": True, **options}))
        assert found.notes == ()


def test_some_of_these_flat_pictures_hold_long_runs_of_zeros():
    content = jpeg(FLAT, optimize=True)
    zeros = jpeg_zeros.look(content, jpeg_scans.walk(content, briefly=True))
    assert zeros is not None
    assert not zeros.certain


@pytest.mark.parametrize("kind", ["4:4:4", "progressive", "best codes"])
def test_zeros_behind_a_whole_picture_do_no_harm(tmp_path, kind):
    content = KINDS[kind]
    whole = read(tmp_path, content).samples
    assert read(tmp_path, content + bytes(5000)).notes == ()
    for more, said in ((content[:-2] + bytes(5000), "end marker is missing"),
                       (content[:-2] + bytes(5000) + content[-2:], "zero bytes before its end marker")):  # fmt: skip
        if kind == "progressive" and said.startswith("zero"):  # which libjpeg itself takes for damage
            continue
        found = read(tmp_path, more)
        np.testing.assert_array_equal(found.samples, whole)
        assert len(found.notes) == 1
        assert said in found.notes[0]


@pytest.mark.parametrize("spoil", [
    lambda profile: profile[:300],
    lambda profile: b"\xff\xff\xff\xff" + profile[4:],
    lambda profile: profile[:36] + b"junk" + profile[40:],
    lambda profile: profile[:128] + b"\0\1\0\0" + profile[132:],
    lambda profile: b"",
])  # fmt: skip
def test_a_profile_that_is_not_whole_is_not_usable(spoil):
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    assert icc.usable(profile)
    assert not icc.usable(spoil(profile))


@pytest.mark.parametrize("target", ["png", "jpg", "tif", "webp"])
def test_a_damaged_profile_is_left_out_of_every_format_and_said(tmp_path, target, capfd):
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    found = read(tmp_path, jpeg(icc_profile=profile[:300]))
    assert found.notes == ("its ICC profile is damaged or incomplete and was left out",)
    assert raster.write(found, tmp_path / f"out.{target}") == []
    again = raster.read(tmp_path / f"out.{target}")
    assert again.icc is None
    assert again.notes == ()
    assert "VIPS" not in "".join(capfd.readouterr())
    assert read(tmp_path, jpeg(icc_profile=profile)).icc == profile
