"""The log of a run, line by line, and its curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from noiseda.report import parts
from noiseda.report.parts import Chart

Line = dict[str, float]
"""What was noted at a step, by name; its step among it."""

TITLES = {
    "validation_psnr": "PSNR on {of}",
    "score": "score that chooses the weights: that PSNR, less the error estimated on your photographs",
    "loss": "loss, in all",
}
"""Names in ``log.jsonl`` -> titles of their curves; others are their own."""

UNITS = {"validation_psnr": "dB", "score": "dB"}

_NO_CURVE = ("step", "samples_per_second", "waiting_for_data")


def read_log(path: Path) -> list[Line]:
    """The lines of a ``log.jsonl``; a last line that was cut off is left out."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


def charts(lines: Sequence[Mapping[str, float]], *, of: str) -> list[Chart]:
    """A curve of each loss, of PSNR, and of what else a run has noted at several steps; speed left out.

    Args:
        lines: of ``log.jsonl``.
        of: what the PSNR was measured on.
    """
    return [
        Chart(title_of(name, of), [parts.Line(name, points)], y=UNITS.get(name, ""))
        for name, points in _noted(lines).items()
        if len(points) > 1
    ]


def _noted(lines: Sequence[Mapping[str, float]]) -> dict[str, list[tuple[float, float]]]:
    """Name -> (step, value) of each line that has it, what is looked at most first; speed left out."""
    names = dict.fromkeys(name for line in lines for name in line if name not in _NO_CURVE)
    first = [name for name in ("loss", "validation_psnr", "score") if name in names]
    return {
        name: [(line["step"], line[name]) for line in lines if name in line] for name in dict.fromkeys([*first, *names])
    }


def title_of(name: str, of: str) -> str:
    """What a curve shows.

    Args:
        name: in ``log.jsonl``.
        of: what the PSNR was measured on.

    >>> title_of("validation_psnr", "look-alikes"), title_of("noise_swapped", "look-alikes")
    ('PSNR on look-alikes', 'noise swapped')
    """
    return TITLES.get(name, name.replace("_", " ")).format(of=of)


def measured_once(lines: Sequence[Mapping[str, float]], *, of: str) -> list[str]:
    """What short runs note at one step alone, a sentence each: a curve of it would be a dot.

    Args:
        lines: of ``log.jsonl``.
        of: as for :func:`charts`.
    """
    found = []
    for name, points in _noted(lines).items():
        if len(points) == 1:
            ((step, value),) = points
            said = f"measured once, at step {step:g}: {title_of(name, of)}, {value:.4g}"
            found.append(f"{said} {UNITS[name]}" if name in UNITS else said)
    return found
