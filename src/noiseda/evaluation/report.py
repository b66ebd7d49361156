"""``noiseda evaluate``: restored images against their targets, one row each, and the means."""

from __future__ import annotations

import csv
import importlib.metadata
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from noiseda.data.folders import growth, pair_by_stem
from noiseda.errors import UserError
from noiseda.evaluation.page import TITLES, Score, score_text, scores_page
from noiseda.evaluation.perceptual import Lpips
from noiseda.evaluation.protocols import PROTOCOLS, Protocol, ProtocolName, comparable
from noiseda.evaluation.shift_tolerant import StLpips
from noiseda.images import enlarged, list_folder, read, read_bits
from noiseda.report import write_report
from noiseda.storage import atomic, spelt

_SHOWN = 16
"""Images listed on the screen; of more, the lowest and the highest are."""


@dataclass(frozen=True)
class Report:
    """The scores of a set of images under one protocol."""

    protocol: Protocol
    rows: Mapping[str, Mapping[str, Score]]
    """Image -> column -> score."""

    source: Mapping[str, str] = field(default_factory=dict)
    """Where the images came from."""

    lpips: Mapping[str, object] | None = None
    """What LPIPS, or ST-LPIPS in its place, was computed with, if it was."""

    enlarged: int = 1
    """By how much the images were enlarged before they were measured: their targets are so many times as large."""

    @property
    def mean(self) -> dict[str, Score]:
        """The mean of every column over the images.

        Infinite values (the PSNR of identical images) are left out of the mean and counted in :attr:`identical`; if
        there are no others the mean is infinite. A column that is unavailable for an image has no mean, but the reason.
        """
        columns = list(next(iter(self.rows.values())))
        return {column: _mean([row[column] for row in self.rows.values()]) for column in columns}

    @property
    def identical(self) -> list[str]:
        """The images that equal their target to the last bit (infinite PSNR)."""
        return [name for name, row in self.rows.items() if row["psnr"] == math.inf]

    @property
    def said(self) -> list[str]:
        """How the images were measured, and what is special about the scores: a sentence each."""
        deep = " Measured at 16 bits, as all files have them." if self.protocol.bits == 16 else ""
        found = [self.protocol.sentence + deep]
        if self.enlarged > 1:
            found.append(
                f"Targets are {self.enlarged} times as large as the images: these were enlarged by bicubic "
                "interpolation before they were measured."
            )
        if self.identical:
            found.append(f"{len(self.identical)} identical to the target: left out of the mean PSNR")
        return found + [f"{TITLES[column]} {value}" for column, value in self.mean.items() if isinstance(value, str)]

    def to_dict(self) -> dict[str, object]:
        """What goes into ``metrics.json``: JSON has no infinity, so it is the string ``"inf"`` there."""
        packages = ["noiseda", "torch", "scikit-image", "scipy"]
        packages += ["torchmetrics"] if "lpips" in self.mean and self.lpips else []
        return {
            "mean": {column: "inf" if value == math.inf else value for column, value in self.mean.items()},
            "images": len(self.rows),
            "identical": self.identical,
            "protocol": self.protocol.settings,
            "enlarged": {"by": self.enlarged, "how": "bicubic interpolation"} if self.enlarged > 1 else None,
            "lpips": self.lpips,
            "source": dict(self.source),
            "versions": {name: _version(name) for name in packages},
        }

    def save(self, folder: Path) -> None:
        """Write ``metrics.csv`` (one row for each image) and ``metrics.json`` (the means and all settings).

        Raises:
            UserError: The folder or a file cannot be written.
        """
        table = io.StringIO(newline="")
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["image", *self.mean])
        writer.writerows([name, *row.values()] for name, row in self.rows.items())
        document = json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in (("metrics.csv", table.getvalue()), ("metrics.json", document)):
                with atomic(folder / name) as file:
                    file.write(spelt(text))
        except OSError as error:
            raise UserError(f"--out {folder}: cannot be written: {error.strerror or error}") from error

    def show(self, console: Console) -> None:
        """Print the means, and the images from the lowest PSNR to the highest."""
        mean = self.mean
        table = Table()
        table.add_column("image", overflow="fold")
        for column in mean:
            table.add_column(TITLES[column], justify="right")
        ranked = sorted(self.rows.items(), key=lambda item: item[1]["psnr"])
        hidden = len(ranked) - _SHOWN
        for place, (name, row) in enumerate(ranked):
            if hidden > 0 and place == _SHOWN // 2:
                table.add_row(f"… {hidden} more", style="dim")
            if hidden <= 0 or not _SHOWN // 2 <= place < _SHOWN // 2 + hidden:
                table.add_row(Text(name), *(score_text(column, value) for column, value in row.items()))
        table.add_section()
        table.add_row(
            f"mean of {len(ranked)}", *(score_text(column, value) for column, value in mean.items()), style="bold"
        )
        console.print(table)
        for sentence in self.said:
            console.print(sentence, markup=False, highlight=False)


def evaluate(
    restored: Path,
    target: Path,
    *,
    protocol: ProtocolName = "rgb",
    out: Path | None = None,
    lpips: bool = False,
    weights_dir: Path | None = None,
    max_megapixels: float = 200.0,
) -> Report:
    """Score restored images against their targets, as the field does it.

    Images are matched by their path inside the folder without the suffix; one without a partner is an error.

    Targets may be 2, 3 or more times as high and wide, the same for all: the images are then the inputs of
    super-resolution. They are enlarged by bicubic interpolation, and the report says so.

    Args:
        restored: Folder of restored images, or one image.
        target: Folder of their targets, or one image.
        protocol: What is measured: rgb, sidd (MATLAB's SSIM), derain-y (luma) or deblur (also at the best shift).
        out: Folder that gets report.html to look at, metrics.csv (one row an image) and metrics.json (the means and
            all settings).
        lpips: Also measure LPIPS (AlexNet). Where its backbone cannot be had, ST-LPIPS, in a column of its own.
            Where that cannot be had either, the column says so.
        weights_dir: Folder that holds checkpoints/alexnet-owt-7be5be79.pth, for LPIPS (turns --lpips on).
        max_megapixels: Images with more pixels than this are refused.

    Returns:
        The scores.

    Raises:
        UserError: Something is missing, has no partner, or differs in size otherwise; the message names it.
    """
    console = Console()
    pairs = _pairs(Path(restored), Path(target))  # from Python, texts will do
    for place in (Path(restored), Path(target)):
        if place.is_dir():
            list_folder(place).warn()
    report = compare(
        pairs,
        PROTOCOLS[protocol],
        lpips=lpips or weights_dir is not None,
        weights_dir=weights_dir,
        max_megapixels=max_megapixels,
        progress=console if console.is_terminal else None,
    )
    report = replace(report, source={"restored": str(restored), "target": str(target)})
    if out is not None:
        report.save(Path(out))
        page = scores_page(
            report.rows,
            report.mean,
            pairs,
            said=report.said,
            source=report.source,
            scale=report.enlarged,
            max_megapixels=max_megapixels,
        )
        write_report(Path(out) / "report.html", page)
    report.show(console)
    return report


def compare(
    pairs: Mapping[str, tuple[Path, Path]],
    protocol: Protocol,
    *,
    lpips: bool = False,
    weights_dir: Path | None = None,
    max_megapixels: float = 200.0,
    progress: Console | None = None,
) -> Report:
    """Score pairs of files without printing or writing anything.

    Args:
        pairs: Name -> (restored, target).
        protocol: How to score; files that have 16 bits, all of them, are scored at 16.
        lpips: Also measure LPIPS, or ST-LPIPS where its backbone cannot be had.
        weights_dir: Where the backbone of LPIPS is; nothing stands in for it then.
        max_megapixels: Images with more pixels than this are refused.
        progress: Where to show a progress bar.

    Raises:
        ImageError: A file cannot be read.
        UserError: The two images of a pair differ in size, other than by one whole factor for all pairs, or are too
            small for the protocol.
    """
    scale = growth(pairs.values())
    distance = _distance(weights_dir) if lpips else None
    rows: dict[str, dict[str, Score]] = {}
    if all(read_bits(path) == 16 for pair in pairs.values() for path in pair):
        protocol = replace(protocol, bits=16)
    for name, (restored, target) in track(
        pairs.items(), description=protocol.name, console=progress, disable=progress is None, transient=True
    ):
        x, y = (read(path, max_megapixels=max_megapixels).pixels for path in (restored, target))
        x = enlarged(x, scale)
        try:
            rows[name] = dict(protocol.score(x, y))
        except UserError as error:
            raise UserError(f"{restored}: {error}") from error
        if isinstance(distance, str):
            rows[name]["lpips"] = distance
        elif distance is not None:
            try:
                rows[name][distance.name] = distance(*comparable(x, y, protocol.bits))
            except UserError as error:
                rows[name][distance.name] = f"{_UNAVAILABLE}{error}"
    settings = None if distance is None or isinstance(distance, str) else distance.settings
    return Report(protocol, rows, lpips=settings, enlarged=scale)


_UNAVAILABLE = "unavailable: "


def _pairs(restored: Path, target: Path) -> dict[str, tuple[Path, Path]]:
    for path in (restored, target):
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
    if restored.is_dir() != target.is_dir():
        folder, file = (restored, target) if restored.is_dir() else (target, restored)
        raise UserError(f"give two folders or two files: {folder} is a folder and {file} is a file")
    if restored.is_file():
        return {restored.name: (restored, target)}
    pairs = pair_by_stem(restored, target, grown=True)
    if not pairs:
        raise UserError(f"{restored} and {target} hold no images")
    return {pair[0].relative_to(restored).as_posix(): pair for pair in pairs}


def _distance(weights_dir: Path | None) -> Lpips | StLpips | str:
    try:
        return Lpips(weights_dir)
    except UserError as error:
        why = str(error)
    if weights_dir is None:
        try:
            return StLpips()
        except UserError as error:
            why += f"; {error}"
    return f"{_UNAVAILABLE}{why}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # ours, when it runs from its source
        return "not installed"


def _mean(values: Sequence[Score]) -> Score:
    reasons = [value for value in values if isinstance(value, str)]
    if reasons:
        return reasons[0]
    numbers = [value for value in values if not isinstance(value, str)]
    return fmean([value for value in numbers if math.isfinite(value)] or [math.inf])
