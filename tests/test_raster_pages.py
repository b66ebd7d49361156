"""Several pictures in one file: which is read, and what is said of the others."""

import struct
import tracemalloc

import numpy as np
import PIL.Image
import pytest
import pyvips
import tifffile

from noiseda import raster
from noiseda.errors import ImageError

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 255, (80, 96, 3), dtype=np.uint8)
SMALL = PHOTO[::4, ::4].copy()


def save(path, *pages, **options):
    with tifffile.TiffWriter(path, **options) as file:
        for samples, more in pages:
            file.write(samples, **{"photometric": "rgb", "metadata": None, **more})
    return path


REDUCED = {"subfiletype": 1}
BEHIND = {**REDUCED, "subifds": 1}


@pytest.mark.parametrize(
    ("pages", "read", "said"),
    [
        ([(SMALL, REDUCED), (PHOTO, {})], 1, "page 2 of 2 is read: the first is a thumbnail"),
        ([(SMALL, {}), (PHOTO, {})], 1, "page 2 of 2 is read: the first is a thumbnail"),
        ([(SMALL, REDUCED), (SMALL[:5, :5], {}), (PHOTO, {"compression": "deflate"})], 2, "page 3 of 3"),
        ([(SMALL, BEHIND), (PHOTO, {})], 0, "the full picture is read, which lies behind its thumbnail"),
        ([(SMALL, {"subifds": 1}), (PHOTO, {})], 0, "the full picture is read, which lies behind its thumbnail"),
        ([(PHOTO, {}), (SMALL, REDUCED)], 0, None),
        ([(PHOTO, {"subifds": 1}), (SMALL, REDUCED)], 0, None),
        ([(PHOTO, {}), (PHOTO[::-1].copy(), {})], 0, "the first of 2 pages is read"),
        ([(PHOTO, REDUCED)], 0, "a reduced version"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
def test_the_full_picture_is_read_not_its_thumbnail(tmp_path, pages, read, said, options):
    path = save(tmp_path / "a.tif", *pages, **options)
    found = raster.read(path)
    np.testing.assert_array_equal(found.samples, PHOTO)
    assert found.page == read
    assert raster.read_size(path) == (80, 96)
    assert len(found.notes) == (said is not None)
    assert all(said in note for note in found.notes)


def test_the_old_tag_for_thumbnails(tmp_path):
    path = save(tmp_path / "a.tif", (SMALL, REDUCED), (PHOTO, {}))
    content = path.read_bytes().replace(struct.pack("<HHII", 254, 4, 1, 1), struct.pack("<HHIHH", 255, 3, 1, 2, 0))
    path.write_bytes(content)
    np.testing.assert_array_equal(raster.read(path).samples, PHOTO)


def test_a_smaller_page_of_another_shape_is_no_thumbnail(tmp_path):
    path = save(tmp_path / "a.tif", (SMALL, {}), (RNG.integers(0, 255, (200, 60, 3), dtype=np.uint8), {}))
    np.testing.assert_array_equal(raster.read(path).samples, SMALL)


@pytest.mark.parametrize("colours", [32803, 34892])
def test_the_preview_of_a_raw_file_is_not_restored_as_if_it_were_the_photograph(tmp_path, colours):
    raw = PHOTO[:, :, 0].astype(np.uint16) if colours == 32803 else PHOTO.astype(np.uint16)
    pattern = [(33421, 3, 2, (2, 2), True), (33422, 1, 4, (0, 1, 1, 2), True)]
    path = save(tmp_path / "a.tif", (SMALL, BEHIND), (raw, {"photometric": colours, "extratags": pattern}))
    for reader in (raster.read, raster.read_size):
        with pytest.raises(ImageError, match="a camera's raw data, which needs a raw converter"):
            reader(path)


def test_a_full_picture_that_is_cut_is_not_replaced_by_its_thumbnail(tmp_path):
    path = save(tmp_path / "a.tif", (SMALL, {}), (PHOTO, {}))
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ImageError, match="some of its pixels are missing"):
        raster.read(path)


def test_an_odd_directory_of_a_later_page(tmp_path):
    path = save(tmp_path / "a.tif", (SMALL, {}), (PHOTO, {"description": "abc"}))
    content = path.read_bytes().replace(struct.pack("<HHI", 270, 2, 4), struct.pack("<HHI", 270, 2, 3))
    path.write_bytes(content)
    found = raster.read(path)
    np.testing.assert_array_equal(found.samples, PHOTO)
    assert (found.page, found.pages) == (1, 2)
    assert found.notes[0] == "the text of its tag ImageDescription does not end as it should"


def test_directories_that_lead_in_a_circle_or_nowhere(tmp_path):
    path = save(tmp_path / "a.tif", (SMALL, {}))
    content = path.read_bytes()
    place = int.from_bytes(content[4:8], "little")
    after = place + 2 + 12 * int.from_bytes(content[place : place + 2], "little")
    for following in (place, len(content) + 100):
        path.write_bytes(content[:after] + struct.pack("<I", following) + content[after + 4 :])
        np.testing.assert_array_equal(raster.read(path).samples, SMALL)


def test_a_jpeg_with_a_gain_map_is_read_by_its_picture_and_said_so(tmp_path):
    path = tmp_path / "a.jpg"
    photo = pyvips.Image.new_from_array(np.repeat(np.repeat(PHOTO, 2, 0), 2, 1)).copy(interpretation="srgb")
    (photo.colourspace("scrgb") * 4).copy(interpretation="scrgb").uhdrsave(str(path), Q=95)
    found = raster.read(path)
    with PIL.Image.open(path) as image:
        np.testing.assert_array_equal(found.samples, np.array(image))
    assert found.notes == ("its gain map (HDR) is not kept; what is read is the picture for ordinary screens",)
    content = path.read_bytes()
    end = content.index(b"\xff\xd9")
    for cut in (30, 3000):
        path.write_bytes(content[: end - cut] + content[end:])
        with pytest.raises(ImageError, match="premature end"):
            raster.read(path)


def test_a_file_of_two_jpegs_gives_the_first(tmp_path):
    path = tmp_path / "a.jpg"
    first = PIL.Image.fromarray(PHOTO)
    first.save(path, "MPO", save_all=True, append_images=[PIL.Image.fromarray(PHOTO[::-1])], quality=95)
    found = raster.read(path)
    with PIL.Image.open(path) as image:
        np.testing.assert_array_equal(found.samples, np.array(image))
    assert found.notes == ("the first of 2 pictures is read",)


def test_an_animation_gives_its_first_frame(tmp_path):
    first, second = (PIL.Image.fromarray(samples) for samples in (PHOTO, PHOTO[::-1]))
    first.save(tmp_path / "a.webp", save_all=True, append_images=[second], lossless=True)
    found = raster.read(tmp_path / "a.webp")
    np.testing.assert_array_equal(found.samples[:, :, :3], PHOTO)
    assert found.notes == ("the first of 2 pages is read",)


def test_a_height_beyond_reason_costs_nothing(tmp_path):
    path = save(tmp_path / "a.tif", (SMALL, {}))
    entry = struct.pack("<HHI", 257, 4, 1)
    content = path.read_bytes()
    assert entry in content
    at = content.index(entry)
    huge = struct.pack("<HHII", 257, 4, 1, 2_248_147_005)
    path.write_bytes(content[:at] + huge + content[at + 12 :])
    tracemalloc.start()
    with pytest.raises(ImageError, match="some of its pixels are missing"):
        raster.read(path)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"bigtiff": True}])
@pytest.mark.parametrize("pages", [1, 3])
def test_the_chain_of_pages_ends_at_nought_in_large_files_too(tmp_path, pages, options):
    """The first bytes of a file, read as a directory, have so many entries that only a large file has room for them."""
    photo = RNG.integers(0, 255, (400, 500, 3), dtype=np.uint8)
    path = save(tmp_path / "large.tif", *[(photo, {})] * pages, **options)
    assert path.stat().st_size > 300_000
    found = raster.read(path)
    np.testing.assert_array_equal(found.samples, photo)
    assert found.pages == pages
    assert len(found.notes) == (pages > 1)


def test_one_reduced_page_alone_is_read_in_large_files_too(tmp_path):
    photo = RNG.integers(0, 255, (400, 500, 3), dtype=np.uint8)
    found = raster.read(save(tmp_path / "reduced.tif", (photo, REDUCED)))
    np.testing.assert_array_equal(found.samples, photo)
