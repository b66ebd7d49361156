"""Which file becomes which: settled, and refused where it must be, before any work starts."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os.path import exists, islink  # of what is in a locked folder they say no, where pathlib raises
from pathlib import Path
from typing import Literal, TypeAlias

from noiseda.errors import UserError
from noiseda.images import SUFFIXES, Listing, list_folder

Format: TypeAlias = Literal["keep", "png", "jpg", "tif", "webp"]


@dataclass(frozen=True)
class Plan:
    """What is to be restored.

    Attributes:
        jobs: (input, output), sorted by input.
        root: the folder whose tree is kept.
        out: the folder that gets it.
        listing: what else lies there; None where one file is restored.
    """

    jobs: list[tuple[Path, Path]]
    root: Path
    out: Path
    listing: Listing | None = None


def plan(source: str, out: Path, *, format: Format = "keep") -> Plan:
    """Pair every input with its output.

    A folder (and what comes before the first wildcard of a pattern) is the root whose tree is kept below ``out``. Where
    ``out`` lies inside the root, what it holds already is no input, so that a second run does what the first one did.
    Links to folders are followed as :func:`noiseda.listing.list_folder` says; a pattern picks from what that finds, so
    that it finds nothing hidden.

    Args:
        source: An image, a folder or a pattern; a name that exists is never taken for a pattern.
        out: A folder; or a file, if the source is one and this name has an image's suffix.
        format: Format of the outputs; ``keep`` keeps the names.

    Raises:
        UserError: Nothing matches, or an output would replace an input or another output.
    """
    try:
        found = _planned(Path(source), source, out, format)
        _check(found.jobs, out)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror or error}") from error
    return found


def _planned(path: Path, source: str, out: Path, format: Format) -> Plan:
    as_file = out.suffix.lower() in SUFFIXES and not out.is_dir()
    if path.is_file():
        if as_file and format != "keep":
            raise UserError(f"--format {format} cannot be given together with the file name {out}; its suffix decides")
        target = out if as_file else _renamed(out / path.name, format)
        return Plan([(path, target)], path.parent, target.parent)
    if as_file:
        raise UserError(f"{out}: names a file, but {source} is not one; expected a folder for the outputs")
    return _tree(source, out, format)


def _tree(source: str, out: Path, format: Format) -> Plan:
    root = Path(source)
    if root.is_dir():
        listing = list_folder(root, leave_out=out)
    elif glob.has_magic(source):
        root = _fixed_part(root)
        listing = _matching(root, Path(source), out)
    else:
        raise UserError(f"{source}: no such file or folder")
    inputs, taken = listing.images, _real(out)
    if taken == _real(root):
        raise UserError(f"{out}: the output folder is the input folder; give another one")
    if not _real(root).is_relative_to(taken):  # a link to an output is no input either
        inputs = [path for path in inputs if not (islink(path) and _real(path).is_relative_to(taken))]
    if not inputs:
        beside = "".join(f"; {note}" for note in listing.notes(quiet=False))
        raise UserError(f"{source}: no image found; expected files that end in {', '.join(sorted(SUFFIXES))}{beside}")
    jobs = [(path, _renamed(out / path.relative_to(root), format)) for path in inputs]
    return Plan(jobs, root, out, listing)


def _matching(root: Path, pattern: Path, out: Path) -> Listing:
    """What a pattern matches below its fixed part."""
    if not root.is_dir():
        return Listing(root)
    parts = pattern.parts[len(root.parts) :]
    listing = list_folder(root, leave_out=out, depth=None if "**" in parts else len(parts))
    return listing.selected(lambda name: _matches(tuple(name.split("/")), parts))


def _matches(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether a path is one that a pattern means; ``**`` stands for any number of folders.

    >>> _matches(("trip", "day 2", "c.png"), ("**", "*.png"))
    True
    """
    if not names or not parts:
        return not names and not parts
    if parts[0] == "**":
        rest = parts[1:] or ("*",)
        return any(_matches(names[start:], rest) for start in range(len(names)))
    return fnmatch.fnmatchcase(names[0], parts[0]) and _matches(names[1:], parts[1:])


def _fixed_part(pattern: Path) -> Path:
    """The folder that comes before the first wildcard."""
    root = Path()
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        root /= part
    return root


def _renamed(target: Path, format: Format) -> Path:
    return target if format == "keep" else target.with_suffix(f".{format}")


def _check(jobs: Iterable[tuple[Path, Path]], out: Path) -> None:
    if out.exists() and not out.is_dir() and all(target != out for _, target in jobs):
        raise UserError(f"{out}: is a file; expected a folder for the outputs")
    inputs = {_identity(path): path for path, _ in jobs if exists(path)}  # a dangling link does not, nor what is locked
    claimed: dict[Path, Path] = {}
    for path, target in jobs:
        if (other := claimed.setdefault(target, path)) != path:
            raise UserError(f"{other} and {path} would both become {target}; restore them into different folders")
        if exists(target) and (source := inputs.get(_identity(target))) is not None:
            raise UserError(f"{target}: the output would overwrite the input {source}; give another output")


def _real(path: Path) -> Path:
    """A path without links; unlike ``resolve`` it bears links that go in circles."""
    return Path(os.path.realpath(path))


def _identity(path: Path) -> tuple[int, int]:
    """What is the same for two names of one file, through links too."""
    status = path.stat()
    return status.st_dev, status.st_ino
