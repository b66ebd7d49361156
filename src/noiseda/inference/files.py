"""Restore image files: one, a folder or a pattern, each written back with all it carried."""

from __future__ import annotations

import sys
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
from noiseda.images import Listing
from noiseda.inference.adjusted import Strength, adjusted, check_strength
from noiseda.inference.backends import Backend, prepare
from noiseda.inference.ledger import Ledger
from noiseda.inference.pipeline import Account, Job, Settle, Written, run_pipeline
from noiseda.inference.plan import Format, plan
from noiseda.inference.progress import Progress, progress
from noiseda.inference.resume import Resumed, digest_of, way_of
from noiseda.inference.tiling import Model, Tiler, check_tiling, inferring
from noiseda.modalities import Images
from noiseda.precision import FULL, fastest
from noiseda.raster import Raster
from noiseda.restoration import load
from noiseda.restoration.ready import located


@dataclass(frozen=True)
class RestoreReport:
    """What became of every input file."""

    restored: list[tuple[Path, Path]] = field(default_factory=list)
    """(input, output) of each restored image."""

    skipped: list[tuple[Path, str]] = field(default_factory=list)
    """(input, reason) of each image that could not be read, restored or kept in its format."""

    done: list[tuple[Path, Path]] = field(default_factory=list)
    """(input, output) of each image that was left alone: restored before and unchanged, or with ``--skip-existing``."""

    listing: Listing | None = None
    """What the source folder holds beside the images; None where one file was restored."""

    seconds: float = 0.0
    """Wall-clock time of reading, restoring and writing."""

    megapixels: float = 0.0
    """Size of all restored images together."""

    @property
    def ok(self) -> bool:
        """Whether no image was skipped."""
        return not self.skipped

    def __str__(self) -> str:
        """One line, one more for every skipped file, and what was not taken.

        >>> print(RestoreReport([(Path("a.png"), Path("out/a.png"))], [(Path("b.png"), "b.png: empty")], seconds=2.0))
        restored 1 of 2 images in 2.0 s (0 megapixels/s)
          skipped: b.png: empty
        """
        total = len(self.restored) + len(self.skipped) + len(self.done)
        beside = [f"  {note}" for note in (self.listing.notes(quiet=False) if self.listing else [])]
        if self.done and len(self.done) == total:
            what = "1 image is" if total == 1 else f"all {total} images are"
            return "\n".join([f"nothing to do: {what} restored already", *beside])
        skipped = [f"  skipped: {reason}" for _, reason in self.skipped]
        rate = self.megapixels / max(self.seconds, 1e-9)
        speed = f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"
        images = f"{total} image{'s' * (total != 1)}"
        summary = f"restored {len(self.restored)} of {images} in {self.seconds:.1f} s ({speed} megapixels/s)"
        before = f"; {len(self.done)} done before" if self.done else ""
        return "\n".join([summary + before, *skipped, *beside])


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
    self_ensemble: bool = False,
    strength: Strength = 1.0,
    format: Format = "keep",
    max_megapixels: float = 200.0,
    overwrite: bool = False,
    skip_existing: bool = False,
) -> RestoreReport:
    """Restore an image, a folder of images or those a pattern matches, with a trained network.

    Each output keeps its input's bit depth, ICC profile, EXIF (its orientation applied), alpha and greyness as far as
    its format can (see :func:`noiseda.images.write`). Names are checked before any work starts; after that, an image
    that cannot be restored is skipped with a warning and listed in the report. What a folder holds that is not taken
    is counted and named there, too; so are folders below it that cannot be listed.

    With a network for super-resolution, an output is ``scale`` times as high and wide as its input; alpha is enlarged
    by bicubic interpolation, and EXIF and XMP state the new size.

    A run that was stopped is taken up where it ended, by the same command: outputs that are there and unchanged, of
    inputs that are unchanged, made with the same weights and settings, are left alone. A hidden file in the output
    folder, ``.noiseda-restored.jsonl``, keeps account of that; for a single image there is none. One run at a time
    writes into a folder.

    Args:
        weights: Weights file (.safetensors) of the network, or the name of ready weights: denoise, which the command
            line takes where it is left out.
        source: An image, a folder (with all the folders below it, and those that links there lead to, each once) or a
            pattern in quotes, such as "photos/**/*.jpg".
        out: Output folder, which gets the tree of the input; for a single image, a file name with its suffix will do.
        tile: Side in pixels of the tiles that larger images are cut into; null restores whole images.
        overlap: Number of pixels that neighbouring tiles share at least; at most half of a tile.
        device: Where to compute: auto (a GPU if there is one), cpu, cuda, cuda:1, mps.
        precision: fp32, bf16, or auto: bf16 where the processor has it, but fp32 for 16-bit images.
        backend: What computes the network: eager (torch), compiled (torch.compile), onnxruntime (fp32 on the CPU), or
            auto: onnxruntime for large jobs on CPUs without bf16, else eager.
        self_ensemble: Restore each image in its eight orientations and write the mean: eight times as slow.
        strength: How far to go from the input to what the network makes of it: 0 (not at all) to 1 (there) to 1.5
            (beyond it).
        format: Format of the outputs: keep (that of each input), png, jpg, tif or webp.
        max_megapixels: Images that are larger, or would be once they are restored, are skipped before they are decoded.
        overwrite: Replace outputs that exist already, and restore all images again; an input is never overwritten.
        skip_existing: Leave every output that exists already as it is, whatever it was made with.

    Returns:
        What was restored, what was done before, what was skipped and why, and what was not taken.

    Raises:
        UserError: A flag is out of range; nothing matches; an output would replace an input or another output; one is
            there that was made otherwise or by someone else, without ``--overwrite`` or ``--skip-existing``; the output
            cannot be written, or another run writes there; no image at all could be restored.
        WeightsError: The weights file cannot be loaded.
    """
    if not isinstance(weights, str | Path):  # in Python, where noiseda.restore takes a network
        raise UserError(f"restore_files takes a weights file, not {type(weights).__name__}: noiseda.restore takes that")
    weights, out = located(Path(weights)), Path(out)
    check_tiling(tile, overlap)
    check_strength(strength)
    if not max_megapixels > 0:
        raise UserError(f"--max-megapixels must be greater than 0, not {max_megapixels}")
    if overwrite and skip_existing:
        raise UserError("--overwrite and --skip-existing cannot be given together: one replaces what the other leaves")
    found = plan(source, out, format=format)
    place, size = _device(device), _megapixels(found.jobs) * (Images().symmetries() if self_ensemble else 1)
    way = way_of(
        digest := digest_of(Path(weights)),
        tile=tile,
        overlap=overlap,
        precision=precision,
        backend=backend,
        device=place,
        self_ensemble=self_ensemble,
        strength=strength,
        megapixels=size,  # of all jobs, those done before too: else the rest could be restored by another backend
    )
    with Ledger(found.out, alone=found.listing is not None) as ledger:
        work = Resumed(found.jobs, ledger, found.root, way, overwrite=overwrite, skip_existing=skip_existing)
        model = load(weights, device=place) if digest is None else None  # says what is wrong with the file
        report = RestoreReport(done=work.done, listing=found.listing)
        _announce(report, len(work.todo), "left as they are" if skip_existing else "unchanged")
        if not work.todo:
            return report
        model = model or load(weights, device=place)
        model = prepare(model, Path(weights), backend, device=place, precision=precision, megapixels=size)
        work.begin()
        made = restore_jobs(
            adjusted(model, self_ensemble=self_ensemble, strength=strength),
            work.todo,
            tile=tile,
            overlap=overlap,
            precision=precision,
            max_megapixels=max_megapixels,
            account=work,
        )
    report = replace(made, done=report.done, listing=report.listing)
    if not report.restored and not report.done:
        raise UserError(f"no image could be restored\n{report}")
    return report


def _announce(report: RestoreReport, todo: int, how: str) -> None:
    """Say before the work begins what will not be done."""
    if report.listing is not None:
        report.listing.warn()
    if (done := len(report.done)) and todo:
        print(f"{done} of {done + todo} done before, {how}; {todo} to do", file=sys.stderr, flush=True)


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
    account: Account | None = None,
) -> RestoreReport:
    """Restore images that are settled, with a model that is there; the rest is as in :func:`restore_files`.

    Args:
        model: What restores a tile.
        jobs: (input, output) of each image.
        tile: Side of a tile in pixels, or None.
        overlap: Least number of pixels that neighbouring tiles share.
        precision: fp32, bf16 or auto.
        max_megapixels: Larger images are skipped.
        aside: See :func:`noiseda.inference.pipeline.run_pipeline`.
        account: See there.
    """
    began = time.perf_counter()
    with progress(len(jobs)) as show:
        run = _Run(model, jobs, (tile, overlap), precision, show)
        scale = run.tiler.scale
        run_pipeline(
            jobs, run.restore, run.done, max_megapixels=max_megapixels, aside=aside, account=account, scale=scale
        )
    return replace(run.report, seconds=time.perf_counter() - began, megapixels=run.pixels / 1e6)


class _Run:
    """The step between reading and writing, and what is reported of each image."""

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
        target = images.output_buffer(source, job[1], self.tiler.scale)
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
        white = getattr(self.model, "white_level", FULL)
        if white == FULL or source.bits == 8:
            return 1.0
        highest = int(source.samples[:, :, : source.channels].max())
        if highest <= white:
            return float(white / FULL)
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
