"""Opening image files with libvips, and judging what its decoders say: what has all its pixels is read, and no more.

Decoders are strict at first. A file that they complain of gets its harmless oddities mended, and is read once more:
what they complain of then is damage.
"""

from __future__ import annotations

import os
import re
import struct
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

import pyvips

from noiseda import codecs
from noiseda.colour_models import VipsImage
from noiseda.errors import ImageError
from noiseda.formats import complaints, jpeg_scans, jpeg_zeros, png, tiff, tiff_mend, tiff_pages, tiff_samples, webp
from noiseda.formats.pieces import Piece, Pieces

T = TypeVar("T")
VipsSource: TypeAlias = Any
"""What libvips reads from; it ships no types."""

_MAGIC = {
    re.compile(rb"\x89PNG\r\n\x1a\n"): "png",
    re.compile(rb"\xff\xd8\xff"): "jpeg",
    re.compile(rb"II[*+]\0|MM\0[*+]"): "tiff",
    re.compile(rb"RIFF....WEBP", re.DOTALL): "webp",
}
"""How files of each format begin; nothing else reaches libvips, which would read SVG, PDF or matrices in text, too."""

_LOADERS = {name: f"{name}load_source" for name in ("png", "jpeg", "tiff", "webp")}
"""Named, since libvips takes another one for JPEGs with a gain map, which hides that their data is cut short."""

_FOLLOWS = re.compile(r"error in tile|^read gave \d+ warnings")
"""Messages that only follow from another."""


_FILLED = "a part of its data is lost and filled with zero bytes"
_BEFORE_END = "zero bytes before its end marker are passed over"
_ROWS = 64

_GENERAL = re.compile(r"unable to |not in a known format|do not match between|read error$")
_SPEAKER = re.compile(r"^(?:\w*[vV]ips\w*|webp): ")
"""Messages that only say that it went wrong, and how others begin."""


@dataclass(frozen=True)
class Opened:
    """A file as libvips has opened it."""

    format: str
    """png, jpeg, tiff or webp."""

    image: VipsImage
    """The lazy image of the photograph."""

    page: int = 0
    """Which page it is, from 0."""

    pages: int = 1
    """Pages (frames) of the file."""

    place: int = 0
    """In a TIFF file, where the directory of the photograph lies; 0 where it is not known."""

    content: mmap | bytes = b""
    """All bytes of the file."""


class _Damaged(Exception):  # noqa: N818 (not an error yet: the file may be read in another way)
    """What a decoder said of a file that cannot be read so.

    Args:
        reason: The most telling line.
        warnings: What it warned of.
    """

    def __init__(self, reason: str, warnings: list[str]) -> None:
        super().__init__(reason)
        self.reason, self.warnings = reason, warnings


def decode(path: Path, work: Callable[[Opened], T], *, whole: bool = True) -> tuple[T, tuple[str, ...]]:
    """Open an image file and have something done with it.

    Args:
        path: The file.
        work: What is done; it may be called again, on a file that has been mended meanwhile. It keeps nothing of
            libvips.
        whole: Whether it decodes all pixels; else they are not missed where they are missing.

    Returns:
        What the work returns, and what is odd about the file, in sentences without its name.

    Raises:
        ImageError: The file is missing, empty or damaged, or no image.
    """
    try:
        with path.open("rb") as file:
            name = _format(file, path)
            with mmap(file.fileno(), 0, access=ACCESS_READ) as content:

                def informed(opened: Opened) -> T:
                    return work(replace(opened, content=content))

                return {"jpeg": _jpeg, "tiff": _tiff, "png": _png, "webp": _webp}[name](file, content, informed, whole)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except _Damaged as error:
        said = "\n".join([error.reason, *error.warnings, str(error.__cause__)])
        reason = codecs.lacking(path, said) or f"cannot be read: {error.reason}"
        raise ImageError(f"{path}: {reason}") from error.__cause__


def _format(file: BinaryIO, path: Path) -> str:
    if os.fstat(file.fileno()).st_size == 0:
        raise ImageError(f"{path}: the file is empty")
    start = file.read(codecs.START)
    name = next((name for magic, name in _MAGIC.items() if magic.match(start)), None)
    if name is None:
        kind = codecs.kind_of(start)
        but = f", but {kind}; convert it to TIFF or PNG" if kind else ""
        raise ImageError(f"{path}: not a PNG, JPEG, TIFF or WebP image{but}")
    return name


def _jpeg(file: BinaryIO, content: mmap, work: Callable[[Opened], T], whole: bool) -> tuple[T, tuple[str, ...]]:
    found = jpeg_scans.walk(content, briefly=True) if whole else None
    if found is not None and (lost := jpeg_scans.missing(found)):
        raise _Damaged(lost, [])
    zeros = jpeg_zeros.look(content, found) if found is not None else None
    result, odd = _jpeg_with_zeros(file, content, work, zeros) if zeros else _whole_jpeg(file, content, work)
    return result, (*odd, *(jpeg_scans.others(found, content) if found is not None else ()))


def _whole_jpeg(file: BinaryIO, content: mmap, work: Callable[[Opened], T]) -> tuple[T, list[str]]:
    """Read a JPEG as it is, or else as it is mended."""
    odd: list[str] = []
    try:
        result, heard = _try("jpeg", _source(file), work)
    except _Damaged:
        mended = jpeg_scans.mend(jpeg_scans.walk(content))
        if mended is None:
            raise
        pieces, odd = mended
        result, heard = _try("jpeg", _source(file, pieces), work)
    return result, [*odd, *map(complaints.of_any, heard)]


def _jpeg_with_zeros(
    file: BinaryIO, content: mmap, work: Callable[[Opened], T], zeros: jpeg_zeros.Zeros
) -> tuple[T, list[str]]:
    """Read a JPEG that has long runs of zero bytes in its data, unless its pixels are made of them."""
    if zeros.tail is not None:
        mended = jpeg_scans.mend(zeros.shortened(), always=True)
        try:
            if mended is not None:
                result, heard = _try("jpeg", _source(file, mended[0]), work)
                return result, [*(mended[1] or [_BEFORE_END]), *map(complaints.of_any, heard)]
        except _Damaged:
            pass  # the zeros are part of the data, or stand for them
        if zeros.jpeg.end is None:
            raise _Damaged(_FILLED, [])
    if zeros.certain:
        raise _Damaged(_FILLED, [])
    found = _whole_jpeg(file, content, work)
    taller = zeros.taller()
    mended = jpeg_scans.mend(taller, always=True) if taller is not None else None
    if mended is not None:
        try:
            _try("jpeg", _source(file, mended[0]), _decode_all, shrink=8)
        except _Damaged:
            return found  # the data end with the picture
        raise _Damaged(_FILLED, [])
    return found


def _decode_all(opened: Opened) -> None:
    """Decode all rows, for what the decoder says."""
    region = pyvips.Region.new(opened.image)
    for top in range(0, opened.image.height, _ROWS):
        region.fetch(0, top, opened.image.width, min(_ROWS, opened.image.height - top))


def _tiff(file: BinaryIO, content: mmap, work: Callable[[Opened], T], whole: bool) -> tuple[T, tuple[str, ...]]:
    choice = tiff_pages.choose(content)
    if choice.refusal is not None:
        raise _Damaged(choice.refusal, [])
    try:
        result, odd = _page(file, content, work, choice)
    except _Damaged as error:
        reason = tiff_samples.refusal(content, choice.place)
        if reason is None:
            raise
        raise _Damaged(reason, [error.reason, *error.warnings]) from error.__cause__
    return result, (*odd, *((choice.note,) if choice.note is not None else ()))


def _page(file: BinaryIO, content: mmap, work: Callable[[Opened], T], choice: tiff_pages.Choice) -> tuple[T, list[str]]:
    """Read a page of a TIFF as it is, or else as it is mended."""
    try:
        loading = {"page": choice.page, "subifd": choice.subifd}
        source = _source(file, _as_stored(content, choice.place))
        return _try("tiff", source, work, choice=choice, strict=True, **loading)[0], []
    except _Damaged as first:
        mended = tiff_mend.mend(content, choice.place) if choice.place else first.reason
        if isinstance(mended, str):
            raise _Damaged(mended, first.warnings) from first.__cause__
        pieces, odd = mended
        try:
            result, _ = _try("tiff", _source(file, pieces), work, choice=choice, strict=True)
        except _Damaged:
            raise first from first.__cause__
        odd += filter(None, dict.fromkeys(map(complaints.of_tiff, first.warnings)))
        return result, odd or ["its directory has odd entries, which are passed over"]


def _as_stored(content: mmap, place: int) -> list[Piece] | None:
    """A picture in Lab under the name of RGB: libvips gives its samples as they stand, where it would misread them."""
    meaning = tiff.photometric(content, place)
    if meaning is None or meaning.kind not in tiff.LAB:
        return None
    return [(0, meaning.place), struct.pack(f"{meaning.order}H", 2), (meaning.place + 2, len(content))]


def _png(file: BinaryIO, content: mmap, work: Callable[[Opened], T], whole: bool) -> tuple[T, tuple[str, ...]]:
    result, heard = _try("png", _source(file), work)
    odd = list(map(complaints.of_png, heard))
    if None in odd:
        raise _Damaged("its transparency is damaged", heard)
    if not png.has_end(content):
        odd.append("its end is missing, but all of its pixels are there")
    return result, tuple(sentence for sentence in odd if sentence is not None)


def _webp(file: BinaryIO, content: mmap, work: Callable[[Opened], T], whole: bool) -> tuple[T, tuple[str, ...]]:
    odd: list[str] = []
    frames = 1

    def count(opened: Opened) -> T:
        nonlocal frames
        frames = opened.pages
        return work(opened)

    try:
        result, heard = _try("webp", _source(file), count)
    except _Damaged:
        mended = webp.mend(content)
        if mended is None:
            raise
        pieces, odd = mended
        result, heard = _try("webp", _source(file, pieces), count)
    pages = [f"the first of {frames} pages is read"] if frames > 1 else []
    return result, (*odd, *map(complaints.of_any, heard), *pages)


def _source(file: BinaryIO, pieces: list[Piece] | None = None) -> VipsSource:
    """What libvips reads from: the file as it is, or as it is mended.

    It is handed over as a descriptor, so that any file name works: libvips reads options into some.
    """
    file.seek(0)
    if pieces is None:
        return pyvips.Source.new_from_descriptor(file.fileno())
    content = Pieces(file, pieces)
    source = pyvips.SourceCustom()
    source.on_read(content.read)
    source.on_seek(content.seek)
    return source


def _try(
    name: str,
    source: VipsSource,
    work: Callable[[Opened], T],
    *,
    choice: tiff_pages.Choice | None = None,
    strict: bool = False,
    **loading: object,
) -> tuple[T, list[str]]:
    """Open a source, work on it and close it.

    Args:
        name: The format.
        source: What is read.
        work: What is done.
        choice: Which page it is of how many, if libvips does not say.
        strict: Whether any warning is a failure.
        **loading: What the loader is given.

    Returns:
        What the work returns, and what was warned of.

    Raises:
        _Damaged: libvips failed.
    """
    with _listening() as heard:
        try:
            result = work(_open(name, source, choice, {"fail_on": "warning", **loading}))
        except BaseException as error:
            # Its frames hold the image, which would be closed, and say more, when nobody listens any longer.
            traceback.clear_frames(error.__traceback__)
            if isinstance(error, pyvips.Error):
                raise _Damaged(reason_of(error, heard), _telling(heard)) from error
            raise
    # Of the last rows of a JPEG, damage is reported when the image is closed.
    telling = _telling(heard)
    if telling and (strict or any(_FOLLOWS.search(message) for message in heard)):
        raise _Damaged(telling[-1], telling)
    return result, telling


def _open(name: str, source: VipsSource, choice: tiff_pages.Choice | None, loading: dict[str, object]) -> Opened:
    image = getattr(pyvips.Image, _LOADERS[name])(source, access="sequential", **loading)
    if choice is not None:
        return Opened(name, image, choice.page, choice.pages, choice.place)
    return Opened(name, image, pages=image.get("n-pages") if image.get_typeof("n-pages") else 1)


class _Ears(threading.local):
    heard: list[str] | None = None


_EARS = _Ears()
_LOGGER = pyvips.logger
_log = _LOGGER.log


def _hear(level: int, message: str, *arguments: object, **options: object) -> None:
    """Take what libvips says while a file is read in this thread; else it goes where it would have gone."""
    if _EARS.heard is None:
        if not _FOLLOWS.search(message.removeprefix("VIPS: ")):  # as libvips' own threads say, and only they
            _log(level, message, *arguments, **options)
    elif level >= 30:
        _EARS.heard.append(message.removeprefix("VIPS: ").strip())


# In place of a handler: what a program has set for its logging must not decide whether damage is noticed.
_LOGGER.log = _hear


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect what libvips warns of in this thread, which then says none of it."""
    before, heard = _EARS.heard, list[str]()
    _EARS.heard = heard
    try:
        yield heard
    finally:
        _EARS.heard = before


def _telling(heard: Sequence[str]) -> list[str]:
    """Each message once, without those that follow from others."""
    lines = (line.strip() for message in heard if not _FOLLOWS.search(message) for line in message.splitlines())
    return list(dict.fromkeys(line.removeprefix("VipsJpeg: ") for line in lines if line))


def reason_of(error: pyvips.Error, heard: Sequence[str] = ()) -> str:
    """The last, most telling line of a libvips message, or of what it warned of."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines or _GENERAL.search(lines[-1]):
        lines = [message for message in _telling(heard)[-1:] if not _GENERAL.search(message)]
    return _SPEAKER.sub("", lines[-1]) if lines else "damaged or cut short"
