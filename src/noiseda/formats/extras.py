"""What an image file holds beside its samples, in no format's own wrapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from mmap import mmap
from typing import TypeAlias

from noiseda.formats import xmp
from noiseda.formats.colour import Colour
from noiseda.formats.exif import oriented, resized

Buffer: TypeAlias = "bytes | mmap"

Native: TypeAlias = tuple[str, bytes]
"""A block that only files of one format hold: what a person calls it, and its bytes, header included."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Extras:
    """Blocks as they were found; what is not there is None or empty."""

    exif: bytes | None = None
    """An EXIF block: a small TIFF file, without the ``Exif`` that some formats put before it."""

    xmp: bytes | None = None
    """An XMP packet."""

    iptc: bytes | None = None
    """IPTC records (IIM), where they do not lie in ``photoshop``."""

    photoshop: bytes | None = None
    """Photoshop's image resources (each begins with ``8BIM``), IPTC records among them."""

    icc: bytes | None = None
    """An ICC profile that the decoder does not find."""

    colour: Colour | None = None
    """What the file says of its colours without an ICC profile."""

    native: tuple[Native, ...] = ()
    """Blocks that only a file of the same format can hold."""

    resolution: tuple[float, float] | None = None
    """Horizontal and vertical resolution in pixels per millimetre."""

    orientation: int = 1
    """How the samples must be turned to be upright: EXIF's values, 1 to 8."""

    left_out: tuple[str, ...] = ()
    """What is not kept in any format, and why: plain sentences."""

    def upright(self) -> Extras:
        """The same for an image that was turned as it asks: every block then says that it is upright."""
        sideways = self.orientation >= 5
        exif = self.exif and oriented(self.exif, sideways=sideways)
        if self.orientation == 1:
            return replace(self, exif=exif)
        return replace(
            self,
            orientation=1,
            exif=exif,
            xmp=self.xmp and xmp.upright(self.xmp),
            resolution=self.resolution and (self.resolution[::-1] if sideways else self.resolution),
            native=tuple(block for block in self.native if not (sideways and block[0] == DENSITY)),
        )

    def resized(self, height: int, width: int) -> Extras:
        """The same for an image of another size: every block that states its size states this one."""
        return replace(
            self,
            exif=self.exif and resized(self.exif, height, width),
            xmp=self.xmp and xmp.resized(self.xmp, height, width),
        )


DENSITY = "resolution"
"""The name of the native block that holds the resolution."""


def mentioned(kinds: Iterable[str]) -> str:
    """Kinds of blocks in words, each once.

    >>> mentioned(["comment", "text", "comment"])
    'comment and text'
    """
    *first, last = dict.fromkeys(kinds)
    return f"{', '.join(first)} and {last}" if first else last


class Spliced:
    """A file whose beginning is made anew while it is written.

    Args:
        write: The file's own.
        rewrite: The beginning -> what stands there instead, or None where more of it must be seen first.
    """

    def __init__(self, write: Callable[[bytes], object], rewrite: Callable[[bytes], bytes | None]) -> None:
        self._write, self._rewrite = write, rewrite
        self._waiting: bytes | None = b""

    def write(self, data: bytes) -> int:
        """Write the next bytes; their number."""
        if self._waiting is None:
            self._write(data)
        else:
            self._waiting += data
            if (made := self._rewrite(self._waiting)) is not None:
                self._waiting = None
                self._write(made)
        return len(data)
