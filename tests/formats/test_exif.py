"""Pillow writes the blocks and reads them back."""

import struct
import tempfile
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from noiseda import formats
from noiseda.formats import exif, tiff
from noiseda.formats.extras import Extras

GREY = np.arange(30, dtype=np.uint16).reshape(5, 6)


def block(orientation):
    made = PIL.Image.Exif()
    made[0x0112], made[0x010F], made[0x8298] = orientation, "ACME", "© somebody"
    made.get_ifd(0x8769)[0x829A] = 0.004
    made.get_ifd(0x8825)[2] = (48.0, 51.0, 30.5)
    return made.tobytes()


def parsed(data):
    found = PIL.Image.Exif()
    found.load(exif.PREFIX + exif.without_prefix(data))
    return found


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_back_undoes_turning(orientation):
    stored = np.arange(24).reshape(2, 4, 3)
    np.testing.assert_array_equal(exif.turn_back(exif.turn(stored, orientation), orientation), stored)


def test_the_orientation_is_set_and_nothing_else_changes():
    bare = block(6).removeprefix(exif.PREFIX)
    after = exif.oriented(bare, sideways=False)
    assert len(bare) == len(after)
    assert sum(a != b for a, b in zip(bare, after, strict=True)) == 1
    assert (exif.orientation(bare), exif.orientation(after)) == (6, 1)
    assert parsed(exif.PREFIX + after)[0x0112] == 1
    assert exif.oriented(after, sideways=False) == after


def odd_blocks():
    """Blocks with orientation 6 that viewers read and strict parsers do not."""
    for order, mark in (("<", b"II*\0\x08\0\0\0"), (">", b"MM\0*\0\0\0\x08")):

        def entry(kind, value, order=order):
            size = {1: "B", 3: "H", 4: "I"}[kind]
            return struct.pack(order + "HHI", 0x0112, kind, 1) + struct.pack(order + size, value).ljust(4, b"\0")

        def count(number, order=order):
            return struct.pack(order + "H", number)

        yield pytest.param(mark + count(1) + entry(3, 6), id=f"{order} no next directory")
        yield pytest.param(mark + count(60) + entry(3, 6) + bytes(4), id=f"{order} count too large")
        yield pytest.param(mark + count(1) + entry(4, 6) + bytes(4), id=f"{order} LONG")
        yield pytest.param(mark + count(1) + entry(1, 6) + bytes(4), id=f"{order} BYTE")
        beyond = struct.pack(order + "HHII", 0x010F, 2, 500, 9_000_000)
        yield pytest.param(mark + count(2) + beyond + entry(3, 6) + bytes(4), id=f"{order} a value beyond the end")
        yield pytest.param(mark + count(2) + entry(3, 6) * 2 + bytes(4), id=f"{order} twice")
        unknown = struct.pack(order + "HHII", 0x010E, 99, 1, 0)
        yield pytest.param(mark + count(2) + unknown + entry(3, 6) + bytes(4), id=f"{order} an unknown type")


@pytest.mark.parametrize("bare", list(odd_blocks()))
def test_what_is_read_is_what_is_set(bare):
    assert exif.orientation(bare) == 6
    assert exif.orientation(exif.oriented(bare, sideways=True)) == 1


def test_width_and_height_change_places_with_a_quarter_turn():
    made = PIL.Image.Exif()
    made[0x0112] = 6
    details = made.get_ifd(0x8769)
    details[0xA002], details[0xA003] = 4000, 70_000  # a SHORT and a LONG
    bare = made.tobytes().removeprefix(exif.PREFIX)
    turned = parsed(exif.PREFIX + exif.oriented(bare, sideways=True)).get_ifd(0x8769)
    assert (turned[0xA002], turned[0xA003]) == (70_000, 4000)
    kept = parsed(exif.PREFIX + exif.oriented(bare, sideways=False)).get_ifd(0x8769)
    assert (kept[0xA002], kept[0xA003]) == (4000, 70_000)


@pytest.mark.parametrize("order", ["II", "MM"])
def test_a_new_size_is_stated_wherever_one_was(order):
    made = PIL.Image.Exif()
    made.endian = "<" if order == "II" else ">"
    made[0x0100], made[0x0101], made[0x010F] = 40000, 30, "ACME"
    made.get_ifd(0x8769)[0xA002], made.get_ifd(0x8769)[0xA003] = 40000, 30
    before = made.tobytes().removeprefix(exif.PREFIX)
    after = exif.resized(before, 60, 80000)  # more than a short holds
    assert (len(before), before[:2].decode()) == (len(after), order)
    found = parsed(after)
    assert (found[0x0100], found[0x0101], found[0x010F]) == (80000, 60, "ACME")
    assert dict(found.get_ifd(0x8769)) == {0xA002: 80000, 0xA003: 60}
    assert exif.resized(block(1), 60, 80) == block(1)  # nothing is invented
    assert exif.resized(b"no block", 60, 80) == b"no block"


def with_block(content, data):
    """What becomes of a TIFF file's bytes."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        tiff.put(file, Extras(exif=exif.without_prefix(data)))
        file.seek(0)
        return file.read()


@given(st.binary(max_size=200), st.booleans())
def test_bytes_without_sense_do_no_harm(noise, headed):
    data = b"II*\0\x08\0\0\0" + noise if headed else noise
    assert len(exif.oriented(data, sideways=True)) <= len(data)
    assert 1 <= exif.orientation(data) <= 8
    for name in ("tiff", "png", "jpeg", "webp"):
        formats.orientation(data, name)
        replace(formats.read(data, name), orientation=6).upright()
    content = b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + b"\0\0\0\0"
    assert with_block(content, data)[:4] == content[:4]


def test_a_directory_that_points_to_itself_ends():
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    looped = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + struct.pack("<I", 8)
    assert formats.read(looped, "tiff").xmp is None
    assert exif.orientation(looped) == 1


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
        again = parsed(formats.read(with_exif, "tiff").exif)
        assert 0x0100 not in again  # the image's width is no description
        assert tuple(map(float, again.get_ifd(0x8825)[2])) == (48.0, 51.0, 30.5)


def test_reads_a_big_endian_tiff(tmp_path):
    tifffile.imwrite(tmp_path / "big.tif", GREY, byteorder=">", extratags=[(0x010F, 2, 0, "ACME"), (0x4746, 3, 1, 5)])
    found = parsed(formats.read((tmp_path / "big.tif").read_bytes(), "tiff").exif)
    assert (found[0x010F], found[0x4746]) == ("ACME", 5)
