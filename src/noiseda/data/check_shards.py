"""Whether shards are what their index says, and hold what can be read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from rich.console import Console

from noiseda.bars import bar
from noiseda.data.findings import CheckReport, Finding, read_image
from noiseda.data.shards import INDEX, PATTERN, Packed, Shard, ShardSet, read_samples
from noiseda.errors import ImageError, UserError
from noiseda.images import SUFFIXES


def check_shards(folder: Path, shards: ShardSet, *, patch: int, max_megapixels: float, console: Console) -> CheckReport:
    """Compare the shards of a folder with their index (size, digest, number of samples), and read their images.

    Args:
        folder: where they lie.
        shards: what the index lists.
        patch: images with a shorter side than this are reported.
        max_megapixels: larger images are reported, and not decoded.
        console: for the progress bar.

    Returns:
        What was found.
    """
    pairs = len(shards) if shards.kind == "pairs" else None
    report = CheckReport(
        folder, files=len(shards) * (1 if pairs is None else 2), pairs=pairs, shards=len(shards.shards)
    )
    listed = {shard.name for shard in shards.shards}
    others = [path for path in sorted(folder.glob(PATTERN)) if path.name not in listed]
    report.problems += [Finding("shard", f"{path}: {INDEX} does not list it") for path in others]
    with TemporaryDirectory() as place:
        for shard in bar(shards.shards, "reading", console=console):
            path = folder / shard.name
            try:
                if path.exists() and not path.is_file():  # a pipe would be waited for
                    raise UserError("is no file")
                report.problems += [Finding("shard", f"{path}: {problem}") for problem in _differences(path, shard)]
                held = 0
                with path.open("rb") as file:
                    samples = read_samples(file, shards.kind, most=shard.samples)
                    for held, sample in enumerate(samples, 1):  # noqa: B007 (used below)
                        _read(file, sample, path, Path(place), report, patch, max_megapixels)
                if held != shard.samples:
                    message = f"{path}: holds {held} samples, but {INDEX} says {shard.samples}"
                    report.problems.append(Finding("shard", message))
            except UserError as error:
                report.problems.append(Finding("shard", f"{path}: {error}"))
            except OSError as error:
                report.problems.append(Finding("shard", f"{path}: cannot be read: {error.strerror or error}"))
    return report


def _differences(path: Path, shard: Shard) -> Iterator[str]:
    """What of a file is not as the index says."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if size != shard.bytes:
        yield f"has {size} bytes, but {INDEX} says {shard.bytes}"
    if digest != shard.sha256:
        yield f"has the sha256 {digest}, but {INDEX} says {shard.sha256}"


def _read(
    file: BinaryIO, sample: Packed, shard: Path, place: Path, report: CheckReport, patch: int, max_megapixels: float
) -> None:
    """Read the images of a sample, by way of a file that has a short name; findings name the shard and the member."""
    sizes: dict[Path, tuple[int, int]] = {}
    before = len(report.problems), len(report.notes)
    names: dict[str, str] = {}
    for number, (name, member) in enumerate(zip(sample.names, sample.members, strict=True)):
        suffix = Path(member.name).suffix.lower()
        path = place / f"{number}{suffix if suffix in SUFFIXES else ''}"
        names[str(path)] = f"{shard}/{name}"
        try:
            member.copy(file, path)
        except ImageError as error:
            report.problems.append(Finding("oversize", f"{shard}/{error}"))
            continue
        read_image(path, report, patch, max_megapixels, sizes)
        path.unlink()
    if len(set(sizes.values())) > 1:
        message = " but ".join(f"{path} is {width}x{height}" for path, (height, width) in sizes.items())
        report.problems.append(Finding("mismatch", message))
    for findings, start in zip((report.problems, report.notes), before, strict=True):
        findings[start:] = [Finding(found.kind, _renamed(found.message, names)) for found in findings[start:]]


def _renamed(message: str, names: dict[str, str]) -> str:
    for path, name in names.items():
        message = message.replace(path, name)
    return message
