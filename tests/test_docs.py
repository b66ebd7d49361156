"""How the pages are written, and that nothing is missing from them."""

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

import noiseda
from noiseda.data.degradations import DEGRADATIONS
from noiseda.restoration.catalogue import NETWORKS
from noiseda.strategies import StrategyChoice
from tests import words

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.rglob("*.md")),
    *sorted((ROOT / "research").glob("*.md")),
]
"""All but the dated diaries and the list of changes, which are records."""


def name(path):
    return path.relative_to(ROOT).as_posix()


def text(path):
    return path.read_text(encoding="utf-8")


def test_no_line_is_longer_than_120_letters():
    found = [f"{name(page)}:{number}" for page in PAGES for number, line in lines(page) if len(line) > 120]
    assert not found


def lines(page):
    return enumerate(text(page).splitlines(), start=1)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_sentences_have_fifteen_words_on_average_and_none_is_a_maze(page):
    assert words.mean_length(text(page)) <= 15
    assert max(map(len, words.sentences(text(page))), default=0) <= 35


def test_how_sentences_are_counted():
    page = "# A title\n\nOne two three. Four `a b` [five six](x.md)!\n\n    no prose\n\n- an item\n  of five words\n"
    assert words.sentences(page) == [
        ["One", "two", "three."],
        ["Four", "code", "five", "six!"],
        ["an", "item", "of", "five", "words"],
    ]
    assert words.mean_length(page) == 4


def test_nothing_is_told_and_nothing_looks_like_anything():
    found = [
        f"{name(page)}:{number}: {line}"
        for page in PAGES
        for number, line in lines(page)
        if re.search(r"\b(?:told|tells?|looks? like)\b", line)
    ]
    assert not found


def test_the_readme_and_the_front_page_say_what_it_is():
    assert len(text(ROOT / "README.md").splitlines()) <= 100
    for page in (ROOT / "README.md", DOCS / "index.md"):
        said = " ".join(text(page).split())
        for part in (
            "finds out what your photographs went through",
            "trains on that",
            "themselves",
            "measured honestly",
        ):
            assert part in said, name(page)


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"[\w/-]+\.md", text(ROOT / "mkdocs.yml")))
    assert listed == {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}


def test_every_public_name_is_in_the_reference():
    pages = sorted((DOCS / "reference" / "python").glob("*.md"))
    named = [found for page in pages for found in re.findall(r"^::: noiseda\.(\w+)$", text(page), re.MULTILINE)]
    assert sorted(named) == sorted(noiseda.__all__)


def first_cells(page):
    """What is in code in the first cells of the tables of a page."""
    rows = re.findall(r"^\| ([^|]+) \|", text(DOCS / "reference" / page), re.MULTILINE)
    return [found for cell in rows for found in re.findall(r"`([^`]+)`", cell)]


def test_every_strategy_degradation_and_network_has_a_row():
    strategies = set(first_cells("strategies.md"))
    assert strategies == set(get_args(StrategyChoice))
    assert set(first_cells("degradations.md")) == {*DEGRADATIONS}
    networks = [found for found in first_cells("networks.md") if found != "--network"]
    assert networks == list(NETWORKS)


@pytest.mark.slow
def test_the_table_of_networks_has_their_figures():
    from noiseda.inference.networks import rows

    page = text(DOCS / "reference" / "networks.md")
    for row in rows():
        assert (
            f"| `{row.name}` | {re.sub(r' blocks=.*', '', row.size).replace('=', ' ').replace(' depth', ', depth')} |"
            in page
        )
        if row.parameters is not None:
            assert f"| {row.parameters / 1e6:.2f} M | {row.gmac:.1f} | {row.padding} |" in page


def test_pages_that_the_code_names_exist():
    places = ["src", "bench", "tests", "fuzz", "configs", "examples", "website", "research/src"]
    files = [path for place in places for path in (ROOT / place).rglob("*") if path.suffix in (".py", ".yaml")]
    named = {
        (name(path), page)
        for path in files
        if path != Path(__file__) and "website" not in path.parts
        for page in re.findall(r"(?<![\w/])docs/[\w/-]+\.md", text(path))
    }
    assert len(named) > 20
    assert not [(path, page) for path, page in sorted(named) if not (ROOT / page).exists()]


def test_tutorials_include_examples_and_do_not_copy_them():
    page = text(DOCS / "tutorials" / "your-objects.md")
    included = re.findall(r'^--8<-- "(.+)"$', page, re.MULTILINE)
    run = ["examples/own_network.py", "examples/own_objective.py"]
    assert included == [*run, "examples/own_strategy/edges.py"]
    for path in run:
        (main,) = [node for node in ast.parse(text(ROOT / path)).body if getattr(node, "name", "") == "main"]
        assert [argument.arg for argument in main.args.args[:3]] == ["clean", "real", "out"]
        assert f"python {path} " in page
