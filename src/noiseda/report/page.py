"""A report as one file of HTML: nothing is asked for from outside, and nothing but its own script can run in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path

from noiseda.errors import UserError
from noiseda.report import curves, table
from noiseda.report.panes import Encoded, Shown, encoded, fitted
from noiseda.report.parts import Finding, Report
from noiseda.storage import put, spelt

LIMIT = 15_000_000
"""Bytes of a page, at most."""


def write_report(path: Path, report: Report) -> None:
    """Write a report as one file that opens from the disk, in any browser.

    The same report gives the same bytes. Pictures are cut, or left out, where the page would be larger than
    :data:`LIMIT`. Without a script, pictures and tables can still be read.

    Args:
        path: The file, ``report.html``.
        report: What it shows.

    Raises:
        UserError: The file cannot be written.
    """
    content = spelt(page(report))
    try:
        put(path, content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error


def page(report: Report, limit: int = LIMIT) -> str:
    """The page as text.

    Args:
        report: What it shows.
        limit: Bytes that it may have.
    """
    without = _whole(report, [])
    names = sum(3000 + 8 * len(one.name) * (len(one.panes) + 2) for one in report.comparisons)
    return _whole(report, fitted(report.comparisons, limit - len(spelt(without)) - names))


def _whole(report: Report, pictures: list[Shown]) -> str:
    style, script = (asset(name) for name in ("report.css", "report.js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_digest(style)}'; "
        f"script-src 'sha256-{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    sections = [
        ("pictures", "Pictures", "Pictures to compare", _pictures(report, pictures)),
        ("found", "Found", "What the photographs went through", _found(report.found)),
        ("taken", "Taken away", "What was taken away", _taken(pictures)),
        ("curves", "Curves", "Curves", _curves(report)),
        ("table", "Figures", "Image by image", table.markup(report.table) if report.table else ""),
        ("notes", "Notes", "Good to know", _notes(report)),
        ("settings", "Settings", "Settings and versions", _settings(report)),
    ]
    sections = [section for section in sections if section[3]]
    links = "".join(f'<li><a href="#{name}">{short}</a></li>' for name, short, _, _ in sections)
    body = "".join(
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{title}</h2>{content}</section>'
        for name, _, title, content in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(report.title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#content">To the content</a>\n{_header(report)}\n'
        f'<nav aria-label="sections"><ul>{links}</ul></nav>\n<main id="content">\n{body}\n</main>\n'
        f"{_footer(report.made_by)}\n<script>{script}</script>\n</body>\n</html>\n"
    )


@cache
def asset(name: str) -> str:
    """A file that comes with this package, as it stands within a page."""
    return files("noiseda.report").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _header(report: Report) -> str:
    because = f'<p class="because">{escape(report.because)}</p>' if report.because else ""
    return (
        f'<header class="{report.tone}"><h1>{escape(report.title)}</h1>'
        f'<p class="verdict">{escape(report.verdict)}</p>{because}{_pairs(report.facts, "facts")}</header>'
    )


def _pairs(values: Mapping[str, str], kind: str) -> str:
    """Names and values, as a list of definitions."""
    if not values:
        return ""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in values.items())
    return f'<dl class="{kind}">{items}</dl>'


def _pictures(report: Report, pictures: list[Shown]) -> str:
    if not pictures:
        return ""
    said = f"<p>{escape(report.looking)}</p>" if report.looking else ""
    left_out = len(report.comparisons) - len(pictures)
    said += f"<p>There is no room for {left_out} more.</p>" if left_out else ""
    return said + "".join(_comparison(one, number) for number, one in enumerate(pictures, 1))


def _comparison(one: Shown, number: int) -> str:
    name = one.comparison.name
    left, right = one.comparison.opened
    note = f' <span class="note">{escape(one.comparison.note)}</span>' if one.comparison.note else ""
    panes = "".join(_figure(pane, name, "pane") for pane in one.panes)
    return (
        f'<article class="comparison" aria-labelledby="picture-{number}">'
        f'<h3 id="picture-{number}">{escape(name)}{note}</h3>'
        f'<div class="panes" data-left="{left}" data-right="{right}">{panes}</div></article>'
    )


def _figure(shown: Encoded, name: str, kind: str) -> str:
    pane = shown.pane
    note = f' <span class="note">{escape(pane.note)}</span>' if pane.note else ""
    alt = escape(", ".join(filter(None, (name, pane.label, pane.note))))
    return (
        f'<figure class="{kind}" data-label="{escape(pane.label)}"><div class="window">'
        f'<img src="{shown.uri}" alt="{alt}" width="{shown.width}" height="{shown.height}" draggable="false"></div>'
        f"<figcaption>{escape(pane.label)}{note}</figcaption></figure>"
    )


def _found(found: Finding | None) -> str:
    if found is None:
        return ""
    chart = curves.figure(found.chart, 0) if found.chart else ""
    pictures = "".join(_figure(encoded(pane), "found", "small") for pane in found.pictures)
    strip = f'<div class="strip">{pictures}</div>' if pictures else ""
    return f"<p>{escape(found.words)}</p>{chart}{strip}"


def _taken(pictures: list[Shown]) -> str:
    strip = "".join(_figure(one.spectrum, one.comparison.name, "small") for one in pictures if one.spectrum is not None)
    if not strip:
        return ""
    return (
        "<p>Among the pictures above, the one called <em>taken away</em> shows where something was taken away. Noise "
        "alone has no outlines. Where you see outlines or texture, detail went with it.</p>"
        "<p>Below is its spectrum. Coarse structure is in the middle, fine structure at the edges. Even grey is noise "
        "that differs from pixel to pixel. A bright middle is coarse noise, or detail.</p>"
        f'<div class="strip">{strip}</div>'
    )


def _curves(report: Report) -> str:
    charts = "".join(curves.figure(chart, number) for number, chart in enumerate(report.charts, 1))
    return f'<div class="charts">{charts}</div>' if charts else ""


def _notes(report: Report) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    return f"<ul>{items}</ul>" if items else ""


def _settings(report: Report) -> str:
    text = ""
    if report.settings:
        text = f'<details><summary>All settings</summary><pre tabindex="0">{escape(report.settings)}</pre></details>'
    return _pairs(report.made_by, "made-by") + text


def _footer(made_by: Mapping[str, str]) -> str:
    version = escape(made_by.get("noiseda", ""))
    return f"<footer>Written by noiseda {version}. This page asks for nothing from outside.</footer>"
