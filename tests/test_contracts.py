"""What holds for the project as a whole: who may import whom, how long a file may be, and what must not be in it."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import noiseda

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
FORGOTTEN = ("noiseda.diffusion", "noiseda.adaptation", "noiseda.training")


def tracked(*suffixes):
    """Text files of ours: those git knows or would add; where there is no git, all of the usual folders."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    names = listed.stdout.splitlines() if listed.returncode == 0 else [str(p.relative_to(ROOT)) for p in SOURCES]
    return [ROOT / name for name in names if name.endswith(suffixes) and (ROOT / name).is_file()]


def python(code):
    """Run code in a fresh interpreter; returns what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_imports_point_down():
    """The contracts of pyproject.toml; one of them is the paper's claim that the diffusion model is thrown away."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[1-9]\d* kept, 0 broken", done.stdout)


@pytest.fixture(scope="module")
def loaded():
    """The modules that are there once the ready weights are loaded, and once every command and public name is."""
    return [
        line.split()
        for line in python(
            "import sys, noiseda, noiseda.inference, noiseda.evaluation.report, noiseda.restoration\n"
            "from noiseda import cli\n"
            "noiseda.load('denoise'); noiseda.restore; noiseda.evaluate\n"
            "print(*sorted(sys.modules))\n"
            "[load() for load in cli.COMMANDS.values()]\n[getattr(noiseda, name) for name in noiseda.__all__]\n"
            "print(*sorted(sys.modules))"
        ).splitlines()
    ]


def test_restoring_loads_nothing_that_trains_no_torchvision_and_no_compiler(loaded):
    assert "noiseda.inference" in loaded[0]
    assert not [name for name in loaded[0] if ".".join(name.split(".")[:2]) in FORGOTTEN]
    assert "torchvision" not in loaded[0]
    assert "torch._dynamo" not in loaded[0]  # 1.5 s of every start, and a folder left in the temporary one


def test_no_command_loads_torchvision(loaded):
    assert "noiseda.training.run" in loaded[1]
    assert "torchvision" not in loaded[1]


def test_only_lpips_names_torchvision():
    allowed = {"perceptual.py", "torchvision_schema.py"}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] in ("torchvision", "torchmetrics", "piq") for name in names):
                assert path.name in allowed, path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_a_source_file_holds_one_idea(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450
    assert path.stem not in ("utils", "util", "core", "misc", "common")


def test_nothing_names_one_machine():
    """No absolute path of somebody's disk, no registry's host, in anything people read or run."""
    disks = {ROOT.parts[1], Path.home().parts[1], "home", "mnt", "Users"} - {"tmp"}
    hosts = r"pypi\.org|files\.pythonhosted|download\.pytorch\.org"
    places = re.compile(rf"(?<![\w.~/])/(?:{'|'.join(disks)})/|{hosts}")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked(".py", ".md", ".yaml", ".toml", ".txt", "Makefile", ".ci/run")
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if places.search(line)
    ]
    assert not found


def test_every_public_name_has_its_documentation():
    for name in noiseda.__all__:
        thing = getattr(noiseda, name)
        if not inspect.isclass(thing) and not inspect.isfunction(thing):
            continue  # an alias of a type
        own = thing.__doc__ or ""
        assert len(own.split()) >= 3, name
        assert not own.startswith(f"{name}("), f"{name}: the docstring is the one dataclasses make"
        if inspect.isfunction(thing):
            assert "Args:" in own, name


def test_public_functions_and_classes_are_documented():
    for path in SOURCES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}: {node.name}"


def test_no_bare_except_and_no_stub():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{path}:{node.lineno}"
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name | ast.Call):
                raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                assert getattr(raised, "id", "") != "NotImplementedError", f"{path}:{node.lineno}"


def test_no_test_patches_a_private_name_of_ours():
    """What a test needs to put in, an argument or a public name takes."""
    folders = [ROOT / "tests", ROOT / "research" / "tests"]
    patched = re.compile(r"monkeypatch\.setattr\(\s*(?:\"noiseda[\w.]*\._\w|\w+,\s*\"_[a-z])")
    found = [path.name for folder in folders for path in folder.rglob("*.py") if patched.search(path.read_text())]
    assert found == []


def test_every_public_name_is_there_for_who_only_reads_the_source():
    """Type checkers and the site's reference import nothing."""
    tree = ast.parse((ROOT / "src/noiseda/__init__.py").read_text(encoding="utf-8"))
    read = [node for branch in tree.body if isinstance(branch, ast.If) for node in branch.body]
    names = {alias.asname or alias.name for node in read if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(noiseda.__all__) <= names | {"__version__"}
