"""The ledger of an output folder: which output was made of what and how, so that a run that was cut off goes on.

A hidden file of JSON lines, two for each output: that it is begun; and, on the disk before the output takes its name,
what it will look like. So a kill at any moment leaves either no output of that name, or one that a line describes. A
line that was torn is passed over, and what is begun and not described is made again. The file is locked while a run
writes into the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from noiseda.errors import UserError
from noiseda.listing import OURS

NAME = f"{OURS}restored.jsonl"
_LONGEST = 1 << 17
"""Bytes: no line of ours is longer, and what is, is not read into memory at once."""


class Mark(NamedTuple):
    """What a file is known by again: its size and time of change, or its size and content."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Entry:
    """A line.

    Attributes:
        output: path of an output inside the folder.
        made: the output.
        input: path of its input inside the folder that was restored.
        place: a digest of where that lay.
        of: the input.
        way: the weights and settings that made one of the other.
    """

    output: str
    made: Mark
    input: str
    place: str
    of: Mark
    way: Mapping[str, object]


class Ledger:
    """The ledger of a folder, for one run alone; as a context it lets go of it at the end.

    Args:
        folder: where the outputs go; it need not be there.
        alone: hold it alone and write to it; without that it is only read, whoever has it.

    Raises:
        UserError: another run has it, or it cannot be read.
    """

    def __init__(self, folder: Path, *, alone: bool = True) -> None:
        self.folder, self.path, self.alone = folder, folder / NAME, alone
        self.entries: dict[str, list[Entry]] = {}
        self.pending: set[str] = set()
        self._held: int | None = None
        self._end: int | None = None
        self._made: list[Path] = []
        try:
            self._held = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe of this name does not stop us
            self._lock(self._held)
            with os.fdopen(os.dup(self._held), "rb") as file:
                self._read(file)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            self.close()
            raise UserError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        except UserError:
            self.close()
            raise

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def begin(self) -> None:
        """Make ready to write, and with it the folder.

        Raises:
            UserError: no room, no right, or another run has begun since.
        """
        self._made = [folder for folder in (self.folder, *self.folder.parents) if not folder.exists()]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.folder}: the folder cannot be made: {error.strerror or error}") from error
        try:
            self._end = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            if self._held is None:
                self._lock(self._end)
                if os.fstat(self._end).st_size:
                    raise _busy(self.folder)
            elif (size := os.fstat(self._end).st_size) and os.pread(self._end, 1, size - 1) != b"\n":
                os.write(self._end, b"\n")  # after a torn line, ours begin on one of their own
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror or error}") from error

    def begun(self, output: str) -> None:
        """Note that an output will be made.

        Raises:
            UserError: no room, no right.
        """
        try:
            self._write(json.dumps({"output": output, "begun": True}))
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror or error}") from error

    def note(self, entry: Entry) -> None:
        """Note an output, on the disk.

        Raises:
            OSError: no room, no right.
        """
        assert self._end is not None, "begun"
        self._write(json.dumps(vars(entry)))
        os.fdatasync(self._end)

    def _write(self, text: str) -> None:
        assert self._end is not None, "begun"
        line = text.encode() + b"\n"
        while line:
            line = line[os.write(self._end, line) :]

    def close(self) -> None:
        """Let go of the ledger; where nothing was written into it, nothing is left of it."""
        if self._end is not None and self._held is None and not os.fstat(self._end).st_size:
            with suppress(OSError):
                self.path.unlink()
                for folder in self._made:
                    folder.rmdir()
        for descriptor in (self._end, self._held):
            if descriptor is not None:
                os.close(descriptor)
        self._end = self._held = None

    def _lock(self, descriptor: int) -> None:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{self.path}: is not a file; remove it, or give another output")
        if not self.alone:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _busy(self.folder) from error
        except OSError:  # a disk that knows no locks
            return
        if not os.fstat(descriptor).st_nlink:  # its run has ended, and taken it away, since it was opened
            raise _busy(self.folder)

    def _read(self, file: BinaryIO) -> None:
        while line := file.readline(_LONGEST):
            found = _parsed(line)
            if isinstance(found, str):
                self.pending.add(found)
            elif found is not None:
                self.entries.setdefault(found.output, []).append(found)
                self.pending.discard(found.output)


def mark(file: BinaryIO) -> Mark:
    """The mark of a file that is open for reading."""
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    status = os.fstat(file.fileno())
    return Mark(status.st_size, status.st_mtime_ns, digest.hexdigest())


def is_same(path: Path, known: Mark, *, quick: bool = True) -> bool:
    """Whether a file is the one of a mark; False where it cannot be read.

    Args:
        path: the file.
        known: the mark.
        quick: be content with its size and time of change, where they are equal.
    """
    try:
        status = path.stat()
        if status.st_size != known.size:
            return False
        if quick and status.st_mtime_ns == known.mtime_ns:
            return True
        with path.open("rb") as file:
            return mark(file).sha256 == known.sha256
    except OSError:
        return False


def _busy(folder: Path) -> UserError:
    return UserError(f"{folder}: another noiseda restore writes there; wait until it has ended, or give another output")


def _parsed(line: bytes) -> Entry | str | None:
    """What a line notes: an output, or the name of one that is begun; None where it is torn, or none of ours."""
    try:
        tree = json.loads(line)
        output = str(tree["output"])
        if tree.get("begun") is True:
            return output
        made, of = (Mark(int(size), int(time), str(digest)) for size, time, digest in (tree["made"], tree["of"]))
        return Entry(output, made, str(tree["input"]), str(tree["place"]), of, dict(tree["way"]))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
