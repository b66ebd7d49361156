"""What a folder holds: the images, and all that is not taken, so that no photograph goes missing unseen."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from noiseda.errors import UserError
from noiseda.raster import SUFFIXES

log = logging.getLogger(__name__)

_SUFFIXES_OF = {
    "HEIC": "heic heif hif heics heifs",
    "AVIF": "avif avifs",
    "BMP": "bmp dib",
    "GIF": "gif",
    "JPEG XL": "jxl",
    "JPEG 2000": "jp2 j2k j2c jpc jpf jpx jpm",
    "JPEG XR": "jxr wdp hdp",
    "JPEG-LS": "jls",
    "PSD": "psd psb",
    "EXR": "exr",
    "HDR": "hdr",
    "TGA": "tga",
    "PNM": "ppm pgm pbm pnm pam pfm",
    "video": "mp4 m4v mov avi mkv webm wmv mpg mpeg mts m2ts 3gp 3g2 mxf flv ogv insv braw r3d",
}
_RAW = (
    "dng nef nrw cr2 cr3 crw arw srf sr2 orf ori rw2 rwl raf pef ptx srw 3fr fff iiq cap eip x3f kdc dcr k25 mrw erf "
    "mef mos gpr raw rwz bay"
)
OTHER = "other files"
KINDS: Mapping[str, str] = {
    **{f".{suffix}": kind for kind, suffixes in _SUFFIXES_OF.items() for suffix in suffixes.split()},
    **{f".{suffix}": suffix.upper() for suffix in _RAW.split()},
}
"""Suffix (lower case) -> what such files are called here; all the rest are :data:`OTHER`."""

READ = "PNG, JPEG, TIFF and WebP"
"""The formats that are read, in words."""

OURS = ".noiseda-"
"""How the names begin of files that noiseda keeps beside outputs: nobody's photographs, and not counted."""

_SYSTEM = {
    *("@eadir", "@recycle", "@tmp", "#recycle", "#snapshot", "@recently-snapshot", "__macosx", "lost+found"),
    *("$recycle.bin", "recycler", "system volume information"),
    *("thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"),
}
"""What operating systems and storage boxes put beside photographs, lower case; so are all names with a leading dot."""

_NAMED = 4
"""Names that a line shows before it counts the rest."""


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        folder: the folder.
        images: its images, sorted by their path inside it.
        others: kind of file that is not taken -> such files.
        system: hidden files and folders, and those of operating systems; a folder counts once.
        again: links to folders that are listed by another name, or that hold the link itself.
        locked: folders that cannot be listed, and why.
    """

    folder: Path
    images: list[Path] = field(default_factory=list)
    others: dict[str, list[Path]] = field(default_factory=dict)
    system: list[Path] = field(default_factory=list)
    again: list[Path] = field(default_factory=list)
    locked: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def not_taken(self) -> str | None:
        """The files that are not read, counted by kind, the first of them named; None where there are none."""
        if not self.others:
            return None
        kinds = sorted(self.others, key=lambda kind: (kind == OTHER, kind == "video", -len(self.others[kind]), kind))
        counts = ", ".join(f"{len(self.others[kind])} {_plural(kind, len(self.others[kind]))}" for kind in kinds)
        return f"{counts} ({self._names(path for kind in kinds for path in self.others[kind])})"

    def notes(self, quiet: bool = True) -> list[str]:
        """All that is not read, in a line or two.

        Args:
            quiet: say nothing of the files of operating systems, of links, and of files that are no pictures.
        """
        lines = []
        if self.others and not (quiet and set(self.others) == {OTHER}):
            pictures = set(self.others) - {OTHER, "video"}
            how = f": this version reads {READ} images; convert the others to TIFF or PNG" if pictures else ""
            lines.append(f"not taken: {self.not_taken}{how}")
        if self.locked:
            shown = [f"{folder} ({reason})" for folder, reason in self.locked]
            lines.append(f"left out, as they cannot be listed: {some(shown)}")
        if quiet:
            return lines
        passed = []
        if self.system:
            passed.append(
                f"{len(self.system)} {_plural('system files', len(self.system))} ({self._names(self.system)})"
            )
        if self.again:
            links = "1 link" if len(self.again) == 1 else f"{len(self.again)} links"
            passed.append(f"{links} that would list a folder twice ({self._names(self.again)})")
        return [*lines, f"passed over: {'; '.join(passed)}"] if passed else lines

    def warn(self) -> None:
        """Log what somebody may miss: pictures and videos that are not read, folders that are locked."""
        for note in self.notes():
            log.warning("%s: %s", self.folder, note)

    def selected(self, wanted: Callable[[str], bool]) -> Listing:
        """What is left where only some paths inside the folder count."""

        def keep(paths: Iterable[Path]) -> list[Path]:
            return [path for path in paths if wanted(path.relative_to(self.folder).as_posix())]

        others = {kind: found for kind, paths in self.others.items() if (found := keep(paths))}
        return Listing(self.folder, keep(self.images), others, keep(self.system), keep(self.again), self.locked)

    def _names(self, paths: Iterable[Path]) -> str:
        return some([path.relative_to(self.folder).as_posix() for path in paths])


def some(names: list[str]) -> str:
    """The first few names, and how many more there are.

    >>> some(["a", "b", "c", "d", "e", "f"])
    'a, b, c, d ... and 2 more'
    """
    more = f" ... and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def find_images(folder: Path) -> list[Path]:
    """Every image file below a folder, as :func:`list_folder` finds them; a folder below it that is locked is an error.

    Args:
        folder: The folder.

    Raises:
        UserError: The folder is missing or is not a folder; it or one below it cannot be listed.
    """
    listing = list_folder(folder)
    for locked, reason in listing.locked:
        raise UserError(f"{locked}: cannot be listed: {reason}")
    return listing.images


def list_folder(folder: Path, *, leave_out: Path | None = None, depth: int | None = None) -> Listing:
    """Every image file below a folder, by suffix, sorted by its path relative to the folder, and what is not taken.

    Hidden files and folders (``.name``) and those of operating systems are passed over. Links to folders are followed:
    what lies there goes by the name of the link. Each folder is listed once, by its own name where that lies below
    ``folder``, else by the first link in the order of names; so that links in circles end, and so do links to a folder
    that holds the link itself. A link to a file is a file like any other, even where the file is found as well.

    Args:
        folder: where to begin.
        leave_out: a folder that is not looked into, nor counted, by whatever name it is reached.
        depth: how many folders deep to look; 1 is this folder alone.

    Raises:
        UserError: The folder is missing, is not a folder or cannot be listed. One below it goes into ``locked``.
    """
    try:
        if not folder.exists():
            raise UserError(f"{folder}: no such folder")
        if not folder.is_dir():
            raise UserError(f"{folder}: not a folder")
        walk = _Walk(folder, leave_out, depth)
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed: {error.strerror or error}") from error
    walk.everything()
    found = walk.found

    def order(path: Path) -> str:
        return path.relative_to(folder).as_posix()

    for paths in (found.images, found.system, found.again, *found.others.values()):
        paths.sort(key=order)
    found.locked.sort()
    return found


class _Walk:
    """Lists the folder's own tree first, and then what the links in it lead to."""

    def __init__(self, folder: Path, leave_out: Path | None, depth: int | None) -> None:
        self.found, self.depth = Listing(folder), depth
        self.silent = {_identity(leave_out)} if leave_out is not None and leave_out.is_dir() else set()
        self.seen: set[tuple[int, int]] = set()
        self.links: list[tuple[Path, int]] = []

    def everything(self) -> None:
        self.tree(self.found.folder, 1)
        while self.links:
            links, self.links = sorted(self.links, key=lambda link: link[0].as_posix()), []
            for link, level in links:
                real, holder = Path(os.path.realpath(link)), Path(os.path.realpath(link.parent))
                above = {holder, *holder.parents, *Path(os.path.realpath(self.found.folder)).parents}
                if real in above:
                    self.found.again.append(link)
                else:
                    self.tree(link, level)

    def tree(self, top: Path, level: int) -> None:
        """List a folder and those below it, but for links to folders, which are kept for later."""
        waiting = [(top, level)]
        while waiting:
            folder, level = waiting.pop()
            try:
                mark = _identity(folder)
                if mark in self.silent:
                    continue
                if mark in self.seen:
                    self.found.again.append(folder)
                    continue
                self.seen.add(mark)
                with os.scandir(folder) as entries:
                    inside = list(entries)
            except OSError as error:
                reason = error.strerror or str(error)
                if folder == self.found.folder:
                    raise UserError(f"{folder}: cannot be listed: {reason}") from error
                self.found.locked.append((folder, reason))
                continue
            for entry in inside:
                self.take(entry, folder / entry.name, level, waiting)

    def take(self, entry: os.DirEntry[str], path: Path, level: int, waiting: list[tuple[Path, int]]) -> None:
        """Sort one entry of a folder into what it is."""
        if entry.name.startswith(OURS):
            return
        if entry.name.startswith(".") or entry.name.lower() in _SYSTEM:
            self.found.system.append(path)
        elif _is_folder(entry):
            if self.depth is None or level < self.depth:
                (self.links if entry.is_symlink() else waiting).append((path, level + 1))
        elif (suffix := path.suffix.lower()) in SUFFIXES and not _is_special(entry):
            self.found.images.append(path)
        else:
            self.found.others.setdefault(KINDS.get(suffix, OTHER), []).append(path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, say
        return False


def _is_special(entry: os.DirEntry[str]) -> bool:
    """Whether to read it might wait for ever: a pipe, a socket, a device. Links that lead nowhere are for readers."""
    try:
        if entry.is_file():
            return False
        mode = entry.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _plural(kind: str, count: int) -> str:
    """A kind in words: only those that end in "files" have a plural."""
    return kind.removesuffix("s") if count == 1 and kind.endswith("files") else kind
