"""What a report is made of: plain values, from whatever command has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

Score = float | str
"""A number, or a word in its place."""

Tone = Literal["good", "bad", "plain"]
"""Whether something is good news, bad news, or neither."""


@dataclass(frozen=True)
class Pane:
    """One version of a photograph.

    Attributes:
        label: what it is: ``input``, ``adapted``, ``target``.
        pixels: (C, H, W) in [0, 1], C = 1 or 3.
        note: a figure beside the label, such as its PSNR.
    """

    label: str
    pixels: Tensor
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """One photograph in several versions, to be looked at together.

    Attributes:
        name: of the photograph.
        panes: its versions, all of one height and width.
        opens: labels of the two that are compared at first; by default the first and the last.
        note: which part of the photograph it is.
        spectrum: (1, S, S) in [0, 1], of what was taken away (:func:`noiseda.report.panes.spectrum`).
    """

    name: str
    panes: Sequence[Pane]
    opens: tuple[str, str] | None = None
    note: str = ""
    spectrum: Tensor | None = None

    @property
    def opened(self) -> tuple[int, int]:
        """Indices of the two panes that are compared at first."""
        labels = [pane.label for pane in self.panes]
        return (
            (0, len(labels) - 1) if self.opens is None else (labels.index(self.opens[0]), labels.index(self.opens[1]))
        )


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: what it shows.
        points: (x, y), with x rising; those that are not finite are left out.
        low: y of the lower edge of a band around it, one a point; none without a band.
        high: that of the upper edge.
    """

    name: str
    points: Sequence[tuple[float, float]]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Chart:
    """A small drawing of one line or a few.

    Attributes:
        title: what is drawn.
        lines: the lines.
        x: name of the horizontal axis, with its unit.
        y: unit of the vertical one, if it has any.
        note: a sentence below.
    """

    title: str
    lines: Sequence[Line]
    x: str = "step"
    y: str = ""
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """What the photographs were found to have gone through.

    Attributes:
        words: in a sentence or two.
        chart: the same as a drawing.
        pictures: or as small pictures, such as kernels.
    """

    words: str
    chart: Chart | None = None
    pictures: Sequence[Pane] = ()


@dataclass(frozen=True)
class Table:
    """Figures of each image.

    Attributes:
        columns: their names, with units.
        rows: image, and a score for each column.
        digits: decimals of each column.
        last: name and scores of a last row that is not sorted, such as the mean.
        note: how they were measured.
    """

    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Score]]]
    digits: Sequence[int]
    last: tuple[str, Sequence[Score]] | None = None
    note: str = ""


@dataclass(frozen=True)
class Report:
    """All that a page shows; what is empty is left out.

    Attributes:
        title: what was done.
        verdict: in one sentence.
        tone: whether that is good news, bad news, or neither.
        because: the figures behind it.
        facts: name -> figure, a few that are seen at a glance.
        found: what the photographs went through.
        comparisons: photographs to look at.
        looking: what is said above these.
        charts: losses and PSNR over the run.
        table: figures of each image.
        notes: what else there is to know, a sentence each.
        settings: as text.
        made_by: name -> version, commit, machine.
    """

    title: str
    verdict: str
    tone: Tone = "plain"
    because: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    found: Finding | None = None
    comparisons: Sequence[Comparison] = ()
    looking: str = ""
    charts: Sequence[Chart] = ()
    table: Table | None = None
    notes: Sequence[str] = ()
    settings: str = ""
    made_by: Mapping[str, str] = field(default_factory=dict)
