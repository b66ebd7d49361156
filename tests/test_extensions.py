"""Commands and strategies of other packages: there where they are installed, and never needed."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from noiseda import cli, extensions
from noiseda.errors import UserError
from tests.training.photographs import REAL, folder


@dataclass(frozen=True)
class CountSettings:
    """What is counted."""

    upto: int = 3
    """Where it ends."""

    PRESETS: ClassVar[str] = "presets"


def count(settings: CountSettings) -> str:
    """Count up."""
    return " ".join(map(str, range(settings.upto)))


def greet(name: str, *, loud: bool = False) -> str:
    """Greet somebody.

    Args:
        name: whom.
        loud: in capitals.
    """
    return f"hello {name}".upper() if loud else f"hello {name}"


@pytest.fixture
def brought(monkeypatch):
    """Two commands, as if an installed package named them."""
    points = [EntryPoint(each.__name__, f"{__name__}:{each.__name__}", extensions.GROUP) for each in (count, greet)]
    monkeypatch.setattr(extensions, "entry_points", lambda group: points if group == extensions.GROUP else [])
    for name, load in extensions.installed().items():
        monkeypatch.setitem(cli.COMMANDS, name, load)


def test_a_command_of_another_package_is_listed_and_run(brought, capsys):
    assert cli.main([]) == 0
    assert "  count        Count up." in capsys.readouterr().out
    assert cli.main(["greet", "you", "--loud"]) == 0
    assert capsys.readouterr().out == "HELLO YOU\n"


def test_the_fields_of_its_settings_are_flags_and_its_presets_have_names(brought, tmp_path, monkeypatch, capsys):
    (tmp_path / "far.yaml").write_text("upto: 5")
    monkeypatch.setattr(CountSettings, "PRESETS", str(tmp_path))
    for words, said in (([], "0 1 2"), (["--upto", "2"], "0 1"), (["--config", "far"], "0 1 2 3 4")):
        assert cli.main(["count", *words]) == 0
        assert capsys.readouterr().out == f"{said}\n"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "far").mkdir()  # a folder of that name is no settings file
    assert cli.main(["count", "--config", "far"]) == 0
    assert capsys.readouterr().out == "0 1 2 3 4\n"
    assert cli.main(["count", "--config", "fra"]) == 2
    assert "no such preset (there are far); did you mean far?" in capsys.readouterr().err


def test_one_that_cannot_be_loaded_says_so(monkeypatch):
    broken = EntryPoint("lost", "no_such_module.of_ours:lost", extensions.GROUP)
    monkeypatch.setattr(extensions, "entry_points", lambda group: [broken])
    with pytest.raises(UserError, match=r"noiseda lost, of no_such_module.of_ours, cannot be loaded: No module"):
        extensions.installed()["lost"]()


@pytest.mark.slow
def test_without_the_research_package_all_else_works_and_compare_says_how_to_get_it():
    code = """
import importlib.metadata, sys
known = importlib.metadata.entry_points
others = lambda **asked: [] if asked.get("group", "").startswith("noiseda.") else known(**asked)
importlib.metadata.entry_points = others
sys.modules["noiseda_research"] = None  # an import of it fails
from noiseda import cli
import noiseda
for load in cli.COMMANDS.values():
    load()
for name in noiseda.__all__:
    getattr(noiseda, name)
assert "compare" not in cli.COMMANDS
assert cli.main([]) == 0
sys.exit(cli.main(["compare", "--config", "denoise"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "quickstart" in done.stdout
    assert "compare " not in done.stdout
    assert done.stderr == f"noiseda: error: {extensions.ELSEWHERE['compare']}\n"
    assert "pip install -e research" in done.stderr


@pytest.mark.slow
def test_without_the_research_package_its_strategies_are_refused_and_old_runs_with_their_sections_read(tmp_path):
    (tmp_path / "old.yaml").write_text("strategy: synthetic\ndann: {weight: 3.0}\nlook_alikes: 5\n")
    code = f"""
import importlib.metadata, sys
known = importlib.metadata.entry_points
others = lambda **asked: [] if asked.get("group", "").startswith("noiseda.") else known(**asked)
importlib.metadata.entry_points = others
sys.modules["noiseda_research"] = None
from pathlib import Path
from noiseda import cli
from noiseda.config import AdaptSettings
from noiseda.settings_file import read_settings
from noiseda.settings_tree import settings_from
old = Path({str(tmp_path / "old.yaml")!r})
assert settings_from(read_settings(old)).proxy_pairs == 5
assert AdaptSettings(**cli.parse(["adapt", "--config", str(old)])[1]).proxy_pairs == 5
assert cli.main(["adapt", "--real", "r", "--clean", "c", "--strategy", "dann"]) == 2
assert cli.main(["adapt", "--real", "r", "--clean", "c", "--strategy", "synthetic", "--dann.weight", "2"]) == 2
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    strategy, flag = done.stderr.strip().split("\n")
    assert "--strategy" in strategy
    assert "dann comes with the research package, which is not installed" in strategy
    assert "--dann.weight" in flag
    assert "dann comes with the research package, which is not installed" in flag


EXAMPLE = Path(__file__).parents[1] / "examples" / "own_strategy"


@pytest.fixture
def package(tmp_path):
    """The example of a package with a strategy, to which two broken ones are added, there for another process."""
    for file in EXAMPLE.glob("*.py"):
        shutil.copy(file, tmp_path)
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"][extensions.STRATEGIES]
    points |= {"lost": "no_such_module:Lost", "plain": "edges:PositiveFloat", "twice": "edges:EdgesSettings"}
    points |= {"no-name": "edges:EdgesSettings"}
    about = tmp_path / "edges-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: edges\nVersion: 1.0\n")
    lines = [f"[{extensions.STRATEGIES}]", *(f"{name} = {value}" for name, value in points.items())]
    (about / "entry_points.txt").write_text("\n".join(lines))
    folder(tmp_path / "clean")
    folder(tmp_path / "real", REAL)

    def run(*words):
        environment = os.environ | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "noiseda", *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


SMALL = (
    "--clean clean --real real --out run --training.steps 2 --training.patch 16 --training.batch 2 --proxy_pairs 0 "
    "--training.device cpu --restorer.width 4 --restorer.depth 2 --degradation.kind white"
)


@pytest.mark.slow
def test_a_strategy_of_another_package_is_chosen_by_name_and_trained(package, tmp_path):
    done = package("adapt", "--strategy", "edges", "--edges.weight", "2", *SMALL.split())
    assert done.returncode == 0, done.stderr
    asked = yaml.safe_load((tmp_path / "run" / "settings.yaml").read_text())
    assert (asked["strategy"], asked["edges"]) == ("edges", {"weight": 2.0})
    assert "edges" in json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])
    help = package("adapt", "--help", "edges").stdout
    assert "Edges of synthetic pairs count more." in help
    assert "--edges.weight" in help


@pytest.mark.slow
def test_what_is_wrong_with_a_strategy_of_another_package_is_said_when_it_is_asked_for(package):
    for words, said in (
        (("--strategy", "lost"), "strategy lost, of edges, cannot be used: No module named 'no_such_module'"),
        (
            ("--strategy", "plain"),
            "strategy plain, of edges, cannot be used: it is no dataclass",
        ),
        (("--strategy", "twice"), "strategy twice, of edges, cannot be used: another package brings that name too"),
        (("--strategy", "no-name"), "strategy no-name, of edges, cannot be used: its name must be an identifier"),
        (("--strategy", "edges", "--edges.weight", "0"), "--edges.weight must be greater than 0, not 0"),
        (("--strategy", "synthetic", "--edges.weight", "1"), "--edges.weight belongs to --strategy edges"),
    ):
        done = package("adapt", *words, *SMALL.split())
        assert done.returncode == 2
        assert said in done.stderr, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["training", "mean_teacher"])
def test_a_section_named_as_a_setting_of_noiseda_is_refused_at_once(package, tmp_path, name):
    points = tmp_path / "edges-1.0.dist-info" / "entry_points.txt"
    points.write_text(f"[{extensions.STRATEGIES}]\n{name} = edges:EdgesSettings\n")
    done = package("--version")
    assert done.returncode != 0
    assert f"another package brings a strategy {name}, which is a name of noiseda's own" in done.stderr
