"""The absolute table, second step: what the lines of a measurement come to.

    python -m noiseda_research.classical.table LINES [LINES...] [--measure psnr|ssim]

Rows named *oracle* were chosen by the truth: no user could. In rows named *told* the rival knows the noise, as papers
have it for white noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

from noiseda_research.classical.measure import Line, read_lines
from noiseda_research.classical.pictures import SETS, known_sigma
from noiseda_research.classical.rivals import RIVALS

Measure = Literal["psnr", "ssim"]

Place = tuple[str, int | None]
"""A set, and the side of what was cut out of its images."""

ONE_FOR_ALL, EACH_ITS_OWN = "best single strength of a set (oracle)", "best strength an image (oracle)"
TRUE, ONLY = "told the true sigma", "the only strength tried"


@dataclass(frozen=True)
class Cell:
    """A mean over the images of a set."""

    mean: float
    images: int
    strength: float | None = None
    """The one strength that all images were restored with, where there was one."""


def cells(lines: Iterable[Line], measure: Measure = "psnr") -> dict[tuple[str, str], dict[Place, Cell]]:
    """The table: rival and choice of its strength -> set -> mean.

    Strengths are chosen by PSNR, whatever measure is shown. A strength counts only where it was measured on as many
    images as any other strength of that rival there.

    Args:
        lines: what was measured; where a line stands twice, the last one counts.
        measure: what is averaged.
    """
    groups: dict[tuple[str, Place], dict[float | None, dict[str, Line]]] = {}
    for line in lines:
        strengths = groups.setdefault((line.rival, (line.set, line.crop)), {})
        strengths.setdefault(line.parameter if line.told else None, {})[line.picture] = line
    found: dict[tuple[str, str], dict[Place, Cell]] = {}
    for (rival, place), strengths in groups.items():
        for choice, cell in _choices(rival, place[0], strengths, measure).items():
            found.setdefault((rival, choice), {})[place] = cell
    return found


def _choices(
    rival: str, where: str, strengths: Mapping[float | None, Mapping[str, Line]], measure: Measure
) -> dict[str, Cell]:
    if None in strengths:
        return {"": _cell(strengths[None].values(), measure)}
    most = max(len(of) for of in strengths.values())
    whole = {strength: of for strength, of in strengths.items() if strength is not None and len(of) == most}
    sigma = known_sigma(where)
    if sigma in whole and len(whole) == 1 and rival in RIVALS and RIVALS[rival].told_sigma:
        return {TRUE: _cell(whole[sigma].values(), measure, sigma)}
    best = max(whole, key=lambda strength: fmean(line.psnr for line in whole[strength].values()))
    at_best = _cell(whole[best].values(), measure, best)
    if len(whole) == 1:
        return {ONLY: at_best}
    each = (max((of[picture] for of in whole.values()), key=lambda line: line.psnr) for picture in whole[best])
    return {ONE_FOR_ALL: at_best, EACH_ITS_OWN: _cell(each, measure)}


def _cell(lines: Iterable[Line], measure: Measure, strength: float | None = None) -> Cell:
    values = [getattr(line, measure) for line in lines]
    return Cell(fmean(values), len(values), strength)


def seconds_a_megapixel(lines: Iterable[Line]) -> dict[str, float]:
    """Rival -> seconds of processor time a megapixel, over all of its lines."""
    spent: dict[str, float] = {}
    seen: dict[str, float] = {}
    for line in lines:
        spent[line.rival] = spent.get(line.rival, 0.0) + line.seconds
        seen[line.rival] = seen.get(line.rival, 0.0) + line.megapixels
    return {rival: spent[rival] / seen[rival] for rival in spent}


def markdown(lines: Sequence[Line], measure: Measure = "psnr") -> str:
    """The table as Markdown: a row for each rival and choice, a column for each set and crop.

    Images are counted where a rival has not been through all of a set yet.
    """
    found, seconds = cells(lines, measure), seconds_a_megapixel(lines)
    places = sorted({place for row in found.values() for place in row}, key=_order)
    counts = {place: max(row[place].images for row in found.values() if place in row) for place in places}
    names = [*RIVALS, *sorted({rival for rival, _ in found} - set(RIVALS))]
    heads = [f"{name}, {'whole' if crop is None else crop} ({counts[name, crop]})" for name, crop in places]
    rows = [["rival", "strength", *heads, "s a megapixel"]]
    for rival, choice in sorted(found, key=lambda key: names.index(key[0])):
        row = found[rival, choice]
        texts = [_text(row.get(place), counts[place], measure) for place in places]
        rows.append([rival, choice, *texts, _short(seconds[rival])])
    rule = ["---"] * len(rows[0])
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))


def _order(place: Place) -> tuple[int, int]:
    return SETS.index(place[0]) if place[0] in SETS else len(SETS), place[1] or 1_000_000


def _text(cell: Cell | None, of: int, measure: Measure) -> str:
    if cell is None:
        return ""
    text = f"{cell.mean:.2f}" if measure == "psnr" else f"{cell.mean:.3f}"
    at = "" if cell.strength is None else f" at {cell.strength:g}"
    return text + at + (f" (only {cell.images})" if cell.images < of else "")


def _short(seconds: float) -> str:
    """Two digits, and all of those before the point.

    >>> _short(0.5432), _short(215.3)
    ('0.54', '215')
    """
    return f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", type=Path, nargs="+", help="files that the first step wrote")
    parser.add_argument("--measure", choices=("psnr", "ssim"), default="psnr", help="what is shown; psnr by default")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS, metavar="NAME", help="only these")
    parser.add_argument("--crop", type=int, help="only images cut to this side; 0 for whole ones; all by default")
    asked = parser.parse_args(arguments)
    lines = [line for path in asked.lines for line in read_lines(path) if line.set in asked.sets]
    if asked.crop is not None:
        lines = [line for line in lines if (line.crop or 0) == asked.crop]
    print(markdown(lines, asked.measure) if lines else "no lines")


if __name__ == "__main__":
    main()
