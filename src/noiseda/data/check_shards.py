"""Whether shards are what their index says, and hold what can be read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import track

from noiseda.data.findings import CheckReport, Finding, read_image
from noiseda.data.shards import INDEX, PATTERN, Sample, Shard, ShardSet, read_samples
from noiseda.errors import UserError


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
        for shard in track(shards.shards, "reading", console=console, disable=not console.is_terminal, transient=True):
            path = folder / shard.name
            try:
                report.problems += [Finding("shard", f"{path}: {problem}") for problem in _differences(path, shard)]
                held = 0
                with path.open("rb") as file:
                    for held, sample in enumerate(read_samples(file, shards.kind), 1):  # noqa: B007 (used below)
                        _read(sample, Path(place, shard.name), report, patch, max_megapixels)
                if held != shard.samples:
                    message = f"{path}: holds {held} samples, but {INDEX} says {shard.samples}"
                    report.problems.append(Finding("shard", message))
            except UserError as error:
                report.problems.append(Finding("shard", f"{path}: {error}"))
            except OSError as error:
                report.problems.append(Finding("shard", f"{path}: cannot be read: {error.strerror or error}"))
        for findings in (report.problems, report.notes):
            findings[:] = [Finding(found.kind, found.message.replace(place, str(folder))) for found in findings]
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


def _read(sample: Sample, place: Path, report: CheckReport, patch: int, max_megapixels: float) -> None:
    """Read the images of a sample, by way of a folder that has the shard's name."""
    sizes: dict[Path, tuple[int, int]] = {}
    for name, content in zip(sample.names, sample.contents, strict=True):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        read_image(path, report, patch, max_megapixels, sizes)
        path.unlink()
    if len(set(sizes.values())) > 1:
        message = " but ".join(f"{path} is {width}x{height}" for path, (height, width) in sizes.items())
        report.problems.append(Finding("mismatch", message))
