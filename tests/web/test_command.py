import importlib.util
import subprocess
import sys

import pytest

from noiseda.cli import parse
from noiseda.errors import UserError
from noiseda.web.command import web


def test_without_gradio_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'noiseda\[web\]'"):
        web()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"port": 0}, "--port must be between 1 and 65535, not 0"),
        ({"host": "studio.lan"}, "--host must be an address"),
        ({"max_minutes": 0}, "--max-minutes must be greater than 0"),
    ],
)
def test_flags_that_cannot_be_meant_are_refused(given, said) -> None:
    with pytest.raises(UserError, match=said):
        web(**given)


def test_this_machine_alone_is_served_unless_it_is_asked_for() -> None:
    command, arguments = parse(["web"])
    assert command == "web"
    assert arguments["host"] == "127.0.0.1"
    assert not [name for name in arguments if "share" in name]


def test_settings_for_adaptations_reach_the_page() -> None:
    assert parse(["web", "--settings", "gentle"])[1]["settings"] == "gentle"


@pytest.mark.slow
def test_only_the_running_page_imports_gradio() -> None:
    code = "import sys; from noiseda import cli; cli.COMMANDS['web'](); print('gradio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
