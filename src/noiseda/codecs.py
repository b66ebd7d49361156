"""What a file is by its first bytes, and with what codec its pixels are packed: enough to say why it cannot be read."""

from __future__ import annotations

import re
from mmap import ACCESS_READ, mmap
from pathlib import Path

from noiseda.formats import ifd
from noiseda.formats.jpeg_segments import segments

_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"hevc": "HEIC",
    b"hevx": "HEIC",
    b"crx ": "Canon RAW (CR3)",
}
"""Brands of the boxed format that phones write, of which a file may have several: the first that is here decides."""

_KINDS = {
    rb"\0\0\0\x0cJXL \r\n\x87\n|\xff\x0a": "JPEG XL",
    rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51": "JPEG 2000",
    rb"II\xbc": "JPEG XR",
    rb"GIF8[79]a": "GIF",
    rb"BM.{4}\0\0\0\0": "BMP",
    rb"8BPS": "Photoshop (PSD)",
    rb"\x76\x2f\x31\x01": "OpenEXR",
    rb"#\?(RADIANCE|RGBE)": "Radiance HDR",
    rb"FUJIFILMCCD-RAW": "Fujifilm RAW (RAF)",
    rb"IIR[OS]|MMOR": "Olympus RAW (ORF)",
    rb"IIU\0": "Panasonic RAW (RW2)",
    rb"FOVb": "Sigma RAW (X3F)",
    rb"\0MRM": "Minolta RAW (MRW)",
    rb"P[1-7Ff][\s#]": "PNM",
    rb"gimp xcf": "GIMP (XCF)",
    rb"%PDF-": "PDF",
    rb"%!PS|\xc5\xd0\xd3\xc6": "PostScript",
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?<svg": "SVG",
    rb"(?:\xef\xbb\xbf)?\s*<(?:!DOCTYPE html|html)": "a web page (HTML)",
    rb"\x1a\x45\xdf\xa3|RIFF.{4}AVI |\0\0\x01\xba": "video",
    rb"PK\x03\x04": "a ZIP archive",
    rb"\0\x05\x16\x07": "a side file of macOS (AppleDouble)",
    rb"version https://git-lfs": "a pointer of Git LFS",
}
_SIGNATURES = {re.compile(magic, re.DOTALL | re.IGNORECASE): kind for magic, kind in _KINDS.items()}

START = 64
"""Bytes at the beginning of a file that :func:`kind_of` looks at."""

_PACKED = {
    6: "old-style JPEG",
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT",
    32809: "ThunderScan",
    32908: "Pixar film",
    32909: "Pixar log",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "SGI log",
    34677: "SGI log",
    34712: "JPEG 2000",
    34713: "Nikon's RAW codec",
    34887: "LERC",
    34892: "lossy JPEG of DNG",
    34925: "LZMA",
    34926: "ZSTD",
    34927: "WebP",
    34933: "PNG",
    34934: "JPEG XR",
    22610: "JPEG XR",
    50000: "ZSTD",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
"""Compression tag of TIFF -> codec, where not every build of libtiff has it."""

_SCANS = {
    0xC3: "lossless",
    0xC5: "hierarchical",
    0xC6: "hierarchical",
    0xC7: "hierarchical and lossless",
    0xC9: "arithmetic-coded",
    0xCA: "arithmetic-coded",
    0xCB: "arithmetic-coded and lossless",
    0xCD: "hierarchical and arithmetic-coded",
    0xCE: "hierarchical and arithmetic-coded",
    0xCF: "hierarchical and arithmetic-coded",
}
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG that begin an image: SOF0 to SOF15, and SOF55 of JPEG-LS."""

_ABSENT = re.compile(
    r"not configured|not implemented|unsupported|omitted at compile|not in a known format|unknown compression|"
    r"unrecognized|doesn't support",
    re.IGNORECASE,
)
"""How libvips, libtiff and libjpeg say that they lack something; anything else is damage."""


def kind_of(start: bytes) -> str | None:
    """What a file is that is no PNG, JPEG, TIFF or WebP.

    >>> kind_of(bytes(3) + b" ftypheic")
    'HEIC'

    Args:
        start: its first :data:`START` bytes.
    """
    if start[4:8] == b"ftyp":
        size = int.from_bytes(start[:4], "big")
        box = start[8:size] if size >= 12 else start[8:]
        brands = [box[:4], *(box[at : at + 4] for at in range(8, len(box) - 3, 4))]
        kind = next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
        return kind or ("HEIF" if {b"mif1", b"msf1"}.intersection(brands) else "video")
    return next((kind for magic, kind in _SIGNATURES.items() if magic.match(start)), None)


def lacking(path: Path, complaint: str) -> str | None:
    """Name the codec of a JPEG or TIFF that this build of libvips cannot decode.

    Args:
        path: a file that could not be read.
        complaint: what libvips said.

    Returns:
        The end of a sentence that begins with the file's name; None where the codec is not what is wrong.
    """
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            found = _jpeg(content) if content[:2] == b"\xff\xd8" else _tiff(content)
    except (OSError, ValueError):  # empty, say
        return None
    if found is None or not (_ABSENT.search(complaint) or found == "JPEG-LS"):
        return None
    return f"{found}, which this build of libvips cannot decode; convert it to TIFF or PNG with ordinary compression"


def _jpeg(content: mmap) -> str | None:
    """The process of a JPEG, if it is an unusual one."""
    frames = (found for found in segments(content, lambda scan: True) if found.marker in _FRAMES and found.payload)
    frame = next(frames, None)
    if frame is None or frame.marker == 0xF7:
        return None if frame is None else "JPEG-LS"
    bits = frame.payload[0]
    kinds = [kind for kind in (_SCANS.get(frame.marker), f"of {bits} bits a sample" if bits != 8 else None) if kind]
    return f"JPEG that is {' and '.join(kinds)}" if kinds else None


def _tiff(content: mmap) -> str | None:
    """The codec of a TIFF's first page, if it is an unusual one."""
    try:
        layout, place = ifd.header(content)
    except ValueError:
        return None
    packed = [
        ifd.integers(content, field, layout)[0]
        for field in ifd.fields(content, place, layout)
        if field.tag == 259 and field.kind in (3, 4) and field.count
    ]
    return f"TIFF compressed with {_PACKED[packed[0]]}" if packed and packed[0] in _PACKED else None
