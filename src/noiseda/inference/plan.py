"""Which file becomes which: settled, and refused where it must be, before any work starts."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias

from noiseda.errors import UserError
from noiseda.images import SUFFIXES, find_images

Format: TypeAlias = Literal["keep", "png", "jpg", "tif", "webp"]


def plan(source: str, out: Path, *, format: Format = "keep", overwrite: bool = False) -> list[tuple[Path, Path]]:
    """Pair every input with its output.

    A folder (and what comes before the first wildcard of a pattern) is the root whose tree is kept below ``out``. Where
    ``out`` lies inside the root, what it holds already is no input, so that a second run does what the first one did.

    Args:
        source: An image, a folder or a pattern; a name that exists is never taken for a pattern.
        out: A folder; or a file, if the source is one and this name has an image's suffix.
        format: Format of the outputs; ``keep`` keeps the names.
        overwrite: Accept outputs that exist already.

    Returns:
        (input, output), sorted by input.

    Raises:
        UserError: Nothing matches, or an output would replace an input, another output or, unless ``overwrite``, an
            existing file.
    """
    try:
        jobs = _jobs(Path(source), source, out, format)
        _check(jobs, out, overwrite)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror or error}") from error
    return jobs


def _jobs(path: Path, source: str, out: Path, format: Format) -> list[tuple[Path, Path]]:
    as_file = out.suffix.lower() in SUFFIXES and not out.is_dir()
    if path.is_file():
        if as_file and format != "keep":
            raise UserError(f"--format {format} cannot be given together with the file name {out}; its suffix decides")
        return [(path, out if as_file else _renamed(out / path.name, format))]
    if as_file:
        raise UserError(f"{out}: names a file, but {source} is not one; expected a folder for the outputs")
    return _tree(source, out, format)


def _tree(source: str, out: Path, format: Format) -> list[tuple[Path, Path]]:
    root = Path(source)
    if root.is_dir():
        inputs = find_images(root)
    elif glob.has_magic(source):
        root = _fixed_part(root)
        inputs = _matching(source)
    else:
        raise UserError(f"{source}: no such file or folder")
    if out.resolve() == root.resolve():
        raise UserError(f"{out}: the output folder is the input folder; give another one")
    if out.resolve().is_relative_to(root.resolve()):
        inputs = [path for path in inputs if not path.resolve().is_relative_to(out.resolve())]
    if not inputs:
        raise UserError(f"{source}: no image found; expected files that end in {', '.join(sorted(SUFFIXES))}")
    return [(path, _renamed(out / path.relative_to(root), format)) for path in inputs]


def _matching(pattern: str) -> list[Path]:
    found = (Path(name) for name in glob.glob(pattern, recursive=True))
    return sorted({path for path in found if path.suffix.lower() in SUFFIXES and path.is_file()})


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


def _check(jobs: Iterable[tuple[Path, Path]], out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir() and all(target != out for _, target in jobs):
        raise UserError(f"{out}: is a file; expected a folder for the outputs")
    inputs = {_identity(path): path for path, _ in jobs if path.exists()}  # a dangling link does not
    claimed: dict[Path, Path] = {}
    existing: list[Path] = []
    for path, target in jobs:
        if (other := claimed.setdefault(target, path)) != path:
            raise UserError(f"{other} and {path} would both become {target}; restore them into different folders")
        if not target.exists():
            continue
        if (source := inputs.get(_identity(target))) is not None:
            raise UserError(f"{target}: the output would overwrite the input {source}; give another output")
        existing.append(target)
    if existing and not overwrite:
        more = f" (and {len(existing) - 1} more outputs)" if len(existing) > 1 else ""
        raise UserError(f"{existing[0]}{more} exists already; give --overwrite to replace it, or another output")


def _identity(path: Path) -> tuple[int, int]:
    """What is the same for two names of one file, through links too."""
    status = path.stat()
    return status.st_dev, status.st_ino
