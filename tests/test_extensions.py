"""Commands of other packages: shown where they are installed, and never needed."""

import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from noiseda import cli, extensions
from noiseda.errors import UserError


@dataclass(frozen=True)
class CountSettings:
    """What is counted."""

    upto: int = 3
    """Where it ends."""

    @staticmethod
    def presets():
        return {"far": Path(__file__).with_name("far.yaml")}


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
    monkeypatch.setattr(CountSettings, "presets", lambda: {"far": tmp_path / "far.yaml"})
    for words, said in (([], "0 1 2"), (["--upto", "2"], "0 1"), (["--config", "far"], "0 1 2 3 4")):
        assert cli.main(["count", *words]) == 0
        assert capsys.readouterr().out == f"{said}\n"
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
importlib.metadata.entry_points = lambda **asked: [] if asked.get("group") == "noiseda.commands" else known(**asked)
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
