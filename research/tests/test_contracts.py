"""What research uses of noiseda: public names, and of the rest only what is listed here."""

import ast
import importlib
from pathlib import Path

SOURCES = sorted((Path(__file__).parents[1] / "src").rglob("*.py"))

NOT_PUBLIC = {
    "noiseda.adaptation.noise_bank",
    "noiseda.adaptation.permutation",
    "noiseda.cli",
    "noiseda.data.sampling",
    "noiseda.estimation.noise",
    "noiseda.estimation.empirical_bayes",
    "noiseda.numbers",
    "noiseda.precision",
    "noiseda.settings_file",
    "noiseda.storage",
    "noiseda.suggestions",
    "noiseda.training.build",
    "noiseda.training.checkpoints",
    "noiseda.training.ema",
    "noiseda.training.interrupt",
    "noiseda.training.loop",
    "noiseda.training.run",
    "noiseda.training.steps",
}
"""Modules that research still reaches into. The list shrinks: what a study needs, a package's ``__init__`` names."""


def inner(node):
    """The modules of noiseda behind an import that are not public; names count that a package does not export."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names if alias.name.startswith("noiseda.")}
    if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] != "noiseda":
        return set()
    home = importlib.import_module(node.module)
    if node.module.count(".") > 1 or not hasattr(home, "__path__"):  # a module, or a package within a package
        return {node.module}
    return {f"{node.module}.{alias.name}" for alias in node.names if alias.name not in home.__all__}


def test_research_uses_public_names_but_for_a_list_that_shrinks():
    found = {name for path in SOURCES for node in ast.walk(ast.parse(path.read_text())) for name in inner(node)}
    assert found == NOT_PUBLIC
    assert len(NOT_PUBLIC) <= 18


def test_an_import_of_what_is_not_public_is_seen():
    for line, name in (
        ("import noiseda.cli", "noiseda.cli"),
        ("from noiseda import cli, load", "noiseda.cli"),
        ("from noiseda.data.noise import White", "noiseda.data.noise"),
        ("from noiseda.data import noise, White", "noiseda.data.noise"),
    ):
        assert inner(ast.parse(line).body[0]) == {name}
    assert not inner(ast.parse("from noiseda.data import White").body[0])


def test_public_functions_and_classes_are_documented_and_files_are_short():
    for path in SOURCES:
        text = path.read_text()
        assert len(text.splitlines()) <= 400, path
        if path.parent.name == "studies":
            continue
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}: {node.name}"
