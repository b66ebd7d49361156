"""Pillow writes the blocks and reads them back."""

import struct
import tempfile

import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from noiseda import exif

GREY = np.arange(30, dtype=np.uint16).reshape(5, 6)


def block(orientation):
    made = PIL.Image.Exif()
    made[0x0112], made[0x010F], made[0x8298] = orientation, "ACME", "© somebody"
    made.get_ifd(0x8769)[0x829A] = 0.004
    made.get_ifd(0x8825)[2] = (48.0, 51.0, 30.5)
    return made.tobytes()


def parsed(data):
    found = PIL.Image.Exif()
    found.load(data)
    return found


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_back_undoes_turning(orientation):
    stored = np.arange(24).reshape(2, 4, 3)
    np.testing.assert_array_equal(exif.turn_back(exif.turn(stored, orientation), orientation), stored)


def test_upright_changes_the_orientation_and_nothing_else():
    before, after = block(6), exif.upright(block(6))
    assert len(before) == len(after)
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    assert parsed(after)[0x0112] == 1
    assert exif.upright(after) == after


def with_block(tiff, data):
    """What becomes of a TIFF file's bytes."""
    with tempfile.TemporaryFile() as file:
        file.write(tiff)
        exif.into_tiff(file, data)
        file.seek(0)
        return file.read()


@given(st.binary(max_size=200), st.booleans())
def test_bytes_without_sense_do_no_harm(noise, headed):
    data = b"Exif\0\0II*\0\x08\0\0\0" + noise if headed else noise
    assert len(exif.upright(data)) == len(data)
    exif.from_tiff(data.removeprefix(b"Exif\0\0"))
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + b"\0\0\0\0"
    assert with_block(tiff, data)[:4] == tiff[:4]
    assert with_block(noise, block(1))[8 : len(noise)] == noise[8:]


def test_a_directory_that_points_to_itself_ends():
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    exif.from_tiff(b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + b"\0\0\0\0")


def test_through_tiff_and_back_in_either_byte_order(tmp_path):
    for order in "<>":
        tifffile.imwrite(tmp_path / "grey.tif", GREY, byteorder=order, compression="zlib")
        with_exif = with_block((tmp_path / "grey.tif").read_bytes(), block(1))
        if order == ">":  # libvips on any machine of today writes little-endian: others are left alone
            assert with_exif == (tmp_path / "grey.tif").read_bytes()
            continue
        (tmp_path / "out.tif").write_bytes(with_exif)
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), GREY)
        found = PIL.Image.open(tmp_path / "out.tif").getexif()
        assert found[0x010F] == "ACME"
        assert float(found.get_ifd(0x8769)[0x829A]) == 0.004
        again = parsed(exif.from_tiff(with_exif))
        assert 0x0100 not in again  # the image's width is no description
        assert tuple(map(float, again.get_ifd(0x8825)[2])) == (48.0, 51.0, 30.5)


def test_reads_a_big_endian_tiff(tmp_path):
    tifffile.imwrite(tmp_path / "big.tif", GREY, byteorder=">", extratags=[(0x010F, 2, 0, "ACME"), (0x4746, 3, 1, 5)])
    found = parsed(exif.from_tiff((tmp_path / "big.tif").read_bytes()))
    assert (found[0x010F], found[0x4746]) == ("ACME", 5)
