"""Photographs -> restored photographs, by the same way as ``noiseda restore``; and pictures of them for the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from noiseda.errors import UserError, WeightsError
from noiseda.evaluation.sheet import structured_part
from noiseda.images import Picture, enlarged, read, write
from noiseda.inference.adjusted import adjusted, check_strength
from noiseda.inference.files import restore_jobs
from noiseda.inference.tiling import restore_tensor
from noiseda.precision import to_memory_format
from noiseda.restoration import Restorer, load
from noiseda.web.uploads import without_folder

SHOWN = 4_000_000
"""Pixels of a photograph beyond which a part of it is shown."""

SIDE = 1536
"""Side of that part."""

Outcome = tuple[Path, Path | None, str]
"""Input; output, or None; and why there is none."""


def check_weights(path: Path) -> str:
    """What a weights file is, in a sentence.

    Args:
        path: a file, or the name of ready weights.

    Raises:
        WeightsError: it is none that noiseda loads; the message is for who sent it.
    """
    try:
        network = load(path)
    except UserError as error:
        raise WeightsError(without_folder(str(error), path)) from error
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return f"{path.name}: {type(network).__name__}, {parameters / 1e6:.1f} million parameters"


def _network(weights: Path) -> Restorer:
    """The network, laid out in memory as ``noiseda restore`` has it: faster, and the same to the last bit."""
    network = load(weights)
    to_memory_format(network, torch.channels_last)
    return network


def restore_each(
    weights: Path,
    photographs: Sequence[Path],
    root: Path,
    out: Path,
    *,
    strength: float = 1.0,
    self_ensemble: bool = False,
    megapixels: float = 200.0,
) -> Iterator[Outcome]:
    """Restore photographs one after the other; depth, EXIF and profile are kept as ``noiseda restore`` keeps them.

    Args:
        weights: a weights file, or the name of ready ones.
        photographs: the files.
        root: the folder from which on their paths are kept.
        out: the folder of the outputs.
        strength: 0 to 1.5.
        self_ensemble: the mean over eight orientations.
        megapixels: of a photograph, at most.

    Yields:
        What became of each, once it is done.

    Raises:
        UserError: the strength is out of range, or nothing can be written.
        WeightsError: no such network.
    """
    check_strength(strength)
    model = adjusted(_network(weights), self_ensemble=self_ensemble, strength=strength)
    for path in photographs:
        target = out / path.relative_to(root)
        report = restore_jobs(
            model, [(path, target)], tile=768, overlap=64, precision="auto", max_megapixels=megapixels, aside=False
        )
        reason = "; ".join(without_folder(why, path) for _, why in report.skipped)
        yield path, None if reason else target, reason


def before_and_after(source: Path, restored: Path, into: Path, megapixels: float) -> tuple[Path, Path]:
    """Two PNG files of 8 bits of the same size, to be laid over one another; of a large photograph, a part.

    Args:
        source: the photograph.
        restored: what became of it; it may be larger by a whole number.
        into: a folder.
        megapixels: of a photograph, at most.

    Raises:
        ImageError: one of them cannot be read.
    """
    before = read(source, max_megapixels=megapixels, say=False)
    after = read(restored, max_megapixels=megapixels * 16, say=False)
    scale = after.pixels.shape[-1] // before.pixels.shape[-1]
    before = replace(before, pixels=enlarged(before.pixels, scale))
    small = after.pixels[0].numel() <= SHOWN
    rows, columns = (slice(None), slice(None)) if small else structured_part(after.pixels, SIDE)
    names = into / "before.png", into / "after.png"
    for picture, name in zip((before, after), names, strict=True):
        write(Picture(picture.pixels[:, rows, columns], icc=picture.icc), name)
    return names


def preview(weights: Path, source: Path, into: Path, *, side: int, megapixels: float) -> tuple[Path, Path]:
    """A part of a photograph and what a network makes of it, as two PNG files.

    Args:
        weights: the network.
        source: the photograph.
        into: a folder of this photograph's own: the part is looked for once, and read from there afterwards.
        side: of the part, in pixels, at most.
        megapixels: of a photograph, at most.

    Raises:
        ImageError: the photograph cannot be read.
        WeightsError: no such network.
    """
    before, after = into / "before.png", into / f"{weights.stem}.png"
    if not before.exists():
        picture = read(source, max_megapixels=megapixels, say=False)
        rows, columns = structured_part(picture.pixels, side)
        write(Picture(picture.pixels[:, rows, columns], icc=picture.icc), before)
    part = read(before, say=False)
    write(Picture(restore_tensor(_network(weights), part.pixels), icc=part.icc), after)
    return before, after
