"""The scores of a set of images as a page to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from noiseda.evaluation.comparisons import compared
from noiseda.images import enlarged, read
from noiseda.provenance import provenance
from noiseda.report import Comparison, Report, Table

Score = float | str
"""A number, or why there is none: ``unavailable: <reason>``."""

TITLES = {
    "psnr": "PSNR dB",
    "ssim": "SSIM",
    "psnr_best_shift": "best shift dB",
    "lpips": "LPIPS",
    "st_lpips": "ST-LPIPS",
}
"""Columns of scores as people read them."""

PICTURES = 4
"""Images that are shown: the lowest and the highest PSNR, and those between, evenly."""

_LOOKING = (
    "The image with the lowest PSNR, the one with the highest, and some between. Of large ones a part is shown. Drag "
    "the line, or show all side by side; + and - zoom."
)


def score_text(column: str, value: Score) -> str:
    """A score as people read it.

    >>> score_text("psnr", 28.314), score_text("ssim", 0.81234), score_text("lpips", "unavailable: no file")
    ('28.31', '0.8123', 'unavailable')
    """
    return "unavailable" if isinstance(value, str) else f"{value:.{_digits(column)}f}"


def scores_page(
    rows: Mapping[str, Mapping[str, Score]],
    mean: Mapping[str, Score],
    pairs: Mapping[str, tuple[Path, Path]],
    *,
    said: Sequence[str] = (),
    source: Mapping[str, str] | None = None,
    scale: int = 1,
    max_megapixels: float = 200.0,
) -> Report:
    """What a page shows of some scores.

    Args:
        rows: image -> column -> score.
        mean: column -> mean over the images.
        pairs: image -> (restored, target), the files that were scored.
        said: how they were, a sentence each.
        source: where they came from.
        scale: how many times as large the targets are.
        max_megapixels: images with more pixels than this are refused.

    Raises:
        ImageError: a file cannot be read any more.
    """
    ranked = sorted(rows, key=lambda name: rows[name]["psnr"])
    count = min(PICTURES, len(ranked))
    chosen = [ranked[index * (len(ranked) - 1) // max(1, count - 1)] for index in range(count)]
    facts = {TITLES[column]: score_text(column, value) for column, value in mean.items()}
    return Report(
        title="noiseda evaluate",
        verdict=_sentence(mean, len(ranked)),
        because=" ".join(said),
        facts=facts | {"images": str(len(ranked))},
        comparisons=[_shown(name, pairs[name], rows[name], scale, max_megapixels) for name in chosen],
        looking=_LOOKING,
        table=Table(
            [TITLES[column] for column in mean],
            [(name, [_cell(column, value) for column, value in row.items()]) for name, row in rows.items()],
            [_digits(column) for column in mean],
            (f"mean of {len(ranked)}", [_cell(column, value) for column, value in mean.items()]),
        ),
        made_by={**(source or {}), **provenance()},
    )


def _shown(
    name: str, files: tuple[Path, Path], row: Mapping[str, Score], scale: int, max_megapixels: float
) -> Comparison:
    restored, target = (read(path, max_megapixels=max_megapixels).pixels for path in files)
    notes = {"restored": " · ".join(f"{score_text(column, row[column])} {unit}" for column, unit in _NOTED)}
    images = {"restored": enlarged(restored, scale), "target": target}
    return compared(name, images, notes=notes, differs=("restored", "target"))


_NOTED = (("psnr", "dB"), ("ssim", "SSIM"))


def _sentence(mean: Mapping[str, Score], count: int) -> str:
    scores = " and ".join(f"{score_text(column, mean[column])} {unit}" for column, unit in _NOTED)
    if count == 1:
        return f"Against its target, 1 image scores {scores}."
    return f"Against their targets, {count} images score {scores}."


def _digits(column: str) -> int:
    return 2 if column.startswith("psnr") else 4


def _cell(column: str, value: Score) -> Score:
    return score_text(column, value) if isinstance(value, str) else value
