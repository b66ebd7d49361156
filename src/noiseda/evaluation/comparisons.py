"""Versions of a photograph as a report compares them: cut to its most structured part, each with its PSNR."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from noiseda.evaluation.sheet import Row, structured_part, versions_psnr
from noiseda.report import Comparison, Pane
from noiseda.report.panes import amplified, spectrum

SIDE = 512
"""Side of what is shown of a photograph, in pixels, at most."""


def compared(
    name: str,
    images: Mapping[str, Tensor],
    target: Tensor | None = None,
    *,
    notes: Mapping[str, str] | None = None,
    opens: tuple[str, str] | None = None,
    differs: tuple[str, str] | None = None,
    taken: bool = False,
    side: int = SIDE,
) -> Comparison:
    """One photograph in several versions, for a report.

    Args:
        name: of the photograph.
        images: label -> (C, H, W) in [0, 1], all of one height and width.
        target: (C, H, W), to which each version's PSNR is taken (all channels, 8 bits); it may be one of them too.
        notes: label -> what is said beside it, in place of its PSNR.
        opens: labels of the two that are compared at first.
        differs: labels of two whose difference is shown too, amplified: the first less the second.
        taken: whether the second is what is left of the first: the spectrum of the difference is shown as well.
        side: of the part that is shown, at most.

    Returns:
        The versions, and what differs between two of them.
    """
    if notes is None:
        notes = dict(zip(images, map(_decibels, versions_psnr(Row(name, images, target))), strict=True))
    truth = target if target is not None else list(images.values())[-1]
    rows, columns = structured_part(truth, side)
    parts = {label: image[:, rows, columns] for label, image in images.items()}
    panes = [Pane(label, part, notes.get(label, "")) for label, part in parts.items()]
    (height, width), (high, wide) = truth.shape[-2:], truth[:, rows, columns].shape[-2:]
    note = "" if (high, wide) == (height, width) else f"{wide} × {high} of {width} × {height} pixels"
    if differs is None:
        return Comparison(name, panes, opens, note)
    difference = parts[differs[0]] - parts[differs[1]]
    strong, times = amplified(difference)
    label = f"{'taken away' if taken else 'difference'} × {times}"
    panes.append(Pane(label, strong))
    return Comparison(name, panes, opens or differs, note, spectrum(difference) if taken else None)


def _decibels(value: float | None) -> str:
    return "" if value is None else "identical" if value == math.inf else f"{value:.2f} dB"
