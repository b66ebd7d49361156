"""Image files with all kinds of blocks, made byte by byte."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import tifffile

_ROWS, _COLUMNS = np.mgrid[:40, :56]
PICTURE = np.stack([4 * _COLUMNS, 6 * _ROWS, 255 - 2 * (_ROWS + _COLUMNS)], axis=2).astype(np.uint8)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4" rdf:about=""/></rdf:RDF></x:xmpmeta>'
)
IPTC = b"\x1c\x02\x78\x00\x07caption"
RESOURCES = struct.pack(">4sHHI", b"8BIM", 0x0404, 0, len(IPTC)) + IPTC


def exif_block(orientation=1):
    """With a rating, a tag that nobody knows, and no resolution; without prefix."""
    made = PIL.Image.Exif()
    made[0x0112], made[0x010F], made[0x4746], made[0xFDE8] = orientation, "ACME", 5, b"unknown"
    made.get_ifd(0x8769)[0x927C] = b"maker's own"
    made.get_ifd(0x8825)[1] = "N"
    return made.tobytes().removeprefix(b"Exif\0\0")


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(early=b"", late=b"", picture=PICTURE):
    grey = picture.ndim == 2
    rows = b"".join(b"\0" + row.tobytes() for row in picture)
    header = struct.pack(">IIBBBBB", picture.shape[1], picture.shape[0], 8, 0 if grey else 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), early, chunk(b"IDAT", zlib.compress(rows)), late, chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_chunks(content):
    at, found = 8, []
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def segment(marker, body):
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg(*segments, picture=PICTURE):
    """A JPEG file with segments behind its first marker, without JFIF."""
    made = io.BytesIO()
    PIL.Image.fromarray(picture).save(made, "JPEG", quality=95, subsampling=0)
    content = made.getvalue()
    assert content[2:4] == b"\xff\xe0"
    start = 4 + int.from_bytes(content[4:6], "big")
    return content[:2] + b"".join(segments) + content[start:]


def tiff(*, picture=PICTURE, tags=(), **options):
    made = io.BytesIO()
    tifffile.imwrite(made, picture, extratags=tags, metadata=None, software=False, **options)
    return made.getvalue()


def webp(exif=b"", xmp=b"", picture=PICTURE):
    made = io.BytesIO()
    PIL.Image.fromarray(picture).save(made, "WEBP", lossless=True, exif=exif, xmp=xmp)
    return made.getvalue()
