"""A table of figures that can be sorted by each of its columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from noiseda.report.parts import Score, Table


def markup(table: Table) -> str:
    """The table; each header holds a button, and each number its value for sorting."""
    heads = "".join(_head(name, number=index > 0) for index, name in enumerate(("image", *table.columns)))
    rows = "".join(_row(name, scores, table.digits) for name, scores in table.rows)
    last = f"<tfoot>{_row(*table.last, table.digits)}</tfoot>" if table.last else ""
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    return (
        f'{note}<div class="wide" role="region" aria-label="figures of each image" tabindex="0">'
        f'<table class="sortable"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>{last}</table></div>'
    )


def _head(name: str, *, number: bool) -> str:
    kind = ' class="number"' if number else ""
    return f'<th scope="col"{kind} aria-sort="none"><button type="button">{escape(name)}</button></th>'


def _row(name: str, scores: Sequence[Score], digits: Sequence[int]) -> str:
    cells = "".join(_cell(score, places) for score, places in zip(scores, digits, strict=True))
    return f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'


def _cell(score: Score, places: int) -> str:
    if isinstance(score, str):
        return f'<td class="number" data-value="">{escape(score)}</td>'
    text = f"{score:.{places}f}" if math.isfinite(score) else "identical" if score > 0 else "–"
    value = repr(score) if math.isfinite(score) else "Infinity" if score > 0 else ""
    return f'<td class="number" data-value="{value}">{text}</td>'
