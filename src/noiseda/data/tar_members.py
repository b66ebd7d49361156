"""The files of a tar file, with bounds on everything that its headers say."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from noiseda.errors import ImageError, UserError

LARGEST = 10**9
"""Largest image file in bytes."""

_HEADERS = 2**20  # bytes of headers that a file may have; some 1000 are usual
_NAME = 1024  # characters of a name
_FOLDERS = 10**5
_PIECE = 2**20


@dataclass(frozen=True)
class Member:
    """A file of a tar file.

    Attributes:
        name: its path, as the tar file has it.
        start: where its content begins, in bytes.
        size: of the content in bytes.
    """

    name: str
    start: int
    size: int

    @property
    def label(self) -> str:
        """The name for a message: on one line, and without what a terminal would obey."""
        return shown(self.name)

    def copy(self, file: BinaryIO, path: Path) -> None:
        """Write the content to a file of its own, piece by piece.

        Args:
            file: the tar file.
            path: the file to write.

        Raises:
            ImageError: it is too large for an image file.
            OSError: no room, no right.
        """
        if self.size > LARGEST:
            raise ImageError(
                f"{self.label}: has {self.size / 1e9:.1f} GB; an image file may have {LARGEST / 1e9:.0f} GB at most"
            )
        file.seek(self.start)
        left = self.size
        with path.open("wb") as target:
            while left and (piece := file.read(min(left, _PIECE))):
                target.write(piece)
                left -= len(piece)


class _Headers:
    """What tarfile reads headers from, which it takes whole whatever size they claim.

    Args:
        file: the tar file.

    Attributes:
        left: bytes that may still be read for this member.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.left = file, _HEADERS

    def read(self, size: int = -1) -> bytes:
        """Some bytes of a header."""
        if not 0 <= size <= self.left:
            raise tarfile.ReadError(f"a file has headers of more than {_HEADERS} bytes")
        self.left -= size
        return self._file.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        """Go to a place."""
        return self._file.seek(position, whence)

    def tell(self) -> int:
        """The place."""
        return self._file.tell()


def members(file: BinaryIO) -> Iterator[Member]:
    """The files of a tar file in order; folders are passed over. No content is read.

    Args:
        file: the tar file; its position may be moved meanwhile.

    Raises:
        UserError: what is wrong, without the file's name: it is no whole tar file, or holds what is no file, is not all
            there, or has a name that leads elsewhere.
    """
    end = file.seek(0, 2)
    file.seek(0)
    if file.read(2) == b"\x1f\x8b":
        raise UserError("is compressed (gzip); a shard is a plain tar file")
    file.seek(0)
    headers = _Headers(file)
    folders = 0
    reader: tarfile.TarFile | None = None
    while True:
        headers.left = _HEADERS
        before = -1 if reader is None else reader.offset
        try:
            # Reads the first header at once.
            reader = reader or tarfile.open(fileobj=headers, mode="r:")  # type: ignore[call-overload]  # noqa: SIM115
            found = reader.next()
            reader.members.clear()  # type: ignore[union-attr]  # it keeps all that it has seen
        except (tarfile.TarError, ValueError, ArithmeticError, LookupError, TypeError, EOFError) as error:
            raise UserError(f"not a whole tar file ({shown(str(error))})") from error
        except RecursionError as error:
            raise UserError("not a whole tar file (headers follow headers without end)") from error
        if found is None:
            return
        if reader.offset <= before:
            raise UserError("not a whole tar file (a header leads back)")
        if found.isdir():
            folders += 1
            if folders > _FOLDERS:
                raise UserError(f"holds more than {_FOLDERS} folders")
            continue
        yield _checked(found, end)


def _checked(found: tarfile.TarInfo, end: int) -> Member:
    """A member that is a file, and all there."""
    name = found.name
    if not name or len(name) > _NAME or "\0" in name:
        raise UserError(
            f"{shown(name) or 'a file'}: its name is empty, holds a NUL or is longer than {_NAME} characters"
        )
    if name.startswith("/") or ".." in name.split("/"):
        raise UserError(f"{shown(name)}: leads out of the folder")
    if found.issparse():
        raise UserError(f"{shown(name)}: is stored with holes (sparse), which no image is")
    if not found.isreg():
        raise UserError(f"{shown(name)}: is a link or a device, not a file")
    if found.size < 0 or found.offset_data + found.size > end:
        raise UserError(f"not a whole tar file ({shown(name)} is cut short)")
    return Member(name, found.offset_data, found.size)


def shown(text: str, most: int = 200) -> str:
    r"""A text of unknown origin for a message: printable, on one line, not longer than ``most`` characters.

    >>> shown("a\x1b[31m\udce9.png")
    'a\\x1b[31m\\udce9.png'
    """
    kept = text if len(text) <= most else text[:most] + "…"
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in kept)
