"""What the documents promise: their commands parse, their Python compiles, their links lead somewhere."""

import ast
import dataclasses
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

import noiseda
from noiseda import cli, help_text
from noiseda.config import AdaptSettings
from noiseda_research.comparison.matrix import CompareSettings

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "research").rglob("*.md")),
]


def name(path):
    return str(path.relative_to(ROOT))


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(path):
    """Every noiseda command line of a document: in its shell blocks, and in `code` that names a subcommand."""
    lines = [line for block in blocks(path, "sh") for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(
        r"`(noiseda (?:adapt|restore|evaluate|export|networks|hub|data|quickstart)[^`\n]*)`",
        path.read_text(encoding="utf-8"),
    )
    found = [re.search(r"(?:^|/|-m )noiseda (.*)", line) for line in lines]
    return [match[1] for match in found if match]


COMMANDS = [(name(path), command) for path in DOCUMENTS for command in commands(path)]


def test_the_readme_shows_the_whole_job():
    shown = [command.split()[0] for where, command in COMMANDS if where == "README.md"]
    assert {"adapt", "restore", "evaluate"} <= set(shown)


@pytest.mark.parametrize(("where", "line"), COMMANDS)
def test_command_lines_parse(where, line):
    words = shlex.split(line)
    if " ".join(words) in cli.COMMANDS or "COMMAND" in words:
        return  # named, not shown
    if not {"--help", "--help-all"}.isdisjoint(words):
        with pytest.raises(cli.Answer):
            cli.parse(words)
        return
    command, arguments = cli.parse(words)
    if command == "adapt":
        AdaptSettings(**arguments).check()


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if blocks(path, "python")], ids=name)
def test_python_compiles_and_names_what_exists(path):
    for block in blocks(path, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "noiseda":
                assert node.attr in noiseda.__all__


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_to_files_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (path.parent / target).exists(), f"{name(path)}: {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_flags_that_are_named_exist(path):
    """Every `--flag` in backticks is one of some command, so that no document outlives a setting."""
    known = {flag for command in cli.COMMANDS for flag in cli.build_parser(command)._option_string_actions}
    known |= {flag.replace("_", "-") for flag in known} | {"--help", "--help-all", "--version", "--completion"}
    trees = {f"--{name}" for command in cli.COMMANDS for name in help_text.trees(cli.build_parser(command))}
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for code in re.findall(r"`([^`\n]*--\w[^`\n]*)`", text):
        if re.match(r"--|noiseda ", code):
            for flag in re.findall(r"--\w[\w.-]*", code):
                full, *_ = cli.in_full([flag.rstrip(".")], "adapt", cli.build_parser("adapt"))
                assert full in known or flag.endswith(".") or flag.partition(".")[0] in trees, f"{name(path)}: {flag}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_into_pages_meet_a_heading(path):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", path.read_text(encoding="utf-8")):
        page = path.parent / target if target else path
        if page.suffix == ".md" and "://" not in target:
            assert anchor in anchors(page), f"{name(path)}: {target}#{anchor}"


def anchors(page):
    """The headings of a page as links name them."""
    found = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def indented(path):
    """The words of the command lines in a document's indented blocks, those included that a quote leads on."""
    waiting = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        waiting += f"{line.strip()}\n".replace("\\\n", " ") if line.startswith("    ") else ""
        try:
            words = shlex.split(waiting)
        except ValueError:
            continue
        if words and not line.endswith("\\"):
            yield words
            waiting = ""


REMOVED = {"late-neighbor2neighbor-tried"}
"""Rows of something that was replaced; the diary says at which commit they can still be run."""

COMPARISONS = [
    pytest.param(words[1:], id=f"{name(path)}-{number}")
    for path in DOCUMENTS
    for number, words in enumerate(indented(path))
    if words[:2] == ["noiseda", "compare"]
]


@pytest.mark.parametrize("words", COMPARISONS)
def test_every_table_can_still_be_made(words):
    """The rows and sets that a comparison's command names are in its matrix."""
    command, arguments = cli.parse([word.replace("[...]", "[]") for word in words])
    assert command == "compare"
    settings = CompareSettings(**arguments)
    dataclasses.replace(settings, only=[row for row in settings.only if row not in REMOVED]).check()


def test_there_are_tables_to_make():
    assert len(COMPARISONS) > 30


def test_modules_that_are_named_exist():
    named = {
        module
        for path in DOCUMENTS
        for module in re.findall(r"python -m ((?:bench|fuzz|noiseda_research)[\w.]*)", path.read_text(encoding="utf-8"))
    }
    assert {"bench.training", "noiseda_research.studies.verdicts"} <= named
    for module in named - {"noiseda_research.studies.NAME"}:
        assert importlib.util.find_spec(module), module


def test_the_users_page_of_results_copies_the_diary():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    diary = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "research" / "results").glob("*.md"))
    cells = {cell.strip() for line in diary.splitlines() if line.startswith("|") for cell in line.split("|")}
    rows = re.findall(r"^\|.*\|$(?!\n\|---)", page, re.MULTILINE)
    figures = [cell.strip() for line in rows for cell in line.split("|") if re.search(r"\d", cell)]
    assert len(figures) > 100
    assert not [figure for figure in figures if figure not in cells and figure.split(",")[0] not in cells]
    assert len(page.splitlines()) <= 150
    assert max(map(len, page.splitlines())) <= 120


def test_make_targets_that_are_named_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in DOCUMENTS:
        for target in re.findall(r"(?:^|`)make ([a-z]+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert target in targets, f"{name(path)}: make {target}"


def test_ci_runs_what_everyone_runs():
    script = ROOT / ".ci" / "run"
    assert "make test" in script.read_text(encoding="utf-8")
    assert script.stat().st_mode & 0o111
