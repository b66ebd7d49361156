"""What a browser sends -> photographs in a folder: each is looked at, zip files are unpacked, the rest is refused."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from noiseda.errors import ImageError, UserError
from noiseda.images import SUFFIXES, read_size
from noiseda.web.limits import Limits

_CHUNK = 1 << 20
_LISTED = 50_000  # entries of a zip file beyond which it is not looked through
_DEEP = 20  # folders within one another
_LONG = 200  # letters of a name


@dataclass
class Received:
    """What became of files that were sent.

    Attributes:
        images: photographs, where they lie now.
        refused: a sentence for each file that was not taken.
    """

    images: list[Path] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """What was taken, and what was not: of many, the first.

        >>> print(Received([Path("a.png")], ["notes.txt: not a photograph"]))
        1 photograph
        Not taken: notes.txt: not a photograph
        """
        count = len(self.images)
        lines = ["1 photograph" if count == 1 else f"{count} photographs"]
        lines += [f"Not taken: {reason}" for reason in self.refused[:5]]
        more = len(self.refused) - 5
        return "\n".join([*lines, *([f"… and {more} more"] if more > 0 else [])])


def receive(sent: Sequence[Path], into: Path, limits: Limits) -> Received:
    """Move what was sent into a folder, photographs alone.

    Args:
        sent: the uploaded files, which are gone afterwards.
        into: a folder, which is made.
        limits: what is taken at most.

    Returns:
        The photographs, by name, and why others were refused.
    """
    into.mkdir(parents=True, exist_ok=True)
    received, room = Received(), limits.unpacked * 1_000_000
    for path in sent:
        try:
            if zipfile.is_zipfile(path) and path.suffix.lower() not in SUFFIXES:
                room = _unpack(path, into, limits, room, received)
            elif _wanted(path.name, received) and _place_for_one(path.name, limits, received):
                _look_at(Path(shutil.move(path, free(into / path.name))), path.name, limits, received)
        except OSError as error:
            received.refused.append(f"{path.name}: {error.strerror or 'it cannot be read'}")
        finally:
            path.unlink(missing_ok=True)
    received.images.sort()
    return received


def free(path: Path) -> Path:
    """A path that is not there yet: its own, or with a number.

    >>> free(Path("nowhere/a.png")).name
    'a.png'
    """
    found, number = path, 1
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem} ({number}){path.suffix}")
    return found


def _wanted(name: str, received: Received) -> bool:
    if Path(name).suffix.lower() in SUFFIXES:
        return True
    what = "no zip file that can be opened" if name.lower().endswith(".zip") else "not a photograph that noiseda reads"
    received.refused.append(f"{name}: {what} (PNG, JPEG, TIFF, WebP, or a zip of these)")
    return False


def _place_for_one(name: str, limits: Limits, received: Received) -> bool:
    if len(received.images) < limits.files:
        return True
    received.refused.append(f"{name}: more than {limits.files} photographs at once")
    return False


def _look_at(path: Path, name: str, limits: Limits, received: Received) -> None:
    """Keep a file that is a photograph by its header, and no larger than allowed."""
    try:
        height, width = read_size(path)
        if (pixels := height * width / 1e6) > limits.megapixels:
            raise ImageError(
                f"{path}: {pixels:.0f} megapixels, more than the {limits.megapixels:g} that this page takes"
            )
    except ImageError as error:
        path.unlink()
        received.refused.append(without_folder(str(error), path, name))
    else:
        received.images.append(path)


def without_folder(text: str, path: Path, name: str | None = None) -> str:
    """A message without the folders of this machine.

    >>> without_folder("/srv/x/a.png: empty", Path("/srv/x/a.png"))
    'a.png: empty'
    """
    return text.replace(str(path), name or path.name).replace(f"{path.parent}/", "")


def _unpack(path: Path, into: Path, limits: Limits, room: int, received: Received) -> int:
    """Take the photographs out of a zip file; returns how many bytes there is still room for."""
    try:
        with zipfile.ZipFile(path) as packed:
            for entry in _entries(packed, path.name, received):
                if not _place_for_one(f"{path.name}: {entry.filename}", limits, received):
                    break
                room = _take_out(packed, entry, _inside(into, entry.filename), limits, room, received)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        received.refused.append(f"{path.name}: the zip file is damaged or of a kind that is not read ({error})")
    except UserError as error:
        received.refused.append(f"{path.name}: {error}")
    return room


def _entries(packed: zipfile.ZipFile, name: str, received: Received) -> Iterator[zipfile.ZipInfo]:
    """The photographs that a zip file lists; of its other files it is said that they are not taken."""
    listed = packed.infolist()
    if len(listed) > _LISTED:
        raise UserError(f"it lists {len(listed)} files, which is too many")
    for entry in listed:
        parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
        if entry.is_dir() or not parts or parts[0] == "__MACOSX" or parts[-1].startswith("."):
            continue
        if ".." in parts or parts[0].startswith("/") or ":" in parts[0] or len(parts) > _DEEP:
            raise UserError(f"it names a file outside of itself ({entry.filename}); nothing more of it is taken")
        if max(map(len, parts)) > _LONG:
            received.refused.append(f"{name}: a name of more than {_LONG} letters")
        elif stat.S_ISLNK(entry.external_attr >> 16) or entry.flag_bits & 1:
            received.refused.append(f"{entry.filename}: a link, or locked by a password")
        elif _wanted(entry.filename, received):
            yield entry


def _inside(into: Path, name: str) -> Path:
    path = into.joinpath(*PurePosixPath(name.replace("\\", "/")).parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return free(path)


def _take_out(
    packed: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, limits: Limits, room: int, received: Received
) -> int:
    """Write one file of a zip file, counting what comes out of it: what the zip file says of its size may be wrong."""
    most = min(room, limits.megabytes * 1_000_000)
    try:
        with packed.open(entry) as source, path.open("wb") as target:
            written = 0
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > most:
                    raise UserError(
                        f"{entry.filename} unpacks to more than {most // 1_000_000} MB; nothing more of it is taken"
                    )
                target.write(chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    _look_at(path, entry.filename, limits, received)
    return room - written


def pack(files: Iterable[Path], root: Path, into: Path) -> Path:
    """One zip file of some files; they are stored as they are, since photographs are compressed already.

    Args:
        files: what it shall hold.
        root: the folder from which on their paths are kept.
        into: the zip file.
    """
    with zipfile.ZipFile(into, "w", zipfile.ZIP_STORED) as packed:
        for path in files:
            packed.write(path, path.relative_to(root).as_posix())
    return into
