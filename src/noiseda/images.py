"""Image file <-> float tensor in [0, 1]: the only place that knows 255 and 65535.

Whatever a file holds, the rest of the project sees float32 pixels (C, H, W) in [0, 1] with C = 1 (grey) or 3 (RGB). All
that is not a pixel (alpha, bit depth, ICC profile, EXIF) rides along in a :class:`Picture` and is written back.
"""

from __future__ import annotations

import io
import mmap
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyvips
import torch
from numpy.typing import NDArray
from torch import Tensor

from noiseda import exif
from noiseda.errors import ImageError, UserError
from noiseda.storage import atomic

FORMATS: Mapping[str, str] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".webp": "webp",
}
"""Suffix (lower case) -> format."""

SUFFIXES: frozenset[str] = frozenset(FORMATS)
"""Suffixes of the files :func:`find_images` lists and :func:`write` accepts, lower case."""

_MAGIC = {
    re.compile(rb"\x89PNG\r\n\x1a\n"): "png",
    re.compile(rb"\xff\xd8\xff"): "jpeg",
    re.compile(rb"II[*+]\0|MM\0[*+]"): "tiff",
    re.compile(rb"RIFF....WEBP", re.DOTALL): "webp",
}
"""How files of each format begin; nothing else reaches libvips, which would read SVG, PDF or matrices in text, too."""

_CARRIED = ("exif-data", "xmp-data", "iptc-data", "photoshop-data", "png-comment-")
_SAVING: Mapping[str, dict[str, object]] = {
    "png": {},
    "jpeg": {"Q": 95, "subsample_mode": "off", "optimize_coding": True},
    "tiff": {"compression": "deflate", "predictor": "horizontal"},
    "webp": {"lossless": True, "exact": True},
}

_STRIP = 256

# Otherwise a file that was overwritten may be answered from memory, and decoded images stay there.
pyvips.cache_set_max(0)

_OWNER = os.getpid()


@dataclass(frozen=True, eq=False)
class Picture:
    """An image and all that is needed to write it back: only ``pixels`` are meant to change.

    >>> Picture(torch.zeros(3, 4, 5)).bits
    8
    """

    pixels: Tensor
    """(C, H, W) float32 in [0, 1], C = 1 or 3, upright (orientation applied)."""

    alpha: Tensor | None = None
    """(1, H, W) uint8 or uint16 (as ``bits`` says), the file's own integers; the pixels are not multiplied by it."""

    bits: int = 8
    """Bits a sample: 8 or 16."""

    icc: bytes | None = None
    """The ICC profile, byte for byte; the pixels are in its space, not converted."""

    metadata: Mapping[str, bytes | str] = field(default_factory=dict)
    """EXIF, XMP and IPTC under libvips' names, made upright and without thumbnail."""

    resolution: tuple[float, float] = (1.0, 1.0)
    """Horizontal and vertical resolution in pixels per millimetre."""

    format: str = "png"
    """Format of the file it came from: png, jpeg, tiff or webp."""

    pages: int = 1
    """Pages (frames) of that file; the pixels are the first one's."""


def find_images(folder: Path) -> list[Path]:
    """Every image file below a folder, by suffix, sorted by its path relative to the folder.

    Hidden files and folders (``.name``) are passed over.

    Raises:
        UserError: The folder is missing, is not a folder or cannot be listed.
    """
    if not folder.exists():
        raise UserError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise UserError(f"{folder}: not a folder")
    found: list[tuple[str, Path]] = []

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: cannot be listed: {error.strerror}") from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent, name) for name in files if not name.startswith(".")):
            if path.suffix.lower() in SUFFIXES:
                found.append((path.relative_to(folder).as_posix(), path))
    return [path for _, path in sorted(found)]


def read(path: Path, *, max_megapixels: float = 200.0) -> Picture:
    """Read a PNG, JPEG, TIFF or WebP file, told by its content, not its name.

    The EXIF orientation is applied, and its tag dropped. Palettes become RGB and 1-bit images 8-bit grey; CMYK and Lab
    are converted to sRGB (through the embedded profile, if any); everything else keeps its values and its profile. Of
    several pages the first is read. A damaged file is an error, never a half-grey image.

    Args:
        path: The file.
        max_megapixels: Refuse larger images, before any pixel is decoded.

    Raises:
        ImageError: The file is missing, empty, damaged, too large, or not an image that can be kept in 8 or 16 bits.
    """
    with _open(path) as (name, image):
        _check_size(image, path, max_megapixels)
        pages, orientation = _get(image, "n-pages", 1), _orientation(image)
        metadata = _metadata(image, path, name)
        if name == "webp":
            _refuse_in_fork("reading WebP")
        image, alpha = _plain(image, path)
        bits = 16 if image.format == "ushort" else 8
        samples = exif.turn(_fetch(image if alpha is None else image.bandjoin(alpha)), orientation)
    channels = torch.from_numpy(np.ascontiguousarray(samples.transpose(2, 0, 1)))  # (C [+ 1], H, W)
    return Picture(
        pixels=channels[: image.bands].to(torch.float32) / (2**bits - 1),
        alpha=None if alpha is None else channels[image.bands :].clone(),
        bits=bits,
        icc=_get(image, "icc-profile-data", None),
        metadata=metadata,
        resolution=(image.xres, image.yres),
        format=name,
        pages=pages,
    )


def read_size(path: Path) -> tuple[int, int]:
    """Height and width of an upright image, from the header alone.

    Raises:
        ImageError: The file is missing, empty or not an image.
    """
    with _open(path) as (_, image):
        height, width = image.height, image.width
        return (height, width) if _orientation(image) < 5 else (width, height)


def write(picture: Picture, path: Path) -> None:
    """Write a picture in the format its suffix names; the file appears whole or not at all.

    PNG and TIFF (deflate) are lossless and keep 8 or 16 bits. WebP is lossless at 8 bits and has no grey, so that grey
    is written as three equal channels. JPEG is 8 bits at quality 95 without chroma subsampling and has no alpha: the
    picture is laid over white.

    Raises:
        ImageError: Another suffix; a folder that is missing or read-only; a full disk; pixels that are not numbers.
    """
    _refuse_in_fork("writing")
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        raise ImageError(f"{path}: cannot write '{path.suffix}' files; expected one of {', '.join(sorted(SUFFIXES))}")
    try:
        image = _to_vips(picture, bits=picture.bits if name in ("png", "tiff") else 8, flatten=name == "jpeg")
        encoded = image.write_to_buffer(f".{name}", **_SAVING[name])
        if name == "tiff" and isinstance(block := picture.metadata.get("exif-data"), bytes):
            encoded = exif.into_tiff(encoded, block)
        with atomic(path) as file:
            file.write(encoded)
    except UserError as error:
        raise ImageError(f"{path}: {error}") from error
    except pyvips.Error as error:
        raise ImageError(f"{path}: cannot be written as {name}: {_reason(error)}") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be written: {error.strerror or error}") from error


def to_uint8(pixels: Tensor) -> Tensor:
    """[0, 1] -> {0, ..., 255}, any shape: clamped, then rounded (halves upwards).

    >>> to_uint8(torch.tensor([-1.0, 0.0, 0.5, 1.0, 7.0])).tolist()
    [0, 0, 128, 255, 255]

    Raises:
        UserError: A value is not a number (NaN); infinities are clamped.
    """
    return _quantise(pixels, 255).to(torch.uint8)


def to_uint16(pixels: Tensor) -> Tensor:
    """[0, 1] -> {0, ..., 65535}, as :func:`to_uint8`."""
    return _quantise(pixels, 65535).to(torch.uint16)


def from_uint8(samples: Tensor) -> Tensor:
    """{0, ..., 255} -> float32 in [0, 1], any shape: the inverse of :func:`to_uint8`.

    >>> from_uint8(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist()
    [0.0, 0.20000000298023224, 1.0]
    """
    return samples.to(torch.float32) / 255


def jpeg(pixels: Tensor, quality: int) -> Tensor:
    """What JPEG leaves of an image, with 4:2:0 chroma subsampling as cameras use.

    Args:
        pixels: (C, H, W) in [0, 1], C = 1 or 3.
        quality: From 1 (worst) to 100.

    Returns:
        (C, H, W) float32 in [0, 1], on the CPU.
    """
    samples = to_uint8(pixels.detach().cpu())
    image = PIL.Image.fromarray(samples.permute(1, 2, 0).squeeze(2).numpy())
    encoded = io.BytesIO()
    # Not libvips, whose threads do not survive the fork of a data loader's workers.
    image.save(encoded, "JPEG", quality=quality, subsampling="4:2:0")
    decoded = np.array(PIL.Image.open(encoded)).reshape(*samples.shape[1:], -1)
    return from_uint8(torch.from_numpy(decoded).permute(2, 0, 1).contiguous())


def _quantise(pixels: Tensor, top: int) -> Tensor:
    if pixels.isnan().any():
        raise UserError("the pixels hold values that are not numbers (NaN)")
    return pixels.to(torch.float32).clamp(0, 1).mul(top).add_(0.5).floor_()


def _to_vips(picture: Picture, *, bits: int = 8, flatten: bool = False) -> Any:  # noqa: ANN401
    """The libvips image of a picture, with its alpha (or laid over white) and its metadata."""
    if picture.pixels.ndim != 3 or picture.pixels.shape[0] not in (1, 3):
        raise UserError(f"expected pixels of shape (1 or 3, H, W), not {tuple(picture.pixels.shape)}")
    top = 2**bits - 1
    pixels, alpha = picture.pixels.detach().cpu(), picture.alpha
    if alpha is not None and flatten:
        opacity = alpha.to(torch.float32) / (2**picture.bits - 1)
        pixels, alpha = opacity * pixels + (1 - opacity), None
    samples = to_uint16(pixels) if bits == 16 else to_uint8(pixels)
    if alpha is not None:
        opacity = alpha.to(torch.float64) * (top / (2**picture.bits - 1))
        samples = torch.cat([samples, opacity.round().to(samples.dtype)])
    grey, rgb = ("grey16", "rgb16") if bits == 16 else ("b-w", "srgb")
    image = pyvips.Image.new_from_array(samples.permute(1, 2, 0).contiguous().numpy())
    image = image.copy(
        interpretation=grey if pixels.shape[0] == 1 else rgb,
        xres=picture.resolution[0],
        yres=picture.resolution[1],
    )
    for key, value in picture.metadata.items():
        kind = pyvips.GValue.blob_type if isinstance(value, bytes) else pyvips.GValue.gstr_type
        image.set_type(kind, key, value)
    if picture.icc is not None:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", picture.icc)
    return image


@contextmanager
def _open(path: Path) -> Iterator[tuple[str, Any]]:
    """A file's format and its lazy libvips image; a failure inside the block becomes an ImageError that names it."""
    try:
        # Handed over as a descriptor, so that any file name works: libvips reads options into some.
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise ImageError(f"{path}: the file is empty")
            start = file.read(12)
            name = next((name for magic, name in _MAGIC.items() if magic.match(start)), None)
            if name is None:
                raise ImageError(f"{path}: not a PNG, JPEG, TIFF or WebP image")
            file.seek(0)
            source = pyvips.Source.new_from_descriptor(file.fileno())
            yield name, pyvips.Image.new_from_source(source, "", access="sequential", fail_on="warning")
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except pyvips.Error as error:
        raise ImageError(f"{path}: cannot be read: {_reason(error)}") from error


def _check_size(image: Any, path: Path, max_megapixels: float) -> None:  # noqa: ANN401
    megapixels = image.width * image.height / 1e6
    if megapixels > max_megapixels:
        raise ImageError(
            f"{path}: {image.width} x {image.height} are {megapixels:.1f} megapixels, more than the "
            f"{max_megapixels:g} that --max-megapixels allows"
        )


def _plain(image: Any, path: Path) -> tuple[Any, Any | None]:  # noqa: ANN401
    """Split off alpha and bring the colours to 8- or 16-bit grey or RGB."""
    alpha = None
    if image.hasalpha():
        image, alpha = image[:-1], image[-1]
    if image.format not in ("uchar", "ushort"):
        raise ImageError(f"{path}: has {image.format} samples; expected 8- or 16-bit unsigned integers")
    wide = image.format == "ushort"
    if image.interpretation == "cmyk":
        image = image.icc_transform("srgb", embedded=True, input_profile="cmyk", depth=16 if wide else 8)
    elif image.interpretation not in ("b-w", "grey16", "srgb", "rgb16", "rgb", "multiband"):
        image = image.colourspace("rgb16" if wide else "srgb")
    if image.bands not in (1, 3):
        raise ImageError(f"{path}: has {image.bands} channels; expected grey or RGB, with or without alpha")
    return image, alpha


def _fetch(image: Any) -> NDArray[Any]:  # noqa: ANN401
    """The samples of a lazy image, (H, W, bands) uint8 or uint16, decoded from top to bottom in this thread.

    Strip by strip through a region: what libvips' own thread pool would do, but the pool hangs in a forked process.
    """
    samples = np.empty((image.height, image.width, image.bands), np.uint16 if image.format == "ushort" else np.uint8)
    region = pyvips.Region.new(image)
    for top in range(0, image.height, _STRIP):
        rows = samples[top : top + _STRIP]
        rows[:] = np.frombuffer(region.fetch(0, top, image.width, len(rows)), rows.dtype).reshape(rows.shape)
    return samples


def _refuse_in_fork(what: str) -> None:
    """Fail where libvips would wait for ever: for threads that a fork has left behind in the parent process."""
    if os.getpid() != _OWNER:
        raise RuntimeError(f"{what} images needs a process that was not forked; start it with 'spawn' or 'forkserver'")


def _orientation(image: Any) -> int:  # noqa: ANN401
    """The EXIF orientation, 1 to 8; what is out of range means upright."""
    orientation = int(_get(image, "orientation", 1))
    return orientation if 1 <= orientation <= 8 else 1


def _metadata(image: Any, path: Path, name: str) -> dict[str, bytes | str]:  # noqa: ANN401
    kept: dict[str, bytes | str] = {key: image.get(key) for key in image.get_fields() if key.startswith(_CARRIED)}
    if name == "tiff":
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if found := exif.from_tiff(content):
                kept["exif-data"] = found
    if isinstance(block := kept.get("exif-data"), bytes):
        kept["exif-data"] = exif.upright(block)
    if isinstance(xmp := kept.get("xmp-data"), bytes):
        kept["xmp-data"] = re.sub(rb"(tiff:Orientation(?:=[\"']|>))[1-8]", rb"\g<1>1", xmp)
    return kept


def _get(image: Any, key: str, default: Any) -> Any:  # noqa: ANN401
    return image.get(key) if image.get_typeof(key) else default


def _reason(error: pyvips.Error) -> str:
    """The last, most telling line of a libvips message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines or "not in a known format" in lines[-1]:
        return "damaged or cut short"
    return lines[-1]
