"""A file put together from parts of another one and bytes of our own: how an odd header is mended without a copy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import accumulate
from typing import BinaryIO, TypeAlias

Piece: TypeAlias = "bytes | tuple[int, int]"
"""Bytes, or where some of them lie in the other file: (start, stop)."""


class Pieces:
    """The bytes of some pieces one after the other, to be read and sought in like a file.

    Args:
        file: Where the pieces lie that are given by their place.
        pieces: What the file is made of.
    """

    def __init__(self, file: BinaryIO, pieces: Sequence[Piece]) -> None:
        self._file = file
        self._pieces = [piece for piece in pieces if _length(piece)]
        self._ends = list(accumulate(map(_length, self._pieces)))
        self._at = 0

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def read(self, length: int) -> bytes:
        """At most that many bytes: fewer at the end of a piece, none at the end of the file."""
        index = next((index for index, end in enumerate(self._ends) if self._at < end), None)
        if index is None:
            return b""
        piece = self._pieces[index]
        start = self._at - (self._ends[index] - _length(piece))
        if isinstance(piece, bytes):
            found = piece[start : start + length]
        else:
            # By its descriptor, whose position others move: a buffered file would answer from what it read before.
            found = os.pread(self._file.fileno(), min(length, piece[1] - piece[0] - start), piece[0] + start)
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place, counted from the start (0), from here (1) or from the end (2)."""
        self._at = (0, self._at, len(self))[whence] + offset
        return self._at


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
