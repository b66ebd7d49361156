"""Files that cannot be read say what they are: headers made by hand, no codec is needed."""

import io
import struct

import numpy as np
import PIL.Image
import pytest
import tifffile

from noiseda.errors import ImageError
from noiseda.images import read, write

CONVERT = "convert it to TIFF or PNG"
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def boxes(*brands):
    """How a file of the ISO base media format begins."""
    content = brands[0] + bytes(4) + b"".join(brands[1:])
    return struct.pack(">I", 8 + len(content)) + b"ftyp" + content + bytes(100)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (boxes(b"heic", b"mif1", b"heic"), "HEIC"),
        (boxes(b"mif1", b"mif1", b"heix"), "HEIC"),
        (boxes(b"mif1", b"mif1", b"avif"), "AVIF"),
        (boxes(b"avif", b"mif1", b"miaf"), "AVIF"),
        (boxes(b"mif1", b"miaf"), "HEIF"),
        (boxes(b"crx ", b"crx ", b"isom"), "Canon RAW"),
        (boxes(b"qt  "), "video"),
        (boxes(b"isom", b"iso2", b"mp41"), "video"),
        (b"\xff\x0a" + bytes(50), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), "JPEG 2000"),
        (b"GIF89a" + bytes(50), "GIF"),
        (b"8BPS\0\x01" + bytes(50), "Photoshop"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(50), "Fujifilm RAW"),
        (b"IIRO\x08\0\0\0" + bytes(50), "Olympus RAW"),
        (b"<!DOCTYPE html><html>" + bytes(50), "web page"),
        (b"\0\x05\x16\x07" + bytes(50), "AppleDouble"),
    ],
)
def test_a_name_that_promises_too_much(tmp_path, content, kind):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=rf"a\.jpg: not a PNG, JPEG, TIFF or WebP image, but .*{kind}.*; {CONVERT}"):
        read(tmp_path / "a.jpg")


@pytest.mark.parametrize("content", [b"x", b"BM", b"\0\0\0\x04ftyp", b"\0\0\0\x20ftyp", b"hello world" * 10])
def test_what_is_nothing_known_stays_without_a_name(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.jpg: not a PNG, JPEG, TIFF or WebP image"):
        read(tmp_path / "a.jpg")


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("compression", "codec"),
    [
        (6, "old-style JPEG"),
        (9, "JBIG"),
        (34661, "JBIG"),
        (34712, "JPEG 2000"),
        (34887, "LERC"),
        (34925, "LZMA"),
        (50000, "ZSTD"),
        (50002, "JPEG XL"),
    ],
)
def test_a_tiff_whose_codec_is_missing(tmp_path, big, order, compression, codec):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS, photometric="rgb", bigtiff=big, byteorder=order, metadata=None)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages[0].tags[259]
    struct.pack_into(f"{order}H", content, tag.valueoffset, compression)
    path.write_bytes(content)
    expected = rf"a\.tif: TIFF compressed with {codec}, which this build of libvips cannot decode; {CONVERT}"
    with pytest.raises(ImageError, match=expected):
        read(path)


def jpeg():
    encoded = io.BytesIO()
    PIL.Image.fromarray(PIXELS).save(encoded, "JPEG")
    return encoded.getvalue()


@pytest.mark.parametrize(
    ("marker", "bits", "words"),
    [
        (0xC0, 12, "JPEG that is of 12 bits a sample"),
        (0xC1, 12, "JPEG that is of 12 bits a sample"),
        (0xC5, 8, "JPEG that is hierarchical"),
        (0xCB, 8, "JPEG that is arithmetic-coded and lossless"),
        (0xF7, 8, "JPEG-LS"),
    ],
)
def test_a_jpeg_whose_codec_is_missing(tmp_path, marker, bits, words):
    content = bytearray(jpeg())
    at = content.index(b"\xff\xc0")
    content[at + 1], content[at + 4] = marker, bits
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=rf"a\.jpg: {words}, which this build of libvips cannot decode; {CONVERT}"):
        read(tmp_path / "a.jpg")


def test_damage_is_not_blamed_on_the_codec(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg()[:300])
    tifffile.imwrite(tmp_path / "b.tif", PIXELS, photometric="rgb", compression="zlib")
    content = (tmp_path / "b.tif").read_bytes()
    (tmp_path / "b.tif").write_bytes(content[: len(content) // 2])
    for name in ("a.jpg", "b.tif"):
        with pytest.raises(ImageError, match=r"cannot be read") as caught:
            read(tmp_path / name)
        assert "this build" not in str(caught.value)


@pytest.mark.parametrize("order", ["<", ">"])
def test_big_tiffs_are_read(tmp_path, order):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="rgb", bigtiff=True, byteorder=order)
    picture = read(tmp_path / "a.tif")
    assert np.array_equal((picture.pixels * 255).round().byte().permute(1, 2, 0).numpy(), PIXELS)


def test_of_an_animated_png_the_first_picture_is_read_and_said(tmp_path):
    images = [PIL.Image.fromarray(PIXELS + shift) for shift in range(3)]
    images[0].save(tmp_path / "a.apng", save_all=True, append_images=images[1:], format="PNG")
    picture = read(tmp_path / "a.apng")
    assert (picture.notes, picture.format) == (("it is animated; the first picture was taken",), "png")
    assert np.array_equal((picture.pixels * 255).round().byte().permute(1, 2, 0).numpy(), PIXELS)


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.jfif", "JPEG"),
        ("a.JPE", "JPEG"),
        ("a.jif", "JPEG"),
        ("a.pjpeg", "JPEG"),
        ("a.pjp", "JPEG"),
        ("a.apng", "PNG"),
    ],
)
def test_lesser_known_suffixes_are_written_as_what_they_are(tmp_path, name, format):
    PIL.Image.fromarray(PIXELS).save(tmp_path / "in.png")
    write(read(tmp_path / "in.png"), tmp_path / name)
    with PIL.Image.open(tmp_path / name) as image:
        assert image.format == format
