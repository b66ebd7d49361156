"""Image file <-> the integers it holds: all that talks to libvips, and as little memory as that can take.

A file is decoded strip by strip into one array, upright from the start, and encoded straight into the new file, so that
a photograph of 100 megapixels stays near the 300 MB of its samples (600 MB at 16 bits).
"""

from __future__ import annotations

import logging
import mmap
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import pyvips
from numpy.typing import NDArray

from noiseda import codecs, exif
from noiseda.errors import ImageError
from noiseda.storage import atomic

Tick: TypeAlias = Callable[[], object]
"""Called now and then during long work, which ends with what it raises."""

FORMATS: Mapping[str, str] = {
    ".png": "png",
    ".apng": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".jif": "jpeg",
    ".pjpeg": "jpeg",
    ".pjp": "jpeg",
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
_OPTIMISED = 16_000_000
"""JPEGs of more pixels get the standard Huffman tables: to find better ones, for files 3 % shorter, takes 11 bytes a
pixel and four times as long."""

# Otherwise a file that was overwritten may be answered from memory, and decoded images stay there.
pyvips.cache_set_max(0)

_LOGGER = logging.getLogger("pyvips")
_OWNER = os.getpid()


@dataclass(frozen=True, eq=False, kw_only=True)
class Carried:
    """What an image file holds beside its samples, and gets back when it is written."""

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

    def carried(self) -> dict[str, Any]:
        """These fields by name, for another image that takes them over."""
        return {item.name: getattr(self, item.name) for item in fields(Carried)}


@dataclass(frozen=True, eq=False)
class Raster(Carried):
    """An image as its file has it: integers.

    >>> Raster(np.zeros((4, 5, 2), np.uint16)).channels
    1
    """

    samples: NDArray[Any]
    """(H, W, C) or, with alpha, (H, W, C + 1), uint8 or uint16; C = 1 (grey) or 3 (RGB); upright."""

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (RGB), alpha not counted."""
        return 1 if self.samples.shape[2] < 3 else 3

    @property
    def bits(self) -> int:
        """Bits a sample: 8 or 16."""
        return 8 * int(self.samples.itemsize)

    @property
    def pixels(self) -> int:
        """Height times width."""
        return int(self.samples.shape[0] * self.samples.shape[1])


def read(path: Path, *, max_megapixels: float = 200.0, tick: Tick | None = None) -> Raster:
    """Read a PNG, JPEG, TIFF or WebP file, told by its content, not its name.

    The EXIF orientation is applied, and its tag dropped. Palettes become RGB and 1-bit images 8-bit grey; CMYK and Lab
    are converted to sRGB (through the embedded profile, if any); everything else keeps its values and its profile. Of
    several pages the first is read. A damaged file is an error, never a half-grey image.

    Args:
        path: The file.
        max_megapixels: Refuse larger images, before any pixel is decoded.
        tick: Called before each strip is decoded.

    Raises:
        ImageError: The file is missing, empty, damaged, too large, or not an image that can be kept in 8 or 16 bits.
    """
    with _open(path) as (name, image):
        _check_size(image, path, max_megapixels)
        pages, orientation = max(_get(image, "n-pages", 1), codecs.frames(path)), _orientation(image)
        metadata = _metadata(image, path, name)
        if name == "webp":
            refuse_in_fork("reading WebP")
        image, alpha = _plain(image, path)
        samples = _fetch(image if alpha is None else image.bandjoin(alpha), orientation, tick)
    return Raster(
        samples,
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


def format_of(path: Path) -> str:
    """The format that a file's suffix names: png, jpeg, tiff or webp.

    Raises:
        ImageError: Another suffix.
    """
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        raise ImageError(f"{path}: cannot write '{path.suffix}' files; expected one of {', '.join(sorted(SUFFIXES))}")
    return name


def write(
    raster: Raster, path: Path, *, tick: Tick | None = None, sealed: Callable[[BinaryIO], object] | None = None
) -> None:
    """Write samples that the format can hold, in the format the suffix names; the file appears whole or not at all.

    PNG and TIFF (deflate) hold 8 or 16 bits, with or without alpha, JPEG (quality 95, no chroma subsampling) 8 bits
    without, WebP (lossless) 8 bits; it has no grey, so that grey becomes three equal channels.

    Args:
        raster: What to write.
        path: The file.
        tick: Called before each piece of the file is written, and before the file takes its name.
        sealed: See :func:`noiseda.storage.atomic`.

    Raises:
        ImageError: Another suffix; a folder that is missing or read-only; a full disk; sides the format cannot have.
    """
    refuse_in_fork("writing")
    name = format_of(path)
    saving = dict(_SAVING[name])
    if name == "jpeg" and raster.pixels > _OPTIMISED:
        saving["optimize_coding"] = False
    try:
        with atomic(path, sealed=sealed) as file:
            with _target(file, tick) as target:
                _to_vips(raster).write_to_target(target, f".{name}", **saving)
            if name == "tiff" and isinstance(block := raster.metadata.get("exif-data"), bytes):
                exif.into_tiff(file, block)
            if tick is not None:
                tick()
    except pyvips.Error as error:
        raise ImageError(f"{path}: cannot be written as {name}: {_reason(error)}") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be written: {error.strerror or error}") from error


def _to_vips(raster: Raster) -> Any:  # noqa: ANN401
    """The libvips image of a raster, which shares its memory, with all that the raster carries."""
    grey, rgb = ("grey16", "rgb16") if raster.bits == 16 else ("b-w", "srgb")
    image = pyvips.Image.new_from_array(raster.samples).copy(
        interpretation=grey if raster.channels == 1 else rgb, xres=raster.resolution[0], yres=raster.resolution[1]
    )
    for key, value in raster.metadata.items():
        kind = pyvips.GValue.blob_type if isinstance(value, bytes) else pyvips.GValue.gstr_type
        image.set_type(kind, key, value)
    if raster.icc is not None:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", raster.icc)
    return image


@contextmanager
def _target(file: BinaryIO, tick: Tick | None) -> Iterator[Any]:
    """A libvips target that writes to an open file; what went wrong there (a full disk, say) is raised as it was."""
    failures: list[BaseException] = []

    def guarded(action: Callable[..., Any], failed: int | None = -1) -> Callable[..., Any]:
        def act(*arguments: Any) -> Any:  # noqa: ANN401
            try:
                if tick is not None:
                    tick()
                return action(*arguments)
            except BaseException as error:  # cannot pass through libvips
                failures.append(error)
                return failed

        return act

    def news(_: logging.LogRecord) -> bool:
        return not failures  # what libvips warns of then is what came of them

    target = pyvips.TargetCustom()
    target.on_write(guarded(file.write))
    target.on_seek(guarded(file.seek))
    target.on_read(guarded(file.read, None))
    _LOGGER.addFilter(news)
    try:
        yield target
    except pyvips.Error:
        if failures:
            raise failures[0] from None
        raise
    finally:
        _LOGGER.removeFilter(news)


@contextmanager
def _open(path: Path) -> Iterator[tuple[str, Any]]:
    """A file's format and its lazy libvips image; a failure inside the block becomes an ImageError that names it."""
    try:
        # Handed over as a descriptor, so that any file name works: libvips reads options into some.
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise ImageError(f"{path}: the file is empty")
            start = file.read(codecs.START)
            name = next((name for magic, name in _MAGIC.items() if magic.match(start)), None)
            if name is None:
                kind = codecs.kind_of(start)
                but = f", but {kind}; convert it to TIFF or PNG" if kind else ""
                raise ImageError(f"{path}: not a PNG, JPEG, TIFF or WebP image{but}")
            file.seek(0)
            source = pyvips.Source.new_from_descriptor(file.fileno())
            yield name, pyvips.Image.new_from_source(source, "", access="sequential", fail_on="warning")
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except pyvips.Error as error:
        raise ImageError(
            f"{path}: {codecs.lacking(path, str(error)) or f'cannot be read: {_reason(error)}'}"
        ) from error


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


def _fetch(image: Any, orientation: int, tick: Tick | None) -> NDArray[Any]:  # noqa: ANN401
    """The samples of a lazy image, (H, W, bands) uint8 or uint16, upright, decoded from top to bottom in this thread.

    Strip by strip through a region: what libvips' own thread pool would do, but the pool hangs in a forked process.
    """
    height, width = (image.height, image.width) if orientation < 5 else (image.width, image.height)
    samples = np.empty((height, width, image.bands), np.uint16 if image.format == "ushort" else np.uint8)
    stored = exif.turn_back(samples, orientation)
    region = pyvips.Region.new(image)
    for top in range(0, image.height, _STRIP):
        if tick is not None:
            tick()
        rows = stored[top : top + _STRIP]
        rows[:] = np.frombuffer(region.fetch(0, top, image.width, len(rows)), rows.dtype).reshape(rows.shape)
    return samples


def refuse_in_fork(what: str) -> None:
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
