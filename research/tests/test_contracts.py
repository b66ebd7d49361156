"""Research uses public names of noiseda alone."""

import ast
import importlib
from pathlib import Path

SOURCES = sorted((Path(__file__).parents[1] / "src").rglob("*.py"))


def inner(node):
    """What an import takes from noiseda that is not public: not in the __all__ of it, or of one of its own modules."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names if alias.name.startswith("noiseda.")}
    if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] != "noiseda":
        return set()
    home = importlib.import_module(node.module)
    public = getattr(home, "__all__", ()) if node.module.count(".") <= 1 else ()  # nothing within a package's package
    return {f"{node.module}.{alias.name}" for alias in node.names if alias.name not in public}


def test_research_uses_public_names_alone():
    assert {name for path in SOURCES for node in ast.walk(ast.parse(path.read_text())) for name in inner(node)} == set()


def test_an_import_of_what_is_not_public_is_seen():
    for line, name in (
        ("import noiseda.cli", "noiseda.cli"),
        ("from noiseda import cli, load", "noiseda.cli"),
        ("from noiseda.data.noise import White", "noiseda.data.noise.White"),
        ("from noiseda.storage import digest", "noiseda.storage.digest"),
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
