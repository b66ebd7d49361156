"""The log of a run, line by line, and its curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from noiseda.report import parts
from noiseda.report.parts import Chart

Line = dict[str, float]
"""What was noted at a step, by name; its step among it."""

TITLES = {"validation_psnr": "PSNR on {of}", "score": "score that chooses the weights", "loss": "loss, in all"}
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
    """A curve of each loss, of PSNR, and of what else a run has noted at each step; speed left out.

    Args:
        lines: of ``log.jsonl``.
        of: what the PSNR was measured on.
    """
    names = dict.fromkeys(name for line in lines for name in line if name not in _NO_CURVE)
    first = [name for name in ("loss", "validation_psnr", "score") if name in names]
    return [
        Chart(
            TITLES.get(name, name.replace("_", " ")).format(of=of),
            [parts.Line(name, [(line["step"], line[name]) for line in lines if name in line])],
            y=UNITS.get(name, ""),
        )
        for name in dict.fromkeys([*first, *names])
    ]
