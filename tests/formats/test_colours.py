"""What is written looks the same: colours are compared as a colour-managed viewer (Little CMS) shows them."""

import io
import struct

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
import skimage.color
import tifffile

from noiseda import raster
from noiseda.formats import colour
from noiseda.images import read
from tests.formats.files import PICTURE, chunk, png, png_chunks, tiff
from tests.formats.test_carried import through

SRGB = PIL.ImageCms.createProfile("sRGB")
P3 = chunk(b"cICP", bytes([12, 13, 0, 1]))
PQ = chunk(b"cICP", bytes([9, 16, 0, 1]))
LINEAR = chunk(b"gAMA", struct.pack(">I", 100_000))
ADOBE = chunk(b"gAMA", struct.pack(">I", 45_455)) + chunk(
    b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
)


def shown(path):
    """(H, W, 3) sRGB that a viewer shows for a file, by its profile."""
    opened = PIL.Image.open(path)
    if (profile := opened.info.get("icc_profile")) is not None:
        source = PIL.ImageCms.ImageCmsProfile(io.BytesIO(profile))
        opened = PIL.ImageCms.profileToProfile(opened, source, SRGB, renderingIntent=1, outputMode="RGB")
    return np.array(opened.convert("RGB")).astype(float)


def encoded(linear):
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clip(0) ** (1 / 2.4) - 0.055).clip(0, 1)


def meant(gamma, primaries):
    """(H, W, 3) sRGB of PICTURE under a gamma (None: sRGB's curve) and primaries that share the white of sRGB."""
    value = PICTURE / 255
    light = value**gamma if gamma else np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)

    def to_xyz(points):
        columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in points]).T
        white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
        return columns * np.linalg.solve(columns, white)

    to_srgb = np.linalg.solve(to_xyz([(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]), to_xyz(primaries))
    return encoded((light @ to_srgb.T).clip(0, 1))


CASES = {
    "gamma 1": (LINEAR, 1.0, [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]),
    "Adobe RGB": (ADOBE, 2.2, [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)]),
    "Display P3": (P3, None, [(0.68, 0.32), (0.265, 0.69), (0.15, 0.06)]),
}


@pytest.mark.parametrize("target", [".tif", ".webp", ".jpg"])
@pytest.mark.parametrize("case", CASES)
def test_colours_given_by_chunks_look_the_same_elsewhere(tmp_path, case, target):
    chunks, gamma, primaries = CASES[case]
    through(tmp_path, png(chunks), ".png", target)
    difference = abs(shown(tmp_path / f"out{target}") - meant(gamma, primaries))
    assert np.median(difference) < 1
    assert np.quantile(difference, 0.98) < (8 if target == ".jpg" else 3)


@pytest.mark.parametrize("chunks", [LINEAR, ADOBE, P3, PQ, chunk(b"sRGB", b"\1")])
def test_chunks_stay_what_they_are_in_png(tmp_path, chunks):
    content, notes = through(tmp_path, png(chunks), ".png", ".png")
    kept = b"".join(chunk(*one) for one in png_chunks(content) if one[0] not in (b"IHDR", b"IDAT", b"IEND"))
    assert kept == chunks
    assert notes == []


def test_hdr_elsewhere_is_described_and_said(tmp_path):
    content, notes = through(tmp_path, png(PQ), ".png", ".tif")
    assert notes == ["its HDR colours are only described by a profile there; PNG keeps them as they are"]
    assert b"cicp" in content


@pytest.mark.parametrize("chunks", [b"", chunk(b"sRGB", b"\0"), chunk(b"cICP", bytes([1, 13, 0, 1]))])
def test_srgb_needs_no_profile(tmp_path, chunks):
    through(tmp_path, png(chunks), ".png", ".jpg")
    assert "icc_profile" not in PIL.Image.open(tmp_path / "out.jpg").info


def grey_png(profile):
    made = io.BytesIO()
    PIL.Image.fromarray(PICTURE[:, :, 0]).save(made, "PNG", icc_profile=profile)
    return made.getvalue()


GREY_GAMMA = colour.Colour(gamma=1.2).profile(1)


@pytest.mark.parametrize("target", [".png", ".tif", ".jpg", ".webp"])
def test_a_grey_profile_looks_the_same_everywhere(tmp_path, target):
    _, notes = through(tmp_path, grey_png(GREY_GAMMA), ".png", target)
    expected = encoded((PICTURE[:, :, :1] / 255) ** 1.2)
    assert abs(shown(tmp_path / f"out{target}") - expected).mean() < 1.5
    said = ["WebP has no grey profiles: the picture was converted to sRGB"]
    assert notes == (said if target == ".webp" else [])


def ycbcr(coefficients, reference, bits):
    top, half = 2**bits - 1, 2 ** (bits - 1)
    red, green, blue = coefficients
    rgb = PICTURE / 255 * top
    luma = rgb @ np.array(coefficients)
    cb, cr = (rgb[..., 2] - luma) / (2 - 2 * blue), (rgb[..., 0] - luma) / (2 - 2 * red)
    del green
    black, white = reference[::2], reference[1::2]
    stored = [
        luma / top * (white[0] - black[0]) + black[0],
        cb / (top - half) * (white[1] - black[1]) + black[1],
        cr / (top - half) * (white[2] - black[2]) + black[2],
    ]
    return np.stack(stored, axis=2).round().clip(0, top).astype(np.uint16 if bits == 16 else np.uint8)


def rational(*values):
    return tuple(number for value in values for number in (round(value * 10_000), 10_000))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("reference", [None, (16, 235, 128, 240, 128, 240)])
@pytest.mark.parametrize("coefficients", [(0.299, 0.587, 0.114), (0.2126, 0.7152, 0.0722)])
def test_ycbcr_tiff_is_converted(tmp_path, coefficients, reference, compression):
    samples = ycbcr(coefficients, reference or (0, 255, 128, 255, 128, 255), 8)
    tags = [(529, 5, 3, rational(*coefficients))]
    tags += [(532, 5, 6, rational(*reference))] if reference else []
    made = tiff(picture=samples, photometric="ycbcr", subsampling=(1, 1), tags=tags, compression=compression)
    (tmp_path / "a.tif").write_bytes(made)
    found = raster.read(tmp_path / "a.tif").samples
    assert found.shape == PICTURE.shape
    assert abs(found.astype(int) - PICTURE).max() <= 2


def test_ycbcr_of_16_bits_is_converted(tmp_path):
    samples = ycbcr((0.299, 0.587, 0.114), (0, 65535, 32768, 65535, 32768, 65535), 16)
    (tmp_path / "a.tif").write_bytes(tiff(picture=samples, photometric="ycbcr", subsampling=(1, 1)))
    found = raster.read(tmp_path / "a.tif").samples.astype(int)
    assert abs(found - PICTURE.astype(int) * 257).max() <= 4


def test_subsampled_ycbcr_gains_no_alpha(tmp_path):
    samples = ycbcr((0.299, 0.587, 0.114), (0, 255, 128, 255, 128, 255), 8)
    y = samples[..., 0]
    cb, cr = (samples[::2, ::2, i] for i in (1, 2))
    packed = np.stack([y[::2, ::2], y[::2, 1::2], y[1::2, ::2], y[1::2, 1::2], cb, cr], axis=2)
    made = tiff(picture=samples, photometric="ycbcr", subsampling=(1, 1))
    place = made.index(samples.tobytes())
    raw = made[:place] + packed.tobytes() + made[place + packed.size :]
    entry = struct.pack("<HHI", 530, 3, 2)
    raw = raw.replace(entry + struct.pack("<HH", 1, 1), entry + struct.pack("<HH", 2, 2))
    (tmp_path / "a.tif").write_bytes(raw)
    found = raster.read(tmp_path / "a.tif").samples
    assert found.shape == PICTURE.shape
    assert abs(found.astype(int) - PICTURE).mean() < 4


def lab_samples(kind, bits):
    """PICTURE in the Lab of profiles: under D50, from sRGB as its own profile has it (IEC 61966-2-1, Bradford)."""
    value = PICTURE / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    lab = skimage.color.xyz2lab(light @ to_xyz.T, illuminant="D50")
    if bits == 8:
        first, offset = lab[..., :1] * 2.55, (0 if kind == "cielab" else 128)
        hues = (lab[..., 1:].round() + offset).astype(np.int64)
        return np.concatenate([first.round().astype(np.int64), hues % 256], axis=2).astype(np.uint8)
    first = lab[..., :1] * (655.35 if kind == "cielab" else 652.8)
    hues = (lab[..., 1:] * 256 + (0 if kind == "cielab" else 32768)).round().astype(np.int64)
    return np.concatenate([first.round().astype(np.int64), hues % 65536], axis=2).astype(np.uint16)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["cielab", "icclab"])
def test_lab_tiff_is_converted(tmp_path, kind, bits):
    (tmp_path / "a.tif").write_bytes(tiff(picture=lab_samples(kind, bits), photometric=kind))
    found = raster.read(tmp_path / "a.tif")
    assert (found.bits, found.icc) == (bits, None)
    difference = abs(found.samples / (2**bits - 1) * 255 - PICTURE)
    assert difference.mean() < (1 if bits == 8 else 0.3)


def test_lab_is_written_as_rgb(tmp_path):
    content, _ = through(tmp_path, tiff(picture=lab_samples("cielab", 8), photometric="cielab"), ".tif", ".tif")
    assert tifffile.TiffFile(io.BytesIO(content)).pages[0].photometric == 2


def test_primaries_of_tiff_stay_there_and_become_a_profile_elsewhere(tmp_path):
    tags = [(318, 5, 2, rational(0.3127, 0.329)), (319, 5, 6, rational(0.64, 0.33, 0.21, 0.71, 0.15, 0.06))]
    content, _ = through(tmp_path, tiff(tags=tags), ".tif", ".tif")
    assert tifffile.TiffFile(io.BytesIO(content)).pages[0].tags[319].value == tags[1][3]
    through(tmp_path, content, ".tif", ".png")
    expected = meant(2.2, [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)])
    assert np.median(abs(shown(tmp_path / "out.png") - expected)) < 1


def test_every_profile_is_understood():
    for primaries in (1, 4, 5, 6, 7, 9, 11, 12, 22):
        for transfer in (1, 4, 5, 6, 8, 13, 14, 15, 16, 18):
            found = colour.from_cicp((primaries, transfer, 0, 1))
            for channels in (1, 3):
                profile = PIL.ImageCms.ImageCmsProfile(io.BytesIO(found.profile(channels)))
                assert profile.profile.xcolor_space.strip() == ("GRAY" if channels == 1 else "RGB")


def test_chunks_without_sense_are_no_colours(tmp_path):
    for body in (bytes(32), struct.pack(">8I", 31270, 0, 64000, 33000, 30000, 60000, 15000, 6000), b"\xff" * 32):
        through(tmp_path, png(chunk(b"cHRM", body)), ".png", ".jpg")
        assert read(tmp_path / "out.jpg").pixels.shape == (3, 40, 56)
