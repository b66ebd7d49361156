"""Restore image files: one, a folder or a pattern, each written back with all it carried."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from noiseda import images
from noiseda.config import Precision
from noiseda.errors import ImageError, UserError
from noiseda.inference.backends import Backend, prepare
from noiseda.inference.plan import Format, plan
from noiseda.inference.tiling import check_tiling, restore_tensor
from noiseda.restoration import Restorer, load


@dataclass(frozen=True)
class RestoreReport:
    """What became of every input file."""

    restored: list[tuple[Path, Path]] = field(default_factory=list)
    """(input, output) of each restored image."""

    skipped: list[tuple[Path, str]] = field(default_factory=list)
    """(input, reason) of each image that could not be read, restored or kept in its format."""

    seconds: float = 0.0
    """Wall-clock time of reading, restoring and writing."""

    def __str__(self) -> str:
        """One line, and one more for every skipped file.

        >>> print(RestoreReport([(Path("a.png"), Path("out/a.png"))], [(Path("b.png"), "b.png: empty")], 2.0))
        restored 1 of 2 images in 2.0 s
          skipped: b.png: empty
        """
        total = len(self.restored) + len(self.skipped)
        skipped = [f"  skipped: {reason}" for _, reason in self.skipped]
        return "\n".join([f"restored {len(self.restored)} of {total} images in {self.seconds:.1f} s", *skipped])


def restore_files(
    weights: Path,
    source: str,
    out: Path,
    *,
    tile: int | None = 512,
    overlap: int = 32,
    device: str = "auto",
    precision: Precision = "auto",
    backend: Backend = "auto",
    format: Format = "keep",
    max_megapixels: float = 200.0,
    overwrite: bool = False,
) -> RestoreReport:
    """Restore an image, a folder of images or those a pattern matches, with a trained network.

    Each output keeps its input's bit depth, ICC profile, EXIF (its orientation applied), alpha and greyness as far as
    its format can (see :func:`noiseda.images.write`). Names are checked before any work starts; after that, an image
    that cannot be restored is skipped with a warning and listed in the report.

    Args:
        weights: Weights file (.safetensors) of the network.
        source: An image, a folder (with all the folders below it) or a pattern in quotes, such as "photos/**/*.jpg".
        out: Output folder, which gets the tree of the input; for a single image, a file name with its suffix will do.
        tile: Side in pixels of the tiles that larger images are cut into; null restores whole images.
        overlap: Number of pixels that neighbouring tiles share at least; at most half of a tile.
        device: Where to compute: auto (a GPU if there is one), cpu, cuda, cuda:1, mps.
        precision: fp32, bf16, or auto: bf16 where the processor has it, but fp32 for 16-bit images.
        backend: What computes the network: eager (torch), compiled (torch.compile), onnxruntime (fp32 on the CPU), or
            auto: onnxruntime for large jobs on CPUs without bf16, else eager.
        format: Format of the outputs: keep (that of each input), png, jpg, tif or webp.
        max_megapixels: Larger images are skipped, before they are decoded.
        overwrite: Replace outputs that exist already; an input is never overwritten.

    Returns:
        What was restored, and what was skipped and why.

    Raises:
        UserError: A flag is out of range; nothing matches; an output would replace an input, another output or, without
            ``--overwrite``, an existing file; the output cannot be written; no image at all could be restored.
        WeightsError: The weights file cannot be loaded.
    """
    check_tiling(tile, overlap)
    if not max_megapixels > 0:
        raise UserError(f"--max-megapixels must be greater than 0, not {max_megapixels}")
    jobs = plan(source, out, format=format, overwrite=overwrite)
    model = prepare(load(weights, device=_device(device)), Path(weights), backend, precision, _megapixels(jobs))
    report, began = RestoreReport(), time.perf_counter()
    with _progress(len(jobs)) as say:
        for path, target in jobs:
            try:
                picture = _restored(model, path, max_megapixels, tile, overlap, precision)
                _write(picture, target)
            except ImageError as error:
                report.skipped.append((path, str(error)))
                say(f"warning: skipped {error}")
            else:
                report.restored.append((path, target))
                say(f"{path} -> {target}" + (f" (first of {picture.pages} pages)" if picture.pages > 1 else ""))
    report = replace(report, seconds=time.perf_counter() - began)
    if not report.restored:
        raise UserError(f"no image could be restored\n{report}")
    return report


def _megapixels(jobs: list[tuple[Path, Path]]) -> float:
    """The size of a job, from the headers of its images; a broken one does not count."""
    total = 0
    for path, _ in jobs:
        with suppress(ImageError):
            height, width = images.read_size(path)
            total += height * width
    return total / 1e6


def _restored(
    model: Restorer, path: Path, max_megapixels: float, tile: int | None, overlap: int, precision: Precision
) -> images.Picture:
    picture = images.read(path, max_megapixels=max_megapixels)
    if precision == "auto" and picture.bits == 16:
        precision = "fp32"  # the 8 significant bits of bf16 would show
    try:
        pixels = restore_tensor(model, picture.pixels, tile=tile, overlap=overlap, precision=precision)
    except torch.OutOfMemoryError as error:
        raise UserError(f"{path}: the GPU's memory does not suffice; a smaller --tile needs less") from error
    if pixels.isnan().any():
        raise ImageError(f"{path}: the network's output holds values that are not numbers (NaN)")
    return replace(picture, pixels=pixels)


def _write(picture: images.Picture, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        images.write(picture, target)
    except OSError as error:
        raise UserError(f"{target.parent}: the folder cannot be made: {error.strerror or error}") from error
    except ImageError as error:
        if isinstance(error.__cause__, OSError):  # no room, no right: the other outputs would fail just so
            raise UserError(str(error)) from error
        raise


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise UserError(f"--device {name} cannot be used: {reason}") from error
    return device


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A function that reports one finished file: on a terminal above a progress bar, elsewhere as a plain line."""
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        done = itertools.count(1)
        yield lambda line: console.print(f"[{next(done)}/{total}] {line}")
        return
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(TextColumn("restoring"), *columns, console=console, transient=True) as bar:
        task = bar.add_task("restoring", total=total)

        def say(line: str) -> None:
            console.print(line)
            bar.advance(task)

        yield say
