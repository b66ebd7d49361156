"""What is made while the site is built, and whether it asks for anything from outside."""

import doctest
import importlib
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from website import outside_files, requests_outside

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["docstrings", "flags", "outside_files", "requests_outside"])
def test_examples_in_docstrings(name):
    tried = doctest.testmod(importlib.import_module(f"website.{name}"))
    assert tried.attempted > 0
    assert tried.failed == 0


def page(source):
    """A page of the site, and its settings."""
    config = SimpleNamespace(config_file_path=str(ROOT / "mkdocs.yml"), docs_dir=str(ROOT / "docs"))
    return SimpleNamespace(file=SimpleNamespace(src_uri=source)), config


@pytest.mark.parametrize(
    ("source", "written", "led"),
    [
        ("how-to/a.md", "[x](../../src/noiseda/cli.py)", "[x](../repository/src/noiseda/cli.py.md)"),
        ("a.md", "[x](../research/README.md#studies)", "[x](repository/research/README.md#studies)"),
        ("how-to/a.md", "[x](../results.md#a), ![p](../images/p.png)", "[x](../results.md#a), ![p](../images/p.png)"),
        ("a.md", "[`src`](../src/noiseda)", "`src`"),
        ("a.md", "[x](https://example.org/a)", "[x](https://example.org/a)"),
        ("repository/research/README.md", "[x](../docs/results.md)", "[x](../../results.md)"),
        ("repository/research/README.md", "[x](comparing.md)", "[x](comparing.md)"),
        ("a.md", "```\n[x](../src/noiseda/cli.py)\n```\n", "```\n[x](../src/noiseda/cli.py)\n```\n"),
    ],
)
def test_links_lead_to_the_pages_of_files_outside(source, written, led):
    made, config = page(source)
    assert outside_files.on_page_markdown(written, made, config, None) == led


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ('<link href="https://fonts.example/a.css" rel="stylesheet">', ["https://fonts.example/a.css"]),
        ('<link rel="canonical" href="https://example.org">', []),
        ('<link href="assets/a.css" rel=stylesheet><script src="../a.js"></script>', []),
        ('<img alt="x" src="//example.org/a.png">', ["//example.org/a.png"]),
        ('@import "https://example.org/a.css";', ["https://example.org/a.css"]),
    ],
)
def test_requests_to_outside_are_found(text, asked):
    assert list(requests_outside.requests(text)) == asked


def test_a_site_that_asks_for_something_is_refused(tmp_path, capsys):
    (tmp_path / "a.html").write_text('<a href="https://example.org">x</a>')
    assert requests_outside.main(str(tmp_path)) == 0
    (tmp_path / "b.css").write_text("src: url(https://example.org/a.woff2)")
    assert requests_outside.main(str(tmp_path)) == 1
    assert "b.css: https://example.org/a.woff2" in capsys.readouterr().err


def test_the_site_is_built_strictly_and_every_link_is_checked():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    checks = re.findall(r"(?:omitted_files|not_found|anchors|absolute_links|unrecognized_links): (\w+)", text)
    assert checks == ["warn"] * 7
    assert "mkdocs build --strict" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "make docs" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
