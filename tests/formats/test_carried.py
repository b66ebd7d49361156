"""What a file holds beside its samples comes back byte for byte, and nothing comes with it."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
import tifffile

from noiseda import raster
from noiseda.formats import tiff as tiff_format
from noiseda.images import Picture, read, write
from tests.formats.files import (
    IPTC,
    PICTURE,
    RESOURCES,
    XMP,
    chunk,
    exif_block,
    jpeg,
    png,
    png_chunks,
    segment,
    tiff,
    webp,
)

EXIF = exif_block()


def through(tmp_path, content, source, target):
    """The bytes of the file that a file becomes, and what is said about it."""
    (tmp_path / f"in{source}").write_bytes(content)
    found = raster.read(tmp_path / f"in{source}")
    lost = raster.write(found, tmp_path / f"out{target}")
    return (tmp_path / f"out{target}").read_bytes(), [*found.notes, *lost]


def full(name):
    """A file of each format with an EXIF block, XMP and IPTC, as far as the format has them."""
    return {
        ".jpg": lambda: jpeg(
            segment(0xE1, b"Exif\0\0" + EXIF),
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
            segment(0xED, b"Photoshop 3.0\0" + RESOURCES),
        ),
        ".png": lambda: png(late=chunk(b"eXIf", EXIF) + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)),
        ".webp": lambda: webp(EXIF, XMP),
        ".tif": lambda: tiff(
            tags=[(0x010F, 2, 0, "ACME"), (0x4746, 3, 1, 5), (0xFDE8, 7, 7, b"unknown"), (700, 1, len(XMP), XMP)]
        ),
    }[name]()


def described(content):
    """What another reader finds: maker, rating, the unknown tag, and whether the XMP is there."""
    opened = PIL.Image.open(io.BytesIO(content))
    found = opened.getexif()
    xmp = opened.info.get("xmp") or found.get(700) or b""
    return (
        found.get(0x010F),
        found.get(0x4746),
        found.get(0xFDE8),
        XMP in (xmp if isinstance(xmp, bytes) else xmp.encode()),
    )


@pytest.mark.parametrize("target", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("source", [".jpg", ".png", ".webp", ".tif"])
def test_ratings_unknown_tags_and_xmp_come_through(tmp_path, source, target):
    content, _ = through(tmp_path, full(source), source, target)
    assert described(content) == ("ACME", 5, b"unknown", True)
    samples = np.array(PIL.Image.open(tmp_path / f"out{target}").convert("RGB")).astype(int)
    stored = np.array(PIL.Image.open(tmp_path / f"in{source}").convert("RGB")).astype(int)
    assert abs(samples - stored).mean() < (3 if target == ".jpg" else 1e-9)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_the_exif_block_is_the_same_bytes(tmp_path, suffix):
    content, notes = through(tmp_path, full(suffix), suffix, suffix)
    assert EXIF in content
    assert notes == []


@pytest.mark.parametrize("target", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("source", [".jpg", ".png", ".webp", ".tif"])
def test_nothing_is_invented(tmp_path, source, target):
    bare = {".jpg": jpeg, ".png": png, ".webp": webp, ".tif": lambda: tiff(resolution=None)}[source]()
    if source == ".tif":  # tifffile writes a resolution too
        bare, _ = through(tmp_path, png(), ".png", ".tif")
    content, notes = through(tmp_path, bare, source, target)
    opened = PIL.Image.open(io.BytesIO(content))
    found = {tag: value for tag, value in opened.getexif().items() if tag not in tiff_format.STORAGE}
    assert found == {}
    own = {"dpi", "resolution"} if target == ".tif" else set()  # Pillow makes them up
    assert not {"dpi", "jfif", "exif", "xmp", "icc_profile", "resolution"} - own & opened.info.keys()
    assert notes == []
    if target == ".png":
        assert [kind for kind, _ in png_chunks(content) if kind not in (b"IHDR", b"IDAT", b"IEND")] == []


@pytest.mark.parametrize("target", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("source", [".jpg", ".png", ".tif"])
def test_a_resolution_that_is_stated_is_kept(tmp_path, source, target):
    kind = {".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF"}[source]
    made = io.BytesIO()
    PIL.Image.fromarray(PICTURE).save(made, kind, dpi=(300, 150))
    through(tmp_path, made.getvalue(), source, target)
    opened = PIL.Image.open(tmp_path / f"out{target}")
    if target == ".webp":
        exif = opened.getexif()
        found = [float(exif[tag]) * (2.54 if exif[296] == 3 else 1) for tag in (282, 283)]
    else:
        found = opened.info["dpi"]
    assert found == pytest.approx((300, 150), rel=2e-3)


def test_a_resolution_turns_with_the_picture(tmp_path):
    made = io.BytesIO()
    block = PIL.Image.Exif()
    block[0x0112] = 6
    PIL.Image.fromarray(PICTURE).save(made, "JPEG", dpi=(300, 150), exif=block)
    through(tmp_path, made.getvalue(), ".jpg", ".png")
    opened = PIL.Image.open(tmp_path / "out.png")
    assert opened.size == (40, 56)
    assert opened.info["dpi"] == pytest.approx((150, 300), rel=1e-2)


def text_chunks():
    yield b"tEXt", b"A key with blanks\0caf\xe9 \xa9 \xb5m"
    yield b"zTXt", b"Comment\0\0" + zlib.compress(b"long " * 50)
    yield b"iTXt", "Beschreibung\0\0\0de\0Beschreibung\0Grüße 写真".encode()
    yield b"tIME", b"\x07\xea\x0b\x1c\x0a\x0b\x0c"
    yield b"prVt", b"a private chunk that may be copied"


def test_png_text_is_the_same_bytes(tmp_path):
    chunks = list(text_chunks())
    content, notes = through(tmp_path, png(b"".join(chunk(*one) for one in chunks)), ".png", ".png")
    assert [one for one in png_chunks(content) if one in chunks] == chunks
    assert notes == []


def test_png_text_that_another_format_cannot_hold_is_said_to_be_lost(tmp_path):
    _, notes = through(tmp_path, png(chunk(b"tEXt", b"Comment\0hello")), ".png", ".jpg")
    assert notes == ["text cannot be kept in JPEG"]


def raw_profile(name, block):
    text = b"\n%s\n%8d\n" % (name, len(block)) + b"\n".join(
        block.hex().encode()[i : i + 72] for i in range(0, 2 * len(block), 72)
    )
    return chunk(b"zTXt", b"Raw profile type " + name + b"\0\0" + zlib.compress(text + b"\n"))


def test_exif_in_an_old_text_chunk_counts_as_exif(tmp_path):
    turned = exif_block(6)
    content, notes = through(tmp_path, png(raw_profile(b"exif", b"Exif\0\0" + turned)), ".png", ".png")
    opened = PIL.Image.open(io.BytesIO(content))
    assert opened.size == (40, 56)
    assert (opened.getexif()[0x0112], opened.getexif()[0x4746]) == (1, 5)
    assert notes == []


def test_iptc_and_xmp_in_old_text_chunks_are_found(tmp_path):
    chunks = raw_profile(b"iptc", RESOURCES) + raw_profile(b"xmp", XMP)
    content, _ = through(tmp_path, png(chunks), ".png", ".jpg")
    assert XMP in content
    assert IPTC in content
    again, _ = through(tmp_path, content, ".jpg", ".png")
    content, _ = through(tmp_path, again, ".png", ".jpg")
    assert IPTC in content


@pytest.mark.parametrize("target", [".jpg", ".tif"])
@pytest.mark.parametrize("source", [".jpg", ".tif"])
def test_iptc_records_come_through(tmp_path, source, target):
    made = full(".jpg") if source == ".jpg" else tiff(tags=[(33723, 7, len(IPTC), IPTC)])
    content, _ = through(tmp_path, made, source, target)
    if target == ".jpg":
        assert RESOURCES in content
    else:
        assert tifffile.TiffFile(io.BytesIO(content)).pages[0].tags[33723].value == IPTC


def test_a_photoshop_thumbnail_is_left_out_and_the_rest_kept(tmp_path):
    thumbnail = struct.pack(">4sHHI", b"8BIM", 0x040C, 0, 40) + b"\xff\xd8" * 20
    made = jpeg(segment(0xED, b"Photoshop 3.0\0" + thumbnail + RESOURCES))
    content, _ = through(tmp_path, made, ".jpg", ".jpg")
    assert RESOURCES in content
    assert thumbnail not in content


def test_comments_and_unknown_segments_of_jpeg_come_through(tmp_path):
    comment, own = segment(0xFE, "café".encode("latin-1")), segment(0xE5, b"own block")
    content, notes = through(tmp_path, jpeg(comment, own), ".jpg", ".jpg")
    assert comment in content
    assert own in content
    assert notes == []
    _, notes = through(tmp_path, jpeg(comment, own), ".jpg", ".png")
    assert notes == ["comment and APP5 block cannot be kept in PNG"]


def test_no_viewer_looks_for_a_gain_map_that_is_gone(tmp_path):
    packet = XMP.replace(
        b'xmp:Rating="4"', b'xmp:Rating="4" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'
    )
    made = jpeg(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet), segment(0xE2, b"MPF\0" + bytes(40)))
    content, notes = through(tmp_path, made, ".jpg", ".jpg")
    assert notes == []
    assert b'xmp:Rating="4"' in content
    assert b"hdrgm:Version" not in content
    assert b"MPF\0" not in content


def test_a_late_exif_block_of_jpeg_is_kept_but_turns_nothing(tmp_path):
    made = jpeg()
    end = made.rindex(b"\xff\xd9")
    late = segment(0xE1, b"Exif\0\0" + exif_block(6))
    content, _ = through(tmp_path, made[:end] + late + made[end:], ".jpg", ".jpg")
    opened = PIL.Image.open(io.BytesIO(content))
    assert opened.size == (56, 40)  # no viewer looks behind the picture
    assert (opened.getexif()[0x0112], opened.getexif()[0x4746]) == (1, 5)


def test_exif_longer_than_a_segment_is_said_to_be_lost_in_jpeg(tmp_path):
    made = PIL.Image.Exif()
    made.get_ifd(0x8769)[0x927C] = bytes(70_000)
    content, notes = through(tmp_path, png(chunk(b"eXIf", made.tobytes().removeprefix(b"Exif\0\0"))), ".png", ".jpg")
    assert notes == ["EXIF of more than 64 kB cannot be kept in JPEG"]
    assert b"Exif" not in content


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_keeps_tags_of_every_kind_in_every_byte_order(tmp_path, big, order):
    tags = [
        (270, 2, 0, "description"),
        (0x4746, 3, 1, 5),
        (65000, 12, 2, (0.5, -2.25)),
        (65001, 10, 1, (-1, 3)),
        (65002, 4, 3, (1, 2, 70_000)),
        (305, 2, 0, "software"),
    ]
    made = tiff(tags=tags, bigtiff=big, byteorder=order)
    content, notes = through(tmp_path, made, ".tif", ".tif")
    found = tifffile.TiffFile(io.BytesIO(content)).pages[0]
    np.testing.assert_array_equal(found.asarray(), PICTURE)
    values = {tag: found.tags[tag].value for tag in (270, 0x4746, 65000, 65001, 65002, 305)}
    assert values == {
        270: "description",
        0x4746: 5,
        65000: (0.5, -2.25),
        65001: (-1, 3),
        65002: (1, 2, 70_000),
        305: "software",
    }
    assert notes == []


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_once(tmp_path, orientation):
    made = tiff(tags=[(274, 3, 1, orientation)])
    content, _ = through(tmp_path, made, ".tif", ".tif")
    found = tifffile.TiffFile(io.BytesIO(content)).pages[0]
    assert found.tags[274].value == 1
    assert found.asarray().shape == ((40, 56, 3) if orientation < 5 else (56, 40, 3))


def test_pictures_made_here_are_written_without_blocks(tmp_path):
    import torch

    write(Picture(torch.zeros(3, 4, 5)), tmp_path / "a.jpg")
    assert read(tmp_path / "a.jpg").extras.resolution is None
    assert not PIL.Image.open(tmp_path / "a.jpg").getexif()
