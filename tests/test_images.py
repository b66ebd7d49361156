"""Pillow and tifffile, which share no decoder settings with libvips' wrapper, are the oracles."""

import dataclasses
import errno
import io
import multiprocessing
import os
import struct
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import skimage.data
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ImageCms, ImageOps

from noiseda import images, raster
from noiseda.errors import ImageError, UserError
from noiseda.images import Picture, find_images, read, read_size, write
from noiseda.raster import Raster

PHOTO = skimage.data.chelsea()[40:97, 60:149]  # (57, 89, 3)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_ICC = ICC[:16] + b"GRAY" + ICC[20:]


def photo(height=57, width=89):
    return PIL.Image.fromarray(PHOTO[:height, :width])


def samples(picture):
    """(H, W, C) integers of a picture."""
    scaled = (picture.pixels * (2**picture.bits - 1)).round().to(torch.int64)
    return scaled.permute(1, 2, 0).numpy()


def noise16(channels, height=11, width=7):
    return np.random.default_rng(channels).integers(0, 65536, (height, width, channels), dtype=np.uint16)


def exif_block(orientation=1):
    block = PIL.Image.Exif()
    block[0x0112] = orientation
    block[0x010F], block[0x0110], block[0x0132] = "ACME", "Camera 1", "2020:01:02 03:04:05"
    details = block.get_ifd(0x8769)
    details[0x9003], details[0x829A], details[0x927C] = "2020:01:02 03:04:05", 0.004, b"maker's own"
    place = block.get_ifd(0x8825)
    place[1], place[2] = "N", (48.0, 51.0, 30.5)
    return block


# --- finding ---------------------------------------------------------------------------------------------------------


def test_finds_images_below_a_folder_in_order_and_passes_over_hidden_ones(tmp_path):
    for name in ["b/z.JPG", "a.png", "b.tif", "b/a b ü.webp", ".hidden.png", ".thumbs/c.png", "notes.txt", "c.jpeg"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert found == ["a.png", "b.tif", "b/a b ü.webp", "b/z.JPG", "c.jpeg"]


def test_refuses_what_is_no_folder(tmp_path):
    (tmp_path / "file.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"missing: no such folder"):
        find_images(tmp_path / "missing")
    with pytest.raises(UserError, match=r"file\.png: not a folder"):
        find_images(tmp_path / "file.png")


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg"])
def test_reads_what_pillow_reads(tmp_path, suffix):
    path = tmp_path / f"photo{suffix}"
    photo().save(path, **({"lossless": True} if suffix == ".webp" else {}))
    picture = read(path)
    assert (picture.pixels.dtype, picture.pixels.shape, picture.bits) == (torch.float32, (3, 57, 89), 8)
    assert picture.alpha is None
    assert picture.format == {".png": "png", ".tif": "tiff", ".webp": "webp", ".jpg": "jpeg"}[suffix]
    np.testing.assert_array_equal(samples(picture), np.asarray(PIL.Image.open(path)))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_exactly_once(tmp_path, suffix, orientation):
    path, again = tmp_path / f"turned{suffix}", tmp_path / f"again{suffix}"
    kind = {".jpg": {"quality": 95}, ".webp": {"lossless": True}}.get(suffix, {})
    photo().save(path, exif=exif_block(orientation), **kind)
    expected = np.asarray(ImageOps.exif_transpose(PIL.Image.open(path)))
    picture = read(path)
    np.testing.assert_array_equal(samples(picture), expected)
    assert read_size(path) == expected.shape[:2]
    write(picture, again)
    written = PIL.Image.open(again)
    assert written.getexif().get(0x0112, 1) == 1
    assert written.size == expected.shape[1::-1]
    assert read(again).pixels.shape == picture.pixels.shape


def test_an_orientation_out_of_range_means_upright(tmp_path):
    photo().save(tmp_path / "odd.jpg", exif=exif_block(9))
    assert read(tmp_path / "odd.jpg").pixels.shape == (3, 57, 89)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_turned_16_bit_picture_keeps_its_precision(tmp_path, compression):
    stored = noise16(3)
    tifffile.imwrite(tmp_path / "t.tif", stored, photometric="rgb", compression=compression, extratags=[(274, 3, 1, 6)])
    np.testing.assert_array_equal(samples(read(tmp_path / "t.tif")), np.rot90(stored, -1))


@pytest.mark.parametrize("mode", ["P", "1", "L", "CMYK"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_other_colour_models(tmp_path, mode, suffix):
    if (suffix, mode) in {(".png", "CMYK"), (".jpg", "P"), (".jpg", "1")}:
        pytest.skip("no such files")
    path = tmp_path / f"photo{suffix}"
    photo().convert(mode).save(path)
    picture = read(path)
    channels = 1 if mode in ("1", "L") else 3
    assert (picture.pixels.shape, picture.bits, picture.alpha) == ((channels, 57, 89), 8, None)
    expected = np.asarray(PIL.Image.open(path).convert("L" if channels == 1 else "RGB")).reshape(57, 89, channels)
    if mode == "CMYK":  # colour-managed here, not in Pillow
        correlation = np.corrcoef(samples(picture).ravel(), expected.ravel())[0, 1]
        assert correlation > 0.97
    else:
        np.testing.assert_array_equal(samples(picture), expected)


def test_a_cmyk_jpeg_comes_out_as_srgb_with_the_profile_to_match(tmp_path):
    white = PIL.Image.new("CMYK", (8, 8), (0, 0, 0, 0))
    white.save(tmp_path / "white.jpg", quality=100)
    picture = read(tmp_path / "white.jpg")
    assert picture.pixels.min() > 0.95
    assert picture.icc is not None
    assert picture.icc[16:20] == b"RGB "


def test_a_palette_with_transparency_gives_rgb_and_alpha(tmp_path):
    palette = photo().quantize(16)
    palette.save(tmp_path / "p.png", transparency=3)
    picture = read(tmp_path / "p.png")
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha[0].numpy() == 0, np.asarray(palette) == 3)


def test_the_first_of_several_pages_is_read(tmp_path):
    photo().save(tmp_path / "pages.tif", save_all=True, append_images=[photo(20, 20)])
    picture = read(tmp_path / "pages.tif")
    assert (picture.pages, picture.pixels.shape) == (2, (3, 57, 89))


def test_content_counts_not_the_name(tmp_path):
    photo().save(tmp_path / "really.jpg", format="PNG")
    picture = read(tmp_path / "really.jpg")
    assert picture.format == "png"
    np.testing.assert_array_equal(samples(picture), PHOTO)


@pytest.mark.parametrize(
    "name", ["ünï cödé ✓.png", "with space.png", "odd[1].png", "a.png[access=random].png", "-n.png"]
)
def test_any_name_will_do(tmp_path, name):
    photo().save(tmp_path / "plain.png")
    os.rename(tmp_path / "plain.png", tmp_path / name)
    picture = read(tmp_path / name)
    write(picture, tmp_path / f"out {name}")
    assert torch.equal(read(tmp_path / f"out {name}").pixels, picture.pixels)


def test_a_name_that_is_not_unicode(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    write(Picture(torch.rand(3, 4, 5)), path)
    assert read(path).pixels.shape == (3, 4, 5)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (257, 129), (256, 1), (513, 2)])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_odd_sizes(tmp_path, size, suffix):
    picture = Picture(torch.rand(3, *size, generator=torch.Generator().manual_seed(0)))
    write(picture, tmp_path / f"o{suffix}")
    assert read_size(tmp_path / f"o{suffix}") == size
    assert torch.equal(read(tmp_path / f"o{suffix}").pixels, images.from_uint8(images.to_uint8(picture.pixels)))


def test_a_file_that_was_overwritten_is_read_anew(tmp_path):
    path = tmp_path / "same.png"
    for value in (10, 200):
        PIL.Image.new("RGB", (16, 16), (value, value, value)).save(path)
        os.utime(path, (0, 0))
        assert samples(read(path)).min() == value


# --- broken files ----------------------------------------------------------------------------------------------------


def cut(path, keep):
    content = path.read_bytes()
    path.write_bytes(content[: keep if keep < 0 else int(keep * len(content))])


@pytest.mark.parametrize("keep", [0.001, 0.1, 0.5, 0.9, 0.99, -20])
@pytest.mark.parametrize(
    ("suffix", "kind"),
    [(".png", {}), (".jpg", {}), (".jpg", {"progressive": True}), (".tif", {}), (".tif", {"compression": "tiff_lzw"}),
     (".webp", {}), (".webp", {"lossless": True})],
)  # fmt: skip
def test_a_truncated_file_is_an_error_not_half_an_image(tmp_path, suffix, kind, keep):
    path = tmp_path / f"cut{suffix}"
    photo().save(path, **kind)
    cut(path, keep)
    with pytest.raises(ImageError, match=rf"cut\{suffix}: (cannot be read|not a PNG)"):
        read(path)


def test_a_jpeg_damaged_in_the_middle_is_an_error(tmp_path):
    photo().save(tmp_path / "bad.jpg", quality=95)
    content = bytearray((tmp_path / "bad.jpg").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2] = b"\xff\xd9"  # a marker that says: the end
    (tmp_path / "bad.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=r"bad\.jpg: cannot be read: "):
        read(tmp_path / "bad.jpg")


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path):
    photo().save(tmp_path / "long.jpg")
    with (tmp_path / "long.jpg").open("ab") as file:
        file.write(b"appended by the phone" * 9)
    np.testing.assert_array_equal(
        samples(read(tmp_path / "long.jpg")), np.asarray(PIL.Image.open(tmp_path / "long.jpg"))
    )


@pytest.mark.parametrize("reader", [read, read_size])
@pytest.mark.parametrize(
    "content", [b"this is a text file\n" * 9, b"3 3\n1 2 3\n4 5 6\n7 8 9\n", b"<svg/>", b"BM123456", b"\x89P"]
)
def test_what_is_no_image_is_named(tmp_path, content, reader):
    (tmp_path / "text.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"text\.png: .*not a PNG, JPEG, TIFF or WebP"):
        reader(tmp_path / "text.png")


def test_a_gif_is_no_image_of_ours(tmp_path):
    photo().quantize(8).save(tmp_path / "a.png", format="GIF")
    with pytest.raises(ImageError, match="not a PNG, JPEG, TIFF or WebP"):
        read(tmp_path / "a.png")


def test_empty_missing_and_folder(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"empty\.png: the file is empty"):
        read(tmp_path / "empty.png")
    with pytest.raises(ImageError, match=r"none\.png: cannot be read: No such file"):
        read(tmp_path / "none.png")
    with pytest.raises(ImageError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_no_right_to_read(tmp_path, monkeypatch):
    photo().save(tmp_path / "secret.png")
    (tmp_path / "secret.png").chmod(0)
    if os.access(tmp_path / "secret.png", os.R_OK):  # root may read everything

        def refuse(*_, **__):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match=r"secret\.png: cannot be read: Permission denied"):
        read(tmp_path / "secret.png")


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int16])
def test_samples_that_cannot_be_kept_are_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "f.tif", np.ones((8, 9), dtype), photometric="minisblack")
    with pytest.raises(ImageError, match=r"f\.tif: has (float|int|short) samples; expected 8- or 16-bit"):
        read(tmp_path / "f.tif")


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    expected = r"bomb\.png: 20000 x 20000 are 400.0 megapixels, more than the 200 that --max-megapixels allows"
    with pytest.raises(ImageError, match=expected):
        read(path)
    assert read_size(path) == (20000, 20000)
    photo().save(tmp_path / "small.png")
    with pytest.raises(ImageError, match=r"0\.005 that --max-megapixels"):
        read(tmp_path / "small.png", max_megapixels=0.005)


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_survive_exactly(tmp_path, suffix, channels):
    stored = noise16(channels)
    kinds = {2: "minisblack", 1: "minisblack"}
    extra = ["unassalpha"] if channels in (2, 4) else None
    tifffile.imwrite(tmp_path / "in.tif", stored.squeeze(), photometric=kinds.get(channels, "rgb"), extrasamples=extra,
                     planarconfig="contig" if channels > 1 else None)  # fmt: skip
    picture = read(tmp_path / "in.tif")
    colours = channels - (channels in (2, 4))
    assert (picture.bits, picture.pixels.shape[0]) == (16, colours)
    np.testing.assert_array_equal(samples(picture), stored[..., :colours])
    write(picture, tmp_path / f"out{suffix}")
    again = read(tmp_path / f"out{suffix}")
    assert again.bits == 16
    assert torch.equal(again.pixels, picture.pixels)
    if channels in (2, 4):
        assert again.alpha is not None
        assert again.alpha.dtype == torch.uint16
        np.testing.assert_array_equal(again.alpha[0].numpy(), stored[..., -1])
    if suffix == ".tif":
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif").reshape(stored.shape), stored)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_8_bit_alpha_and_the_colours_under_it_are_untouched(tmp_path, suffix, mode):
    stored = np.random.default_rng(1).integers(0, 256, (9, 13, len(mode)), dtype=np.uint8)
    stored[:4, :, -1] = 0
    PIL.Image.fromarray(stored, mode).save(tmp_path / "in.png")
    write(read(tmp_path / "in.png"), tmp_path / f"out{suffix}")
    written = np.asarray(PIL.Image.open(tmp_path / f"out{suffix}").convert(mode))
    np.testing.assert_array_equal(written, stored)


def test_jpeg_lays_alpha_over_white(tmp_path):
    alpha = torch.zeros(1, 16, 16, dtype=torch.uint8)
    alpha[:, :, 8:] = 255
    write(Picture(torch.zeros(3, 16, 16), alpha=alpha), tmp_path / "flat.jpg")
    flat = read(tmp_path / "flat.jpg")
    assert flat.alpha is None
    assert flat.pixels[:, :, :8].min() > 0.98
    assert flat.pixels[:, :, 8:].max() < 0.02


def test_jpeg_is_written_at_quality_95_without_chroma_subsampling(tmp_path):
    write(Picture(images.from_uint8(torch.from_numpy(PHOTO.copy()).permute(2, 0, 1))), tmp_path / "q.jpg")
    photo().save(tmp_path / "reference.jpg", quality=95, subsampling="4:4:4")
    ours, reference = PIL.Image.open(tmp_path / "q.jpg"), PIL.Image.open(tmp_path / "reference.jpg")
    assert ours.quantization == reference.quantization
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(reference))


def test_16_bits_go_to_8_where_the_format_has_no_more(tmp_path):
    alpha = torch.full((1, 5, 6), 32896, dtype=torch.int32).to(torch.uint16)  # 128 * 257
    picture = Picture(torch.full((3, 5, 6), 0.25), alpha=alpha, bits=16)
    write(picture, tmp_path / "o.webp")
    again = read(tmp_path / "o.webp")
    assert again.bits == 8
    assert again.alpha is not None
    assert again.alpha.unique().tolist() == [128]
    assert samples(again).min() == samples(again).max() == 64


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_grey_stays_grey(tmp_path, suffix):
    photo().convert("L").save(tmp_path / f"in{suffix}")
    write(read(tmp_path / f"in{suffix}"), tmp_path / f"out{suffix}")
    assert PIL.Image.open(tmp_path / f"out{suffix}").mode == "L"


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_the_profile_is_kept_byte_for_byte_and_pixels_are_not_converted(tmp_path, suffix):
    other = ICC[:44] + b"\x01" + ICC[45:]  # another flag in its header, so that nobody can have made it anew
    photo().save(tmp_path / "in.png", icc_profile=other)
    picture = read(tmp_path / "in.png")
    np.testing.assert_array_equal(samples(picture), PHOTO)
    write(picture, tmp_path / f"out{suffix}")
    assert PIL.Image.open(tmp_path / f"out{suffix}").info["icc_profile"] == other
    assert read(tmp_path / f"out{suffix}").icc == other


@pytest.mark.parametrize("target", [".png", ".tif", ".jpg", ".webp"])
@pytest.mark.parametrize("source", [".png", ".jpg", ".webp"])
def test_exif_is_kept_from_format_to_format(tmp_path, source, target):
    photo().save(tmp_path / f"in{source}", exif=exif_block(6))
    write(read(tmp_path / f"in{source}"), tmp_path / f"via{target}")
    write(read(tmp_path / f"via{target}"), tmp_path / f"out{target}")
    found = PIL.Image.open(tmp_path / f"out{target}").getexif()
    details, place = found.get_ifd(0x8769), found.get_ifd(0x8825)
    assert (found[0x010F], found[0x0110], found[0x0132]) == ("ACME", "Camera 1", "2020:01:02 03:04:05")
    assert (details[0x9003], float(details[0x829A]), details[0x927C]) == ("2020:01:02 03:04:05", 0.004, b"maker's own")
    assert (place[1], tuple(float(part) for part in place[2])) == ("N", (48.0, 51.0, 30.5))


def test_the_embedded_thumbnail_is_dropped(tmp_path):
    small = io.BytesIO()
    photo(20, 30).save(small, "JPEG")
    thumbnail = small.getvalue()
    block = bytearray(exif_block().tobytes())  # "Exif\0\0", then a TIFF header and its main directory
    order = "<" if block[6:8] == b"II" else ">"
    main = 6 + struct.unpack_from(order + "I", block, 10)[0]
    count = struct.unpack_from(order + "H", block, main)[0]
    at = len(block) - 6
    struct.pack_into(order + "I", block, main + 2 + 12 * count, at)
    block += struct.pack(
        order + "HHHIHHHHIIHHIII", 3, 0x103, 3, 1, 6, 0, 0x201, 4, 1, at + 42, 0x202, 4, 1, len(thumbnail), 0
    )
    block += thumbnail
    photo().save(tmp_path / "in.jpg", exif=bytes(block))
    write(read(tmp_path / "in.jpg"), tmp_path / "out.jpg")
    assert thumbnail[-200:] in (tmp_path / "in.jpg").read_bytes()
    assert thumbnail[-200:] not in (tmp_path / "out.jpg").read_bytes()


@pytest.mark.parametrize("turned", [True, False])
def test_xmp_and_resolution_are_kept_and_xmp_says_upright_where_the_picture_was_turned(tmp_path, turned):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:title="kept"/></x:xmpmeta>'
    photo().save(tmp_path / "in.jpg", xmp=xmp, dpi=(300, 300), exif=exif_block(6 if turned else 1))
    write(read(tmp_path / "in.jpg"), tmp_path / "out.jpg")
    written = PIL.Image.open(tmp_path / "out.jpg")
    assert written.info["xmp"] == (xmp.replace(b'"6"', b'"1"') if turned else xmp)
    assert written.info["dpi"] == pytest.approx((300, 300), abs=0.5)


def test_refuses_an_unknown_suffix_and_a_missing_folder(tmp_path):
    with pytest.raises(ImageError, match=r"a\.bmp: cannot write '\.bmp' files; expected one of"):
        write(Picture(torch.zeros(3, 2, 2)), tmp_path / "a.bmp")
    with pytest.raises(ImageError, match="cannot be written: No such file or directory"):
        write(Picture(torch.zeros(3, 2, 2)), tmp_path / "none" / "a.png")
    with pytest.raises(ImageError, match=r"a\.png: .*NaN"):
        write(Picture(torch.full((3, 2, 2), torch.nan)), tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.webp: cannot be written as webp"):
        write(Picture(torch.zeros(1, 2, 17000)), tmp_path / "a.webp")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, stage):
    path = tmp_path / "a.png"
    write(Picture(torch.zeros(3, 2, 2)), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync") if stage == "fsync" else (Path, "replace")), full)
    with pytest.raises(ImageError, match=r"a\.png: cannot be written: No space left on device"):
        write(Picture(torch.ones(3, 2, 2)), path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == before


class Full:
    """A file on a disk that has room for so many bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, piece):
        self.room -= len(piece)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(piece)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
@pytest.mark.parametrize("room", [0, 5000])
def test_a_disk_that_fills_up_while_encoding(tmp_path, monkeypatch, caplog, suffix, room):
    real = raster.atomic

    @contextmanager
    def full(path, **_):
        with real(path) as file:
            yield Full(file, room)

    monkeypatch.setattr(raster, "atomic", full)
    with pytest.raises(ImageError, match="cannot be written: No space left on device") as caught:
        write(Picture(torch.rand(3, 200, 200)), tmp_path / f"a{suffix}")
    assert isinstance(caught.value.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []
    assert caplog.text == ""


def test_large_jpegs_differ_in_their_code_only(tmp_path, monkeypatch):
    picture = Picture(torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0)))
    write(picture, tmp_path / "small.jpg")
    monkeypatch.setattr(raster, "_OPTIMISED", 1999)
    write(picture, tmp_path / "large.jpg")
    assert (tmp_path / "large.jpg").read_bytes() != (tmp_path / "small.jpg").read_bytes()
    assert torch.equal(read(tmp_path / "large.jpg").pixels, read(tmp_path / "small.jpg").pixels)


# --- by rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "alpha", "bits", "suffix", "itself"), [
    (3, False, 8, ".jpg", True), (1, True, 8, ".webp", True), (3, True, 16, ".png", True),
    (3, True, 8, ".jpg", False), (1, False, 16, ".jpg", False), (3, True, 16, ".webp", False),
])  # fmt: skip
def test_rows_laid_on_a_canvas_are_the_picture_written_at_once(tmp_path, channels, alpha, bits, suffix, itself):
    generator = np.random.default_rng(0)
    stored = generator.integers(0, 2**bits, (50, 40, channels + alpha), dtype=np.uint16 if bits == 16 else np.uint8)
    raster.write(Raster(stored.copy()), tmp_path / "in.tif")
    source, picture = raster.read(tmp_path / "in.tif"), read(tmp_path / "in.tif")
    np.testing.assert_array_equal(source.samples, stored)
    output_buffer = images.output_buffer(source, tmp_path / f"a{suffix}")
    assert (output_buffer is source) == itself
    changed = picture.pixels.square()
    for top in range(0, 50, 20):
        images.lay(changed[:, top : top + 20], top, source, output_buffer)
    raster.write(output_buffer, tmp_path / f"rows{suffix}")
    write(dataclasses.replace(picture, pixels=changed), tmp_path / f"once{suffix}")
    assert (tmp_path / f"rows{suffix}").read_bytes() == (tmp_path / f"once{suffix}").read_bytes()


def test_rows_that_are_no_numbers(tmp_path):
    source = Raster(np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(UserError, match="NaN"):
        images.lay(torch.full((3, 2, 5), torch.nan), 0, source, source)


# --- numbers ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-2, 3, width=32), min_size=1, max_size=64))
def test_quantisation_clamps_and_rounds_halves_up(values):
    pixels = torch.tensor(values)
    for quantise, top in ((images.to_uint8, 255), (images.to_uint16, 65535)):
        exact = np.floor(np.clip(np.float32(values), 0, 1) * np.float32(top) + np.float32(0.5)).astype(np.int64)
        assert quantise(pixels).to(torch.int64).tolist() == exact.tolist()


def test_every_integer_survives_the_round_trip():
    bytes_ = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(images.to_uint8(images.from_uint8(bytes_)), bytes_)
    words = torch.arange(65536, dtype=torch.int64)
    assert torch.equal(images.to_uint16(words.float() / 65535).to(torch.int64), words)


def test_numbers_that_are_none():
    with pytest.raises(UserError, match="NaN"):
        images.to_uint8(torch.tensor([0.5, torch.nan]))
    assert images.to_uint8(torch.tensor([torch.inf, -torch.inf])).tolist() == [255, 0]
    assert images.to_uint8(torch.tensor([0.5], dtype=torch.bfloat16)).tolist() == [128]


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_in_memory_is_jpeg_on_disk(tmp_path, channels):
    image = photo() if channels == 3 else photo().convert("L")
    image.save(tmp_path / "a.jpg", quality=40, subsampling="4:2:0")
    pixels = images.from_uint8(torch.from_numpy(np.array(image)).reshape(57, 89, channels).permute(2, 0, 1))
    assert torch.equal(images.jpeg(pixels, 40), read(tmp_path / "a.jpg").pixels)
    errors = [(images.jpeg(pixels, quality) - pixels).square().mean() for quality in (10, 50, 95)]
    assert errors == sorted(errors, reverse=True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 40), width=st.integers(1, 40), channels=st.sampled_from([1, 3]),
    bits=st.sampled_from([8, 16]), alpha=st.booleans(), suffix=st.sampled_from([".png", ".tif"]),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_lossless_formats_lose_nothing(tmp_path, height, width, channels, bits, alpha, suffix, seed):
    generator = torch.Generator().manual_seed(seed)
    top = 2**bits - 1
    draw = torch.randint(0, top + 1, (channels + 1, height, width), generator=generator)
    mask = draw[-1:].to(torch.uint16 if bits == 16 else torch.uint8) if alpha else None
    picture = Picture(draw[:-1].float() / top, alpha=mask, bits=bits)
    write(picture, tmp_path / f"x{suffix}")
    again = read(tmp_path / f"x{suffix}")
    assert again.bits == bits
    assert torch.equal(again.pixels, picture.pixels)
    assert (again.alpha is None) == (mask is None)
    assert mask is None or torch.equal(again.alpha.int(), mask.int())


# --- processes -------------------------------------------------------------------------------------------------------


def read_and_compress(paths):
    for path in paths:
        images.jpeg(read(path).pixels, 50)


def write_one(path, queue):
    try:
        write(Picture(torch.zeros(3, 2, 2)), path)
    except RuntimeError as error:
        queue.put(str(error))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_worker_reads_and_does_not_hang(tmp_path):
    """As the workers of a data loader do, right after libvips' threads were busy in the parent."""
    paths = [tmp_path / f"a{suffix}" for suffix in (".png", ".jpg", ".tif")]
    photo().save(tmp_path / "turned.jpg", exif=exif_block(6))
    photo().convert("CMYK").save(tmp_path / "cmyk.jpg")
    for path in paths:
        write(Picture(torch.rand(3, 300, 400)), path)
    context = multiprocessing.get_context("fork")
    paths += [tmp_path / "turned.jpg", tmp_path / "cmyk.jpg"]
    queue = context.Queue()
    reader = context.Process(target=read_and_compress, args=(paths,))
    writer = context.Process(target=write_one, args=(tmp_path / "b.png", queue))
    for worker in (reader, writer):
        worker.start()
    for worker in (reader, writer):
        worker.join(20)
        hung = worker.is_alive()
        worker.kill()
        assert not hung
        assert worker.exitcode == 0
    assert "not forked" in queue.get(timeout=5)
