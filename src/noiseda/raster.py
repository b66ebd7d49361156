"""Image file <-> the integers it holds: all that talks to libvips, and as little memory as that can take.

A file is decoded strip by strip into one array, upright from the start, and encoded straight into the new file, so that
a photograph of 100 megapixels stays near the 300 MB of its samples (600 MB at 16 bits).
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import pyvips
from numpy.typing import NDArray

from noiseda import colour_models, formats
from noiseda.colour_models import VipsImage
from noiseda.decoding import Opened, decode, reason_of
from noiseda.errors import ImageError
from noiseda.formats import exif, icc, jpeg, png, tiff, webp
from noiseda.formats.extras import Extras, Spliced
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

_OWNER = os.getpid()


@dataclass(frozen=True, eq=False, kw_only=True)
class Carried:
    """What an image file holds beside its samples, and gets back when it is written."""

    icc: bytes | None = None
    """The ICC profile, byte for byte; the pixels are in its space, not converted."""

    extras: Extras = field(default_factory=Extras)
    """EXIF, XMP, IPTC and the like, byte for byte, but upright and without thumbnail."""

    format: str = "png"
    """Format of the file it came from: png, jpeg, tiff or webp."""

    page: int = 0
    """Which page (frame) of that file the pixels are, from 0."""

    pages: int = 1
    """Pages (frames) of that file."""

    notes: tuple[str, ...] = ()
    """What is odd about that file, in sentences without its name."""

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
    """Read a PNG, JPEG, TIFF or WebP file, detected by its content, not its name.

    The EXIF orientation is applied, and its tag dropped. Palettes become RGB and 1-bit images 8-bit grey; CMYK and Lab
    are converted to sRGB (through the embedded profile, if any); everything else keeps its values and its profile. Of
    several pages the first is read, or the full one where that is a thumbnail. A file that has all its pixels is read,
    however odd its headers are; one that lacks some is an error, never a half-grey image.

    Args:
        path: The file.
        max_megapixels: Refuse larger images, before any pixel is decoded.
        tick: Called before each strip is decoded.

    Raises:
        ImageError: The file is missing, empty, damaged, too large, or not an image that can be kept in 8 or 16 bits.
    """

    def work(opened: Opened) -> Raster:
        return _read(opened, path, max_megapixels, tick)

    found, notes = decode(path, work)
    return replace(found, notes=tuple(dict.fromkeys((*notes, *found.notes))))


def _read(opened: Opened, path: Path, max_megapixels: float, tick: Tick | None) -> Raster:
    _check_size(opened.image, path, max_megapixels)
    extras = formats.read(opened.content, opened.format, opened.place)
    if opened.format == "webp":
        refuse_in_fork("reading WebP")
    meaning = tiff.photometric(opened.content, opened.place) if opened.format == "tiff" else None
    image, alpha = colour_models.plain(opened.image, meaning, path)
    samples = _fetch(image if alpha is None else image.bandjoin(alpha), extras.orientation, tick)
    profile = _get(image, "icc-profile-data", extras.icc)
    damaged = profile is not None and not icc.usable(profile)
    return Raster(
        samples,
        icc=None if damaged else profile,
        extras=extras.upright(),
        notes=(*extras.left_out, *(["its ICC profile is damaged or incomplete and was left out"] if damaged else [])),
        format=opened.format,
        page=opened.page,
        pages=opened.pages,
    )


def read_size(path: Path) -> tuple[int, int]:
    """Height and width of the upright image that :func:`read` would read, from the headers alone.

    Raises:
        ImageError: The file is missing, empty or not an image.
    """

    def work(opened: Opened) -> tuple[int, int]:
        height, width = opened.image.height, opened.image.width
        upright = formats.orientation(opened.content, opened.format, opened.place) < 5
        return (height, width) if upright else (width, height)

    return decode(path, work, whole=False)[0]


def read_bits(path: Path) -> int:
    """Bits a sample of the image in a file, 8 or 16, from the header alone.

    Raises:
        ImageError: The file is missing, empty or not an image.
    """
    return decode(path, lambda opened: 16 if opened.image.format == "ushort" else 8, whole=False)[0]


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
) -> list[str]:
    """Write samples that the format can hold, in the format the suffix names; the file appears whole or not at all.

    PNG and TIFF (deflate) hold 8 or 16 bits, with or without alpha, JPEG (quality 95, no chroma subsampling) 8 bits
    without, WebP (lossless) 8 bits; it has no grey, so that grey becomes three equal channels.

    Args:
        raster: What to write.
        path: The file.
        tick: Called before each piece of the file is written, and before the file takes its name.
        sealed: See :func:`noiseda.storage.atomic`.

    Returns:
        What of the old file the new one cannot hold, in plain sentences without its name.

    Raises:
        ImageError: Another suffix; a folder that is missing or read-only; a full disk; sides the format cannot have.
    """
    refuse_in_fork("writing")
    name = format_of(path)
    saving = dict(_SAVING[name])
    if name == "jpeg" and raster.pixels > _OPTIMISED:
        saving["optimize_coding"] = False
    try:
        extras, lost = formats.fitted(raster.extras, raster.format, name)
        image, more = colour_models.encodable(raster.samples, raster.icc, extras.colour, name)
        with atomic(path, sealed=sealed) as file:
            lost += more + _encode(image, file, name, extras, saving, tick)
            if tick is not None:
                tick()
    except pyvips.Error as error:
        raise ImageError(f"{path}: cannot be written as {name}: {reason_of(error)}") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be written: {error.strerror or error}") from error
    return lost


def _encode(
    image: VipsImage,
    file: BinaryIO,
    name: str,
    extras: Extras,
    saving: Mapping[str, object],
    tick: Tick | None,
) -> list[str]:
    """Write a libvips image with its profile, and all else that is carried, in the format's container; what is lost."""
    inside = io.BytesIO()
    sinks: Mapping[str, Any] = {
        "png": lambda: Spliced(file.write, lambda head: png.put(head, extras)),
        "jpeg": lambda: Spliced(file.write, lambda head: jpeg.put(head, extras)),
        "webp": lambda: inside,
        "tiff": lambda: file,
    }
    with _target(sinks[name](), tick) as target:
        image.write_to_target(target, f".{name}", keep="icc", **saving)
    if name == "webp":
        file.write(webp.put(inside.getvalue(), extras))
    if name == "tiff" and not tiff.put(file, extras):
        return ["all but the profile cannot be kept in a TIFF of 4 GB"]
    return []


@contextmanager
def _target(file: Any, tick: Tick | None) -> Iterator[Any]:  # noqa: ANN401
    """A libvips target that writes to a file or the like; what went wrong there (a full disk) is raised as it was."""
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

    def news(_: object) -> bool:
        return not failures  # what libvips warns of then, in threads of its own, is what came of them

    target = pyvips.TargetCustom()
    target.on_write(guarded(file.write))
    if not isinstance(file, Spliced):
        target.on_seek(guarded(file.seek))
        target.on_read(guarded(file.read, None))
    pyvips.logger.addFilter(news)
    try:
        yield target
    except pyvips.Error:
        if failures:
            raise failures[0] from None
        raise
    finally:
        pyvips.logger.removeFilter(news)


def _check_size(image: VipsImage, path: Path, max_megapixels: float) -> None:
    megapixels = image.width * image.height / 1e6
    if megapixels > max_megapixels:
        raise ImageError(
            f"{path}: {image.width} x {image.height} are {megapixels:.1f} megapixels, more than the "
            f"{max_megapixels:g} that --max-megapixels allows"
        )


def _fetch(image: VipsImage, orientation: int, tick: Tick | None) -> NDArray[Any]:
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


def _get(image: VipsImage, key: str, default: Any) -> Any:  # noqa: ANN401
    return image.get(key) if image.get_typeof(key) else default
