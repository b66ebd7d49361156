"""Restore image files: one, a folder or a pattern, each written back with all it carried."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from noiseda import images
from noiseda.config import Precision
from noiseda.errors import ImageError, UserError
from noiseda.inference.backends import Backend, prepare
from noiseda.inference.plan import Format, plan
from noiseda.inference.progress import Progress, progress
from noiseda.inference.relay import Job, Settle, Written, relay
from noiseda.inference.tiling import Model, Tiler, check_tiling, inferring
from noiseda.precision import fastest
from noiseda.raster import Raster
from noiseda.restoration import load


@dataclass(frozen=True)
class RestoreReport:
    """What became of every input file."""

    restored: list[tuple[Path, Path]] = field(default_factory=list)
    """(input, output) of each restored image."""

    skipped: list[tuple[Path, str]] = field(default_factory=list)
    """(input, reason) of each image that could not be read, restored or kept in its format."""

    seconds: float = 0.0
    """Wall-clock time of reading, restoring and writing."""

    megapixels: float = 0.0
    """Size of all restored images together."""

    def __str__(self) -> str:
        """One line, and one more for every skipped file.

        >>> print(RestoreReport([(Path("a.png"), Path("out/a.png"))], [(Path("b.png"), "b.png: empty")], 2.0, 25.0))
        restored 1 of 2 images in 2.0 s (12.5 megapixels/s)
          skipped: b.png: empty
        """
        total = len(self.restored) + len(self.skipped)
        skipped = [f"  skipped: {reason}" for _, reason in self.skipped]
        rate = self.megapixels / max(self.seconds, 1e-9)
        summary = f"restored {len(self.restored)} of {total} images in {self.seconds:.1f} s ({rate:.1f} megapixels/s)"
        return "\n".join([summary, *skipped])


def restore_files(
    weights: Path,
    source: str,
    out: Path,
    *,
    tile: int | None = 768,
    overlap: int = 64,
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
    place, size = _device(device), _megapixels(jobs)
    model = load(weights, device=place)
    model = prepare(model, Path(weights), backend, device=place, precision=precision, megapixels=size)
    report = restore_jobs(model, jobs, tile=tile, overlap=overlap, precision=precision, max_megapixels=max_megapixels)
    if not report.restored:
        raise UserError(f"no image could be restored\n{report}")
    return report


def _megapixels(jobs: list[Job]) -> float:
    """The size of a job, from the headers of its images; a broken one does not count."""
    total = 0
    for path, _ in jobs:
        with suppress(ImageError):
            height, width = images.read_size(path)
            total += height * width
    return total / 1e6


def restore_jobs(
    model: Model,
    jobs: Sequence[Job],
    *,
    tile: int | None,
    overlap: int,
    precision: Precision,
    max_megapixels: float,
    aside: bool = True,
) -> RestoreReport:
    """Restore images that are settled, with a model that is there; the rest is as in :func:`restore_files`.

    Args:
        model: What restores a tile.
        jobs: (input, output) of each image.
        tile: Side of a tile in pixels, or None.
        overlap: Least number of pixels that neighbouring tiles share.
        precision: fp32, bf16 or auto.
        max_megapixels: Larger images are skipped.
        aside: See :func:`noiseda.inference.relay.relay`.
    """
    began = time.perf_counter()
    with progress(len(jobs)) as show:
        run = _Run(model, jobs, (tile, overlap), precision, show)
        relay(jobs, run.restore, run.done, max_megapixels=max_megapixels, aside=aside)
    return replace(run.report, seconds=time.perf_counter() - began, megapixels=run.pixels / 1e6)


class _Run:
    """The step between reading and writing, and what is told of each image."""

    def __init__(
        self, model: Model, jobs: Sequence[Job], tiling: tuple[int | None, int], precision: Precision, show: Progress
    ) -> None:
        self.model, self.precision, self.show = model, precision, show
        self.tiler = Tiler(model, tile=tiling[0], overlap=tiling[1], shrunk=self.shrunk)
        self.order = {path: index for index, (path, _) in enumerate(jobs)}
        self.report, self.pixels = RestoreReport(), 0

    def restore(self, job: Job, source: Raster, settle: Settle) -> Raster:
        """Replace the pixels of an image by restored ones, from top to bottom."""
        self.path, self.settle = job[0], settle
        target = images.canvas(source, job[1])
        # The 8 significant bits of bf16 would show.
        precision = "fp32" if self.precision == "auto" and source.bits == 16 else self.precision

        share = self.share(source)

        def cut(top: int, bottom: int, left: int, right: int) -> Tensor:
            part = images.from_samples(source.samples[top:bottom, left:right, : source.channels])[None]
            return part if share == 1 else part / share

        def advance(share: float) -> None:
            self.show.reach(self.order[job[0]] + share)
            settle(False)

        shape = (1, source.channels, *source.samples.shape[:2])
        try:
            with inferring(self.model):
                for top, rows in self.tiler.rows(cut, shape, precision, advance):
                    self.lay(rows[0] if share == 1 else rows[0] * share, top, source, target)
        except torch.OutOfMemoryError as error:
            raise UserError(f"{self.path}: the GPU's memory does not suffice, even for the smallest tiles") from error
        return target

    def share(self, source: Raster) -> float:
        """What the image is divided by before, and multiplied by after: the share of its range below white."""
        white = getattr(self.model, "white_level", images.FULL)
        if white == images.FULL or source.bits == 8:
            return 1.0
        highest = int(source.samples[:, :, : source.channels].max())
        if highest <= white:
            return float(white / images.FULL)
        self.settle(True)
        self.show.note(
            f"{self.path}: goes up to {highest}, beyond the white level {white} of the photographs that the network "
            "learnt from; restored as it is, not divided by it"
        )
        return 1.0

    def lay(self, pixels: Tensor, top: int, source: Raster, target: Raster) -> None:
        """Lay rows of restored pixels, if they are numbers."""
        try:
            images.lay(pixels, top, source, target)
        except UserError as error:
            raise ImageError(f"{self.path}: the network's output holds values that are not numbers (NaN)") from error

    def shrunk(self, old: int, new: int) -> None:
        """Say that tiles are smaller from now on."""
        self.settle(True)  # what is said of the image before comes first
        self.show.note(f"{self.path}: the GPU's memory does not suffice; tile {old} -> {new} from here on")

    def done(self, job: Job, outcome: Written | ImageError) -> None:
        """Say and note down what became of an image."""
        path, target = job
        self.show.reach(self.order[path] + 1)
        if isinstance(outcome, ImageError):
            self.report.skipped.append((path, str(outcome)))
            self.show.say(f"warning: skipped {outcome}")
            return
        self.report.restored.append(job)
        self.pixels += outcome.pixels
        self.show.say(f"{path} -> {target}")
        for note in outcome.notes:
            self.show.note(f"note: {path}: {note}")


def _device(name: str) -> torch.device:
    if name == "auto":
        return fastest()
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise UserError(f"--device {name} cannot be used: {reason}") from error
    return device
