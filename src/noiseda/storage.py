"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["atomic", "spelt"]

PARTIAL = re.compile(r"\.[0-9a-f]{32}\.part")
"""What files are called while they are written; a kill leaves them so."""


def spelt(text: str) -> bytes:
    r"""A text as UTF-8; the bytes of a name that are none become escapes, so that the file stays one of text.

    >>> spelt("caf\udce9.png")
    b'caf\\xe9.png'
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").encode()
    except UnicodeEncodeError:  # half a character, which no file system gave
        return text.encode("utf-8", "backslashreplace")


@contextmanager
def utf8_named(path: Path) -> Iterator[Path]:
    """A path to a file by which libraries find it that know UTF-8 alone: its own, or that of a link to it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / f"file{path.suffix if path.suffix.isascii() else ''}"
            link.symlink_to(path.absolute())
            yield link
    else:
        yield path


def put(path: Path, content: bytes) -> None:
    """Write a whole file, as :func:`atomic` does, into a folder that is made where it is missing.

    Raises:
        OSError: as :func:`atomic`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as file:
        file.write(content)


@contextmanager
def atomic(path: Path, *, sealed: Callable[[BinaryIO], object] | None = None) -> Iterator[BinaryIO]:
    """A binary file that takes its name only when it is complete and on the disk; on any failure nothing is left.

    What was written can be read again before it is complete.

    Args:
        path: The file.
        sealed: Called once the content is on the disk and will not change any more, before it takes its name.

    Raises:
        OSError: no room, no right; what stood at ``path`` before is kept.
    """
    partial = path.parent / f".{uuid.uuid4().hex}.part"  # hidden: never taken for an image; short: any name fits
    try:
        with partial.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if sealed is not None:
                sealed(file)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
