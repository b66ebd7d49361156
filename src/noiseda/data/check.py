"""``noiseda data check``: read every image of a folder before a long run does, and name what is wrong with it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import track
from rich.table import Table

from noiseda.data.folders import find_halves, match
from noiseda.errors import ImageError, UserError
from noiseda.images import FORMATS, SUFFIXES, Picture, find_images, read, read_size

_SHOWN = 12
"""Problems of one kind that are listed on the screen."""


@dataclass(frozen=True)
class Finding:
    """Something about a file (or two)."""

    kind: str
    """broken, not an image (or empty), oversize, tiny, duplicate, mismatch; or what kind of note it is."""

    message: str
    """The file and what is wrong with it."""


@dataclass
class CheckReport:
    """What a folder of images holds, and what is wrong with it."""

    folder: Path
    files: int
    """Files that are images by their suffix."""

    pairs: int | None
    """Pairs of input and target, if it is a paired set."""

    problems: list[Finding] = field(default_factory=list)
    """What would be skipped, refused or wrong in a run."""

    notes: list[Finding] = field(default_factory=list)
    """Worth knowing, not wrong."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(height, width) of the images that could be read -> how many."""

    bits: Counter[str] = field(default_factory=Counter)
    channels: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def show(self, console: Console) -> None:
        """Print what the folder holds, then what is wrong, by kind."""
        table = Table(show_header=False)
        for title, value in self._summary():
            table.add_row(title, value)
        console.print(str(self.folder), markup=False, highlight=False, soft_wrap=True)
        console.print(table)
        for findings, style in ((self.problems, "bold red"), (self.notes, "bold")):
            for kind, number in Counter(finding.kind for finding in findings).items():
                console.print(f"{kind} ({number})", style=style, markup=False)
                messages = [finding.message for finding in findings if finding.kind == kind]
                for message in messages[:_SHOWN]:
                    console.print(f"  {message}", markup=False, highlight=False, soft_wrap=True)
                if number > _SHOWN:
                    console.print(f"  … and {number - _SHOWN} more", markup=False)
        verdict = "nothing wrong" if self.ok else f"{len(self.problems)} problems"
        console.print(verdict, style="bold green" if self.ok else "bold red")

    def _summary(self) -> Iterator[tuple[str, str]]:
        yield "images", f"{self.files}" + ("" if self.pairs is None else f" ({self.pairs} pairs)")
        if self.sizes:
            ordered = sorted(self.sizes.elements(), key=lambda size: size[0] * size[1])
            sides = [min(size) for size in ordered]
            yield "width x height", " to ".join(f"{w}x{h}" for h, w in dict.fromkeys((ordered[0], ordered[-1])))
            yield "shorter side", f"{min(sides)} to {max(sides)}, median {median(sides):g}"
            yield "megapixels", f"{sum(h * w for h, w in ordered) / 1e6:.1f} in all"
        for title, counts in (("channels", self.channels), ("bits a sample", self.bits), ("format", self.formats)):
            yield title, ", ".join(f"{name}: {number}" for name, number in counts.most_common())


def check_folder(folder: Path, *, patch: int = 64, max_megapixels: float = 200.0) -> CheckReport:
    """Read every image of a folder, and report the broken, duplicate, mismatched and tiny ones.

    Args:
        folder: Folder of images, searched recursively; a paired set (input/ and target/) has its pairs checked too.
        patch: Images with a shorter side than this are reported: training cuts patches of this size.
        max_megapixels: Images with more pixels than this are reported, and not decoded.

    Returns:
        What was found; ``ok`` says whether nothing is wrong.

    Raises:
        UserError: The folder is missing, or holds no images.
    """
    paths = find_images(folder)
    if not paths:
        raise UserError(f"{folder}: holds no images (files that end in {', '.join(sorted(SUFFIXES))})")
    console = Console()
    report = CheckReport(folder, files=len(paths), pairs=None)
    halves: list[tuple[Path, Path]] = []
    try:
        halves = find_halves(folder)
    except UserError as error:
        report.problems.append(Finding("mismatch", str(error)))
    sizes: dict[Path, tuple[int, int]] = {}
    same: dict[bytes, list[Path]] = {}
    for path in track(paths, "reading", console=console, disable=not console.is_terminal, transient=True):
        picture = _read(path, report, patch, max_megapixels, sizes)
        if picture is not None:
            same.setdefault(_digest(picture), []).append(path)
    _compare_pairs(halves, sizes, report)
    _compare_contents([group for group in same.values() if len(group) > 1], [targets for _, targets in halves], report)
    _list_others(folder, report)
    report.show(console)
    return report


def _read(
    path: Path, report: CheckReport, patch: int, max_megapixels: float, sizes: dict[Path, tuple[int, int]]
) -> Picture | None:
    """Read one image whole, and note down its kind and what is wrong with it."""
    kind = "not an image"
    try:
        height, width = sizes[path] = read_size(path)
        kind = "broken" if height * width <= max_megapixels * 1e6 else "oversize"
        picture = read(path, max_megapixels=max_megapixels)
    except ImageError as error:
        report.problems.append(Finding(kind, str(error)))
        return None
    if min(height, width) < patch:
        message = f"{path}: {width}x{height} is smaller than the patch of {patch}"
        report.problems.append(Finding("tiny", message))
    report.sizes[height, width] += 1
    colours = "grey" if picture.pixels.shape[0] == 1 else "RGB"
    report.channels[colours + ("" if picture.alpha is None else " with alpha")] += 1
    report.bits[str(picture.bits)] += 1
    report.formats[picture.format] += 1
    if FORMATS[path.suffix.lower()] != picture.format:
        report.notes.append(Finding("another format than the name says", f"{path}: holds {picture.format}"))
    return picture


def _compare_pairs(halves: list[tuple[Path, Path]], sizes: dict[Path, tuple[int, int]], report: CheckReport) -> None:
    """Every image of a paired set needs one partner, of its size."""
    for inputs, targets in halves:
        try:
            pairs, lonely = match(inputs, targets, prefixed=True)
        except UserError as error:
            report.problems.append(Finding("mismatch", str(error)))
            continue
        report.pairs = (report.pairs or 0) + len(pairs)
        report.problems += [Finding("mismatch", message) for message in lonely]
        for first, second in pairs:
            if first in sizes and second in sizes and sizes[first] != sizes[second]:
                (h1, w1), (h2, w2) = sizes[first], sizes[second]
                report.problems.append(Finding("mismatch", f"{first} is {w1}x{h1} but {second} is {w2}x{h2}"))


def _compare_contents(groups: list[list[Path]], targets: list[Path], report: CheckReport) -> None:
    """Equal images are wrong, but for targets: sets of several inputs for one scene repeat its target."""
    for first, *others in groups:
        if all(any(folder in path.parents for folder in targets) for path in (first, *others)):
            report.notes.append(Finding("repeated target", f"{first} and {len(others)} more hold the same pixels"))
        else:
            report.problems += [Finding("duplicate", f"{first} and {path} hold the same pixels") for path in others]


def _list_others(folder: Path, report: CheckReport) -> None:
    """Say which files are passed over because of their names, so that no photograph goes missing unseen."""
    others: Counter[str] = Counter()
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        suffixes = (Path(name).suffix.lower() for name in files if not name.startswith("."))
        others.update(suffix or "no suffix" for suffix in suffixes if suffix not in SUFFIXES)
    if others:
        named = ", ".join(f"{suffix}: {number}" for suffix, number in others.most_common())
        report.notes.append(Finding("other files, not read", named))


def _digest(picture: Picture) -> bytes:
    """A fingerprint of the pixels; depth does not count, since 8 and 16 bits of one image are the same numbers."""
    digest = hashlib.blake2b(repr(tuple(picture.pixels.shape)).encode(), digest_size=16)
    digest.update(picture.pixels.numpy().tobytes())
    return digest.digest()
