"""Small pictures of every sort that cameras and programs write, made here of a photograph."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import skimage.data
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

HEIGHT, WIDTH = 61, 70

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>'


@functools.cache
def photograph(channels: int = 3, bits: int = 8) -> np.ndarray:
    """(H, W, channels), or (H, W) for one; no row of it is of one colour."""
    rgb = skimage.data.astronaut()[20 : 20 + 2 * HEIGHT : 2, 150 : 150 + 2 * WIDTH : 2].astype(np.int64)
    rgb = rgb + np.random.default_rng(0).integers(-9, 10, rgb.shape)
    rgb = (rgb.clip(0, 255) * 257 + (np.arange(rgb.size).reshape(rgb.shape) % 97 if bits == 16 else 0)).clip(0, 65535)
    alpha = np.broadcast_to(np.linspace(9000, 65535, WIDTH, dtype=np.int64), (HEIGHT, WIDTH))[..., None]
    bands = {1: rgb[..., 1:2], 2: np.dstack([rgb[..., 1:2], alpha]), 3: rgb, 4: np.dstack([rgb, alpha])}[channels]
    found = bands.astype(np.uint16) if bits == 16 else (bands // 257).astype(np.uint8)
    return found[..., 0] if channels == 1 else found


def _image(mode: str = "RGB") -> Image.Image:
    if mode in ("L", "1"):
        return Image.fromarray(photograph(1)).convert(mode)
    if mode in ("LA", "RGBA"):
        return Image.fromarray(photograph(len(mode)))
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.applyTransform(Image.fromarray(photograph()), ImageCms.buildTransform(*profiles, "RGB", "LAB"))
    return Image.fromarray(photograph()).convert(mode)


def _by_pillow(format: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    _image(mode).save(file, format, **options)
    return file.getvalue()


def _several(format: str, **options: object) -> bytes:
    """Three pictures in one file."""
    return _by_pillow(format, save_all=True, append_images=[_image().rotate(90), _image().rotate(180)], **options)


def _by_tifffile(array: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(
        file, bigtiff=options.pop("bigtiff", False), byteorder=options.pop("byteorder", "<")
    ) as tiff:
        tiff.write(array, metadata=None, **options)
    return file.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png(array: np.ndarray, *more: bytes, interlaced: bool = False) -> bytes:
    """What Pillow does not write: 16 bits in colour, Adam7, chunks of any sort."""
    bands = 1 if array.ndim == 2 else array.shape[2]
    wide = array.dtype == np.uint16
    header = struct.pack(
        ">IIBBBBB", array.shape[1], array.shape[0], 16 if wide else 8, {1: 0, 2: 4, 3: 2, 4: 6}[bands], 0, 0, interlaced
    )
    passes = [array]
    if interlaced:
        steps = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        passes = [array[top::down, left::right] for top, left, down, right in steps]
    rows = b"".join(b"\0" + row.astype(">u2" if wide else "u1").tobytes() for part in passes for row in part)
    packed = zlib.compress(rows)
    middle = len(packed) // 2
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *more,
            *(chunk(b"IDAT", part) for part in (packed[:middle], packed[middle:])),
            chunk(b"IEND", b""),
        ]
    )


def _exif(orientation: int = 6) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x010F], exif[0x0132] = orientation, "a face", "Maker", "2024:05:01 10:00:00"
    exif.get_ifd(0x8769)[0x829A] = 1 / 60
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0hello"
    exif.get_ifd(0x8825)[1] = "N"
    return exif.tobytes()


def _icc() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _iptc(jpeg: bytes) -> bytes:
    """A caption in a Photoshop block of a JPEG."""
    data = b"\x1c\x02\x78" + struct.pack(">H", 5) + b"hello"
    block = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(data)) + data
    return jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def _png_texts() -> PngImagePlugin.PngInfo:
    found = PngImagePlugin.PngInfo()
    found.add_text("Title", "a face")
    found.add_text("Own key", "Grüße", zip=True)
    found.add_itxt("XML:com.adobe.xmp", XMP.decode())
    return found


_COLOUR_CHUNKS = (
    chunk(b"gAMA", struct.pack(">I", 45455)),
    chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
    chunk(b"pHYs", struct.pack(">IIB", 3780, 3780, 1)),
    chunk(b"tIME", bytes([7, 232, 5, 1, 10, 0, 0])),
)

MAKERS: dict[str, Callable[[], bytes]] = {
    "rgb.png": lambda: _by_pillow("PNG"),
    "grey.png": lambda: _by_pillow("PNG", "L"),
    "grey+alpha.png": lambda: _by_pillow("PNG", "LA"),
    "rgba.png": lambda: _by_pillow("PNG", "RGBA"),
    "palette.png": lambda: _by_pillow("PNG", "P"),
    "palette+transparent.png": lambda: _by_pillow("PNG", "P", transparency=3),
    "1-bit.png": lambda: _by_pillow("PNG", "1"),
    "16-bit grey.png": lambda: _png(photograph(1, 16)),
    "16-bit rgb.png": lambda: _png(photograph(3, 16)),
    "16-bit rgba.png": lambda: _png(photograph(4, 16)),
    "interlaced.png": lambda: _png(photograph(3), interlaced=True),
    "16-bit interlaced.png": lambda: _png(photograph(3, 16), interlaced=True),
    "colour chunks.png": lambda: _png(photograph(3), *_COLOUR_CHUNKS),
    "text, exif, icc.png": lambda: _by_pillow("PNG", exif=_exif(), icc_profile=_icc(), pnginfo=_png_texts()),
    "animated.png": lambda: _several("PNG"),
    "baseline.jpg": lambda: _by_pillow("JPEG", quality=92),
    "4-4-4.jpg": lambda: _by_pillow("JPEG", quality=92, subsampling=0),
    "grey.jpg": lambda: _by_pillow("JPEG", "L", quality=92),
    "progressive.jpg": lambda: _by_pillow("JPEG", quality=92, progressive=True),
    "restart.jpg": lambda: _by_pillow("JPEG", quality=92, restart_marker_blocks=4),
    "progressive restart.jpg": lambda: _by_pillow("JPEG", quality=92, progressive=True, restart_marker_rows=1),
    "cmyk.jpg": lambda: _by_pillow("JPEG", "CMYK", quality=92),
    "exif.jpg": lambda: _by_pillow("JPEG", quality=92, exif=_exif()),
    "exif, xmp, icc.jpg": lambda: _by_pillow("JPEG", exif=_exif(8), icc_profile=_icc(), xmp=XMP, comment=b"hello"),
    "iptc.jpg": lambda: _iptc(_by_pillow("JPEG", quality=92, dpi=(300, 300))),
    "several.jpg": lambda: _several("MPO"),
    "strips.tif": lambda: _by_tifffile(photograph(3), photometric="rgb", rowsperstrip=16),
    "one strip.tif": lambda: _by_tifffile(photograph(3), photometric="rgb"),
    "tiles.tif": lambda: _by_tifffile(photograph(3), photometric="rgb", tile=(32, 32)),
    "deflate.tif": lambda: _by_tifffile(photograph(3), photometric="rgb", compression="zlib", predictor=2),
    "deflate tiles.tif": lambda: _by_tifffile(photograph(3, 16), photometric="rgb", tile=(16, 16), compression="zlib"),
    "lzw.tif": lambda: _by_pillow("TIFF", compression="tiff_lzw"),
    "packbits.tif": lambda: _by_pillow("TIFF", "L", compression="packbits"),
    "jpeg.tif": lambda: _by_pillow("TIFF", compression="jpeg"),
    "1-bit.tif": lambda: _by_pillow("TIFF", "1", compression="group4"),
    "palette.tif": lambda: _by_pillow("TIFF", "P"),
    "pages.tif": lambda: _several("TIFF", compression="tiff_adobe_deflate"),
    "16-bit rgb.tif": lambda: _by_tifffile(photograph(3, 16), photometric="rgb", rowsperstrip=16),
    "16-bit grey big-endian.tif": lambda: _by_tifffile(photograph(1, 16), photometric="minisblack", byteorder=">"),
    "big-endian.tif": lambda: _by_tifffile(photograph(3), photometric="rgb", byteorder=">", rowsperstrip=8),
    "bigtiff.tif": lambda: _by_tifffile(photograph(3), photometric="rgb", bigtiff=True),
    "alpha.tif": lambda: _by_tifffile(photograph(4), photometric="rgb", extrasamples=["unassalpha"]),
    "planes.tif": lambda: _by_tifffile(
        photograph(3).transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"
    ),
    "large.tif": lambda: _by_tifffile(np.tile(photograph(3), (5, 6, 1)), photometric="rgb", rowsperstrip=16),
    "float.tif": lambda: _by_tifffile(photograph(1).astype(np.float32) / 255, photometric="minisblack"),
    "cmyk.tif": lambda: _by_pillow("TIFF", "CMYK"),
    "lab.tif": lambda: _by_pillow("TIFF", "LAB"),
    "ycbcr.tif": lambda: _by_pillow("TIFF", "YCbCr"),
    "exif, icc.tif": lambda: _by_pillow("TIFF", exif=_exif(3), icc_profile=_icc(), dpi=(300, 300)),
    "lossy.webp": lambda: _by_pillow("WEBP", quality=90),
    "lossless.webp": lambda: _by_pillow("WEBP", lossless=True),
    "alpha.webp": lambda: _by_pillow("WEBP", "RGBA", quality=90),
    "exif, icc.webp": lambda: _by_pillow("WEBP", lossless=True, exif=_exif(), icc_profile=_icc(), xmp=XMP),
    "animated.webp": lambda: _several("WEBP", lossless=True, duration=100),
}
"""What a picture is, with its suffix -> its bytes."""

_OTHER = "16-bit cmyk lab ycbcr float alpha rgba transparent animated pages several"
PLAIN = frozenset(name for name in MAKERS if not any(word in name for word in _OTHER.split()))
"""Those whose values every reader shows alike: 8 bits, grey or RGB, nothing to convert, to lay over or
to choose from."""


@functools.cache
def picture(name: str) -> bytes:
    """The bytes of a picture by its name."""
    return MAKERS[name]()
