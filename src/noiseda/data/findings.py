"""What ``noiseda data check`` finds, and how it is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from noiseda.data.depth import DARK
from noiseda.errors import ImageError
from noiseda.images import FORMATS, Picture, read, read_size
from noiseda.precision import FULL
from noiseda.streams import one_line

_SHOWN = 12
"""Problems of one kind that are listed on the screen."""


@dataclass(frozen=True)
class Finding:
    """Something about a file (or two)."""

    kind: str
    """broken, not an image (or empty), oversize, tiny, duplicate, mismatch, shard; or what kind of note it is."""

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

    shards: int | None = None
    """Shards that its index lists, if it holds some."""

    problems: list[Finding] = field(default_factory=list)
    """What would be skipped, refused or wrong in a run."""

    notes: list[Finding] = field(default_factory=list)
    """Worth knowing, not wrong."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(height, width) of the images that could be read -> how many."""

    bits: Counter[str] = field(default_factory=Counter)
    channels: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)

    highest: int = 0
    """Largest value of those with 16 bits."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def show(self, console: Console) -> None:
        """Print what the folder holds, then what is wrong, by kind."""
        table = Table(show_header=False)
        for title, value in self._summary():
            table.add_row(title, value)
        console.print(one_line(str(self.folder)), markup=False, highlight=False, soft_wrap=True)
        console.print(table)
        for findings, style in ((self.problems, "bold red"), (self.notes, "bold")):
            for kind, number in Counter(finding.kind for finding in findings).items():
                console.print(f"{kind} ({number})", style=style, markup=False)
                messages = [finding.message for finding in findings if finding.kind == kind]
                for message in messages[:_SHOWN]:
                    console.print(f"  {one_line(message)}", markup=False, highlight=False, soft_wrap=True)
                if number > _SHOWN:
                    console.print(f"  … and {number - _SHOWN} more", markup=False)
        if 0 < self.highest <= DARK and set(self.bits) == {"16"}:
            console.print(self._dark(), markup=False, highlight=False, soft_wrap=True)
        verdict = "nothing wrong" if self.ok else f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        console.print(verdict, style="bold green" if self.ok else "bold red")

    def _dark(self) -> str:
        return (
            f"dark: the highest value is {self.highest} of {FULL}, as of files that hold a sensor's numbers; noiseda "
            "adapt takes what its bits can count to for white (--white_level)"
        )

    def _summary(self) -> Iterator[tuple[str, str]]:
        yield "images", f"{self.files}" + ("" if self.pairs is None else f" ({self.pairs} pairs)")
        if self.sizes:
            ordered = sorted(self.sizes.elements(), key=lambda size: size[0] * size[1])
            sides = [min(size) for size in ordered]
            yield "width x height", " to ".join(f"{w}x{h}" for h, w in dict.fromkeys((ordered[0], ordered[-1])))
            yield "shorter side", f"{min(sides)} to {max(sides)}, median {median(sides):g}"
            yield "megapixels", f"{sum(h * w for h, w in ordered) / 1e6:.1f} in all"
        if self.shards is not None:
            yield "shards", f"{self.shards}"
        for title, counts in (("channels", self.channels), ("bits a sample", self.bits), ("format", self.formats)):
            yield title, ", ".join(f"{name}: {number}" for name, number in counts.most_common())


def read_image(
    path: Path, report: CheckReport, patch: int, max_megapixels: float, sizes: dict[Path, tuple[int, int]]
) -> Picture | None:
    """Read one image whole, and note down its kind and what is wrong with it.

    Args:
        path: the image.
        report: where it is noted.
        patch: images with a shorter side than this are tiny.
        max_megapixels: larger images are not decoded.
        sizes: gets its height and width.

    Returns:
        The image, where it can be read.
    """
    kind = "not an image"
    try:
        height, width = sizes[path] = read_size(path)
        kind = "broken" if height * width <= max_megapixels * 1e6 else "oversize"
        picture = read(path, max_megapixels=max_megapixels, say=False)
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
    if picture.bits == 16:
        report.highest = max(report.highest, round(FULL * float(picture.pixels.max())))
    report.formats[picture.format] += 1
    report.notes += [Finding("odd, but read", f"{path}: {note}") for note in picture.notes]
    if FORMATS.get(path.suffix.lower(), picture.format) != picture.format:
        report.notes.append(Finding("another format than the name says", f"{path}: holds {picture.format}"))
    return picture
