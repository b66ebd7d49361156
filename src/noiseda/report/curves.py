"""Charts as SVG within the page: axes with round numbers, lines, bands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import count

from noiseda.report.parts import Chart, Line

WIDTH, HEIGHT = 360, 216
"""Size of a chart, in the units that its text is 11 of."""

MOST = 400
"""Points of a line, at most; of more, some are left out evenly."""

FAR = 30.0
"""Ratio of the largest to the smallest value from which on the vertical axis is logarithmic."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 22, 10, 34

Place = Callable[[float], float]


def figure(chart: Chart, number: int) -> str:
    """A chart with its title and its note.

    Args:
        chart: what is drawn.
        number: its own in the page, for the names that refer to it.
    """
    lines = [line for line in map(_finite, chart.lines) if line.points]
    if not lines:
        return ""
    about = "; ".join(_summary(line, chart.x) for line in lines)
    note = f'<span class="note">{escape(chart.note)}</span>' if chart.note else ""
    title = escape(f"{chart.title}, {chart.y}" if chart.y else chart.title)
    legend = ""
    if len(lines) > 1:
        keys = "".join(f'<li class="series-{index}">{escape(line.name)}</li>' for index, line in enumerate(lines))
        legend = f'<ul class="legend">{keys}</ul>'
    return (
        f'<figure class="chart"><figcaption id="chart-{number}">{title}{note}</figcaption>{legend}'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="chart-{number} about-{number}">'
        f'<desc id="about-{number}">{escape(about)}</desc>{_drawn(chart, lines)}</svg></figure>'
    )


def _drawn(chart: Chart, lines: Sequence[Line]) -> str:
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for y in (*(y for _, y in line.points), *line.low, *line.high)]
    logarithmic = min(ys) > 0 and max(ys) / min(ys) > FAR
    bottom, top = _range(ys, logarithmic)
    left, right = min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1

    def across(x: float) -> float:
        return _LEFT + (x - left) / (right - left) * (WIDTH - _LEFT - _RIGHT)

    def down(y: float) -> float:
        share = (_scaled(y, logarithmic) - bottom) / (top - bottom)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)

    parts = []
    for value, text in _marks(bottom, top, logarithmic):
        at = f"{down(value):.1f}"
        parts.append(f'<path class="grid" d="M{_LEFT} {at}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="end" x="{_LEFT - 6}" y="{float(at) + 3.5:.1f}">{text}</text>')
    for value in _round(left, right, 4, whole=all(float(x).is_integer() for x in xs)):
        parts.append(f'<text class="middle" x="{across(value):.1f}" y="{HEIGHT - 18}">{_short(value)}</text>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text class="middle axis" x="{middle:.0f}" y="{HEIGHT - 3}">{escape(chart.x)}</text>')
    for index, line in enumerate(lines):
        if line.low:
            edge = [*zip((x for x, _ in line.points), line.high, strict=True)]
            edge += [*zip((x for x, _ in line.points), line.low, strict=True)][::-1]
            parts.append(f'<path class="band series-{index}" d="{_path(edge, across, down)}Z"/>')
        if len(line.points) == 1:
            x, y = line.points[0]
            parts.append(f'<circle class="dot series-{index}" cx="{across(x):.1f}" cy="{down(y):.1f}" r="3"/>')
        else:
            parts.append(f'<path class="line series-{index}" d="{_path(line.points, across, down)}"/>')
    return "".join(parts)


def _path(points: Iterable[tuple[float, float]], across: Place, down: Place) -> str:
    return "M" + "L".join(f"{across(x):.1f} {down(y):.1f}" for x, y in points)


def _finite(line: Line) -> Line:
    """A line without what cannot be drawn, and with :data:`MOST` points."""
    kept = [index for index, point in enumerate(line.points) if all(map(math.isfinite, point))]
    every = max(1, math.ceil(len(kept) / MOST))
    kept = [*kept[:-1:every], kept[-1]] if kept else []
    low, high = ([edge[index] for index in kept] if edge else [] for edge in (line.low, line.high))
    return Line(line.name, [line.points[index] for index in kept], low, high)


def _summary(line: Line, x: str) -> str:
    """A line in words, for who does not see it."""
    (first, begins), (last, ends) = line.points[0], line.points[-1]
    return f"{line.name}: {_short(begins)} at {x} {_short(first)}, {_short(ends)} at {x} {_short(last)}"


def _scaled(value: float, logarithmic: bool) -> float:
    return math.log10(value) if logarithmic else value


def _range(values: Sequence[float], logarithmic: bool) -> tuple[float, float]:
    """Lower and upper end of the vertical axis, with some air."""
    low, high = (_scaled(value, logarithmic) for value in (min(values), max(values)))
    air = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    positive = low >= 0 and not logarithmic
    return (max(0.0, low - air) if positive else low - air), high + air


def _marks(bottom: float, top: float, logarithmic: bool) -> list[tuple[float, str]]:
    """Values on the vertical axis, and their texts."""
    if not logarithmic:
        return [(value, _short(value)) for value in _round(bottom, top, 4)]
    powers = range(math.ceil(bottom), math.floor(top) + 1)
    steps = (1, 2, 5) if len(powers) < 3 else (1,)
    values = [step * 10.0**power for power in range(math.floor(bottom), math.floor(top) + 1) for step in steps]
    inside = [value for value in values if bottom <= math.log10(value) <= top]
    return [(value, _short(value)) for value in inside[:: math.ceil(len(inside) / 6) or 1]]


def _round(low: float, high: float, wanted: int, *, whole: bool = False) -> list[float]:
    """Round values from ``low`` to ``high``, about as many as wanted; perhaps whole ones alone.

    >>> _round(0.0, 1000.0, 4), _round(1.0, 6.0, 4, whole=True)
    ([0.0, 250.0, 500.0, 750.0, 1000.0], [2.0, 4.0, 6.0])
    """
    raw = max((high - low) / wanted, 1.0 if whole else 0.0)
    power = 10.0 ** math.floor(math.log10(raw))
    steps = (1, 2, 5, 10) if whole and raw < 5 else (1, 2, 2.5, 5, 10)
    step = next(times * power for times in steps if times * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    found: list[float] = []
    for index in count(first):
        if index * step > high + 1e-9 * step:
            return found
        found.append(index * step)
    return found


def _short(value: float) -> str:
    """Four digits at most, and no power of ten where it reads well without.

    >>> _short(0.03125), _short(12000.0), _short(0.0), _short(2e-6)
    ('0.03125', '12000', '0', '2e-06')
    """
    return f"{value:.0f}" if abs(value) >= 1000 and abs(value) < 1e6 else f"{value:.4g}"
