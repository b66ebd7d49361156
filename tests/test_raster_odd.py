"""Odd files: what has all its pixels is read, what lacks some is refused, and what was odd is said once, by name."""

import io
import logging
import random
import re
import struct
import threading
import zlib

import numpy as np
import PIL.Image
import pytest
import tifffile

from noiseda import images, raster
from noiseda.data.check import check_folder
from noiseda.errors import ImageError
from noiseda.formats import jpeg_scans

RNG = np.random.default_rng(0)
ROWS, COLUMNS = np.mgrid[0:80, 0:96]
PHOTO = np.stack([ROWS * 3, COLUMNS * 2, ROWS + COLUMNS], axis=2)
PHOTO = np.clip(PHOTO + RNG.normal(0, 6, PHOTO.shape), 0, 255).astype(np.uint8)


def encoded(kind, mode="RGB", **options):
    file = io.BytesIO()
    PIL.Image.fromarray(PHOTO).convert(mode).save(file, kind, **options)
    return file.getvalue()


def jpeg(**options):
    return encoded("JPEG", **{"quality": 95, "subsampling": 0, **options})


def segment(marker, payload):
    return bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload


def insert(content, before, what):
    at = content.index(before)
    return content[:at] + what + content[at:]


def put(content, at, value):
    return content[:at] + value + content[at + len(value) :]


def scan(content, *values):
    """The last three bytes of the header of the first scan are set."""
    at = content.index(b"\xff\xda")
    return put(content, at + 2 + int.from_bytes(content[at + 2 : at + 4], "big") - 3, bytes(values))


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def chunk(name, payload, crc=0):
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload) ^ crc)


def png(*chunks, late=(), data=None, crc=0):
    height, width, _ = PHOTO.shape
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in PHOTO)) if data is None else data
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    ends = (chunk(b"IDAT", rows, crc), *late, chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + b"".join(ends)


def tiff(change=lambda entries: entries, pixels=None, strips=1):
    """An uncompressed TIFF file with its directory at the end, the entries (tag, type, count, value) as changed."""
    pixels, height = PHOTO.tobytes() if pixels is None else pixels, PHOTO.shape[0]
    long = struct.Struct("<I")
    length = PHOTO.nbytes // strips
    entries = [(256, 3, 1, b"\x60\0"), (257, 3, 1, b"\x50\0"), (258, 3, 3, b"\x08\0" * 3), (259, 3, 1, b"\x01\0")]
    entries += [(262, 3, 1, b"\x02\0"), (273, 4, strips, b"".join(long.pack(8 + n * length) for n in range(strips)))]
    entries += [
        (277, 3, 1, b"\x03\0"),
        (278, 4, 1, long.pack(height // strips)),
        (279, 4, strips, long.pack(length) * strips),
    ]
    entries = change(entries)
    place = 8 + len(pixels)
    behind, lines, heap = place + 2 + 12 * len(entries) + 4, b"", b""
    for tag, kind, count, value in entries:
        fits = len(value) <= 4
        lines += struct.pack("<HHI", tag, kind, count) + (
            value.ljust(4, b"\0") if fits else long.pack(behind + len(heap))
        )
        heap += b"" if fits else value + b"\0" * (len(value) % 2)
    return b"II*\0" + long.pack(place) + pixels + struct.pack("<H", len(entries)) + lines + bytes(4) + heap


def changed(tag, *entries):
    """The entries of a tag replaced by others."""
    return lambda old: sorted([entry for entry in old if entry[0] != tag] + list(entries), key=lambda entry: entry[0])


PLAIN, PROGRESSIVE = jpeg(), jpeg(progressive=True)
ODD_JPEGS = {
    "no use here": [scan(PLAIN, 0, 0, 0), scan(PLAIN, 1, 63, 0), scan(PLAIN, 0, 63, 0x11)],
    "revision, 2.01": [put(content, content.index(b"JFIF\0") + 5, b"\x02") for content in (PLAIN, PROGRESSIVE)],
    "stray bytes": [
        insert(PLAIN, b"\xff\xdb", b"\0\0"),
        insert(PROGRESSIVE, b"\xff\xdb", b"hello"),
        insert(PLAIN, b"\xff\xc4", b"hello"),
        insert(PLAIN, b"\xff\xc0", b"\0" * 40),
        insert(PLAIN, b"\xff\xdb", b"\xff\xe5\0\x06abcdefgh"),
    ],
    "end marker": [PLAIN[:-2], PROGRESSIVE[:-2], jpeg(restart_marker_blocks=3, subsampling=2)[:-2]],
    "store colours": [PLAIN[:2] + segment(0xEE, b"Adobe\0d\0\0\0\0\x09") + PLAIN[20:]],
}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "content"), [(said, content) for said, contents in ODD_JPEGS.items() for content in contents]
)
def test_a_jpeg_with_odd_headers_and_all_its_pixels_is_read(tmp_path, said, content):
    path = written(tmp_path, "a.jpg", content)
    found = raster.read(path)
    whole = content if content.endswith(b"\xff\xd9") else content + b"\xff\xd9"
    np.testing.assert_array_equal(found.samples, np.array(PIL.Image.open(io.BytesIO(whole))))
    assert len(found.notes) == 1
    assert said in found.notes[0]
    assert raster.read_size(path) == found.samples.shape[:2]


@pytest.mark.parametrize("content", [PLAIN + b"junk", PLAIN[:-2] + b"\0\0\xff\xff" + PLAIN[-2:], PROGRESSIVE])
def test_a_jpeg_of_which_nothing_is_odd(tmp_path, content):
    assert raster.read(written(tmp_path, "a.jpg", content)).notes == ()


KINDS = {
    "baseline": jpeg(),
    "subsampled": jpeg(subsampling=2),
    "progressive": jpeg(progressive=True),
    "restarts": jpeg(restart_marker_blocks=5),
    "grey": encoded("JPEG", "L", quality=95),
    "cmyk": encoded("JPEG", "CMYK", quality=95),
}


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_whose_data_is_cut_is_refused(tmp_path, kind, odd):
    content = KINDS[kind]
    jpeg = jpeg_scans.walk(content)
    start, end = jpeg.scans[0].data[0], jpeg.end
    if odd:  # on the second way, too
        content = insert(content, b"\xff\xdb", b"\0\0")
        start, end = start + 2, end + 2
    draw = random.Random(0)
    cut = [content[: end - last] + content[end:] for last in (3, 10, 40, 300)]
    cut += [content[:at] for at in (end - 3, end - 50, (start + end) // 2)]
    cut += [
        content[:at] + content[at + 1500 :]
        for at in (draw.randrange(start, end - 1500) for _ in range(2 if kind == "cmyk" else 12))
    ]
    for damaged in cut:
        with pytest.raises(ImageError, match=r"a\.jpg: cannot be read: "):
            raster.read(written(tmp_path, "a.jpg", damaged))


def test_a_jpeg_of_which_scans_are_missing_is_refused(tmp_path):
    scans = jpeg_scans.walk(PROGRESSIVE).scans
    for one in scans:
        with pytest.raises(ImageError, match="cannot be read"):
            raster.read(written(tmp_path, "a.jpg", PROGRESSIVE[: one.at] + PROGRESSIVE[one.data[1] :]))
    for one in scans[1:]:
        with pytest.raises(ImageError, match="a part of its scans is missing"):
            raster.read(written(tmp_path, "a.jpg", PROGRESSIVE[: one.at] + b"\xff\xd9"))


def test_missing_restart_intervals_and_headers_that_swallow_others(tmp_path):
    content = jpeg(restart_marker_blocks=2)
    marks = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", content)]
    table = content.index(b"\xff\xc4")
    damaged = [content[: marks[3]] + content[marks[4] :], content[: marks[3]] + content[marks[11] :]]
    damaged += [content[: table + 25] + content[table + 26 :], insert(content, b"\xff\xdb", b"\xff\xe5\0\x09abcd")]
    for one in damaged:
        with pytest.raises(ImageError, match="cannot be read"):
            raster.read(written(tmp_path, "a.jpg", one))


def test_damage_is_noticed_whatever_a_program_has_set_for_its_logging(tmp_path, monkeypatch):
    content = KINDS["grey"]
    path = written(tmp_path, "a.jpg", content[:-8] + content[-2:])
    monkeypatch.setattr(logging.getLogger("pyvips"), "disabled", True)
    with pytest.raises(ImageError, match="premature end"):
        raster.read(path)


def test_files_read_side_by_side_do_not_get_one_another_s_notes(tmp_path):
    odd = written(tmp_path, "odd.png", png(chunk(b"tEXt", b"Comment\0hello", 1)))
    plain, found = written(tmp_path, "plain.png", png()), {}

    def work(path):
        found[path] = {raster.read(path).notes for _ in range(10)}

    threads = [threading.Thread(target=work, args=(path,)) for path in (odd, plain)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {odd: {("its tEXt block is damaged: CRC error",)}, plain: {()}}


HALF = PHOTO.nbytes // 2
TEXT = (270, 2, 12, b"hello\0\0\0\0\0\0\0")
COUNTS = "the lengths of its strips"
RESOLUTION = [(tag, 5, 1, struct.pack("<II", 300, 1)) for tag in (282, 283)]
NO_PAGE = "there is no page where it says that the next one is"


def next_page(content, place):
    at = 8 + PHOTO.nbytes
    return put(content, at + 2 + 12 * int.from_bytes(content[at : at + 2], "little"), struct.pack("<I", place))


ODD_TIFFS = {
    "padded text": ("tag ImageDescription", tiff(changed(270, TEXT))),
    "endless text": ("tag ImageDescription", tiff(changed(270, (270, 2, 5, b"hello")))),
    "text beyond the end": ("tag ImageDescription", tiff(changed(270, (270, 2, 99, b"x" * 99)))[:-60]),
    "not sorted": ("not in order", tiff(lambda entries: entries[::-1])),
    "twice": ("not in order", tiff(lambda entries: [*entries[:4], entries[3], *entries[4:]])),
    "two resolutions": ("tag XResolution", tiff(changed(282, (282, 5, 2, b"\1\0\0\0" * 4)))),
    "unknown type": ("odd entries", tiff(changed(65000, (65000, 99, 1, b"x")))),
    "no counts": (COUNTS, tiff(changed(279))),
    "no counts of many": (COUNTS, tiff(changed(279), strips=5)),
    "counts of nothing": (COUNTS, tiff(changed(279, (279, 4, 1, b"\0\0\0\0")))),
    "large counts": (COUNTS, tiff(changed(279, (279, 4, 1, b"\0\0\0\1")))),
    "orientation 0": ("its orientation, 0, is unknown", tiff(changed(274, (274, 3, 1, b"\0\0")))),
    "orientation 9": ("its orientation, 9, is unknown", tiff(changed(274, (274, 3, 1, b"\x09\0")))),
    "orientation 10": ("its orientation, 10, is unknown", tiff(changed(274, (274, 3, 1, b"\x0a\0")))),
    "unit 9": ("unit of resolution, 9, is unknown", tiff(changed(296, *RESOLUTION, (296, 3, 1, b"\x09\0")))),
    "next page is this one": (NO_PAGE, next_page(tiff(), PHOTO.nbytes + 8)),
    "next page beyond the end": (NO_PAGE, next_page(tiff(), 0xFFFFFFF0)),
    "one count of two": (COUNTS, tiff(changed(279, (279, 4, 1, struct.pack("<I", HALF))), strips=2)),
}


@pytest.mark.parametrize("kind", ODD_TIFFS)
def test_a_tiff_with_an_odd_directory_and_all_its_pixels_is_read(tmp_path, kind):
    said, content = ODD_TIFFS[kind]
    path = written(tmp_path, "a.tif", content)
    found = raster.read(path)
    np.testing.assert_array_equal(found.samples, PHOTO)
    assert len(found.notes) == 1
    assert said in found.notes[0]
    assert raster.read_size(path) == (80, 96)


def test_the_test_s_own_tiff_is_not_odd(tmp_path):
    for strips in (1, 5):
        found = raster.read(written(tmp_path, "a.tif", tiff(changed(65000, (65000, 4, 1, b"\1\0\0\0")), strips=strips)))
        np.testing.assert_array_equal(found.samples, PHOTO)
        assert found.notes == ()


def test_an_unknown_unit_of_resolution_is_not_written_again(tmp_path):
    found = raster.read(written(tmp_path, "a.tif", ODD_TIFFS["unit 9"][1]))
    raster.write(found, tmp_path / "b.tif")
    assert raster.read(tmp_path / "b.tif").notes == ()
    with PIL.Image.open(tmp_path / "b.tif") as image:
        assert (image.tag_v2[282], image.tag_v2[296]) == (300, 1)


def channels(count, model):
    """A page that has some channels, and says what they are; 24 x 80 x 12 samples fill it as three of 96 columns do."""
    width = struct.pack("<H", PHOTO.nbytes // 80 // count)
    lines = [(256, 3, 1, width), (258, 3, count, b"\x08\0" * count), (262, 3, 1, bytes([model, 0]))]
    new = [*lines, (277, 3, 1, bytes([count, 0])), (279, 4, 1, struct.pack("<I", 80 * count * width[0]))]
    return tiff(lambda old: sorted([entry for entry in old if entry[0] not in [one[0] for one in new]] + new))


def of_type(bits, kind):
    lines = [(258, 3, 1, bytes([bits, 0])), (262, 3, 1, b"\1\0"), (277, 3, 1, b"\1\0"), (339, 3, 1, bytes([kind, 0]))]
    lines += [(256, 3, 1, bytes([8 * PHOTO.nbytes // 80 // bits, 0]))]
    return tiff(lambda old: sorted([entry for entry in old if entry[0] not in [one[0] for one in lines]] + lines))


@pytest.mark.parametrize(("said", "content"), [
    ("has 5 channels; expected", channels(5, 2)),
    ("has 3 channels, though its header says grey; expected", channels(3, 0)),
    ("has 3 channels, though its header says grey; expected", channels(3, 1)),
    ("its header says a palette, which has one channel, but it has 3$", channels(3, 3)),
    ("its samples are 64-bit floats; expected 8- or 16-bit", of_type(64, 3)),
    ("its samples are 64-bit complex floats; expected 8- or 16-bit", of_type(64, 6)),
    ("its samples are 64-bit signed integers; expected 8- or 16-bit", of_type(64, 2)),
    ("its samples are 64-bit unsigned integers; expected 8- or 16-bit", of_type(64, 1)),
    (r"its samples have different numbers of bits \(8, 20, 0\)",
     tiff(changed(258, (258, 3, 3, b"\x08\0\x14\0\0\0")))),
])  # fmt: skip
def test_samples_that_are_no_picture_are_refused_in_words_that_are_true(tmp_path, said, content):
    with pytest.raises(ImageError, match=rf"a\.tif: (cannot be read: )?{said}"):
        raster.read(written(tmp_path, "a.tif", content))


def test_an_odd_entry_of_the_colour_model_is_no_traceback(tmp_path):
    found = raster.read(written(tmp_path, "a.tif", tiff(changed(262, (262, 1, 1, b"\2")))))
    np.testing.assert_array_equal(found.samples, PHOTO)
    for entry in ((262, 4, 0, b"\2\0\0\0"), (262, 2, 1, b"\2")):
        with pytest.raises(ImageError, match=r"a\.tif: cannot be read: "):
            raster.read(written(tmp_path, "a.tif", tiff(changed(262, entry))))


SHORT = PHOTO.tobytes()[:HALF]


@pytest.mark.parametrize("content", [
    tiff(pixels=SHORT),
    tiff(changed(279), SHORT),
    tiff(changed(279, (279, 4, 1, struct.pack("<I", HALF))), SHORT),
    tiff(pixels=PHOTO.tobytes()[500:], strips=2),
    tiff(lambda entries: [*entries, (257, 3, 1, b"\x51\0")]),
])  # fmt: skip
def test_a_tiff_whose_strips_are_cut_is_refused(tmp_path, content):
    with pytest.raises(ImageError, match=r"a\.tif: cannot be read: (some of its pixels|its directory says two)"):
        raster.read(written(tmp_path, "a.tif", content))


@pytest.mark.parametrize(("mode", "compression"), [
    *(("RGB", name) for name in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg")), ("1", "group3"), ("1", "group4"),
])  # fmt: skip
def test_a_packed_tiff_that_lost_bytes_is_refused(tmp_path, mode, compression):
    content, draw = encoded("TIFF", mode, compression=compression), random.Random(1)
    path = written(tmp_path, "a.tif", content)
    assert raster.read(path).notes == ()
    for length in (1, 2, 30, 200):
        for at in (draw.randrange(8, len(content) - length) for _ in range(5)):
            with pytest.raises(ImageError, match=r"a\.tif: cannot be read: (?!unable)"):
                raster.read(written(tmp_path, "a.tif", content[:at] + content[at + length :]))


def test_tiles_that_lost_bytes_are_not_read_on_the_second_way(tmp_path):
    file = io.BytesIO()
    tifffile.imwrite(file, PHOTO, photometric="rgb", compression="deflate", tile=(32, 32))
    content = file.getvalue()
    for at in range(2000, len(content) - 100, 997):
        with pytest.raises(ImageError, match="cannot be read"):
            raster.read(written(tmp_path, "a.tif", content[:at] + content[at + 1 :]))


@pytest.mark.parametrize(("said", "content"), [
    ("its tEXt block is damaged: CRC error", png(chunk(b"tEXt", b"Comment\0hello", 1))),
    ("its tIME block is damaged: too short", png(chunk(b"tIME", b"\0\0\0"))),
    ("what it says of its colours (iCCP) is damaged: too short", png(chunk(b"iCCP", b"x"))),
    ("its end is missing, but all of its pixels are there", png()[:-12]),
    ("its end is missing, but all of its pixels are there", png()[:-5]),
])  # fmt: skip
def test_a_png_with_odd_chunks_and_all_its_pixels_is_read(tmp_path, said, content):
    found = raster.read(written(tmp_path, "a.png", content))
    np.testing.assert_array_equal(found.samples, PHOTO)
    assert found.notes == (said,)


@pytest.mark.parametrize(("reason", "content"), [
    ("CRC error", png(crc=1)),
    ("Not enough image data", png(data=zlib.compress(b"".join(b"\0" + row.tobytes() for row in PHOTO[:-2])))),
    ("tRNS: CRC error", png(chunk(b"tRNS", b"\0\1\0\1\0\1", 1))),
])  # fmt: skip
def test_a_png_that_lacks_pixels_is_refused(tmp_path, reason, content):
    with pytest.raises(ImageError, match=rf"a\.png: cannot be read: .*{reason}"):
        raster.read(written(tmp_path, "a.png", content))


@pytest.mark.parametrize("told", [0, 100, 1 << 20, 0xFFFFFFFE])
def test_a_webp_that_tells_a_wrong_length_is_read_but_not_a_cut_one(tmp_path, told):
    content = encoded("WEBP", lossless=True)
    found = raster.read(written(tmp_path, "a.webp", put(content, 4, struct.pack("<I", told))))
    np.testing.assert_array_equal(found.samples, PHOTO)
    assert "wrong length" in found.notes[0]
    for last in (1, 20, len(content) // 2):
        with pytest.raises(ImageError, match="damaged or cut short"):
            raster.read(written(tmp_path, "a.webp", put(content[:-last], 4, struct.pack("<I", told))))


def test_what_is_odd_is_said_once_with_the_name_and_not_in_a_library_s_words(tmp_path, caplog, capfd):
    odd = written(tmp_path, "odd.png", png(chunk(b"tIME", b"\0\0\0")))
    cut = written(tmp_path, "cut.jpg", PLAIN[: len(PLAIN) // 2])
    for _ in range(3):
        raster.read_size(odd)
        images.read(odd)
        with pytest.raises(ImageError):
            images.read(cut)
    assert [record.getMessage() for record in caplog.records] == [f"{odd}: its tIME block is damaged: too short"]
    assert "VIPS" not in "".join(capfd.readouterr())


def test_data_check_lists_what_is_odd(tmp_path, caplog):
    odd = written(tmp_path, "odd.png", png(chunk(b"tIME", b"\0\0\0")))
    report = check_folder(tmp_path)
    assert [(note.kind, note.message) for note in report.notes] == [
        ("odd, but read", f"{odd}: its tIME block is damaged: too short")
    ]
    assert report.ok
    assert not caplog.records
