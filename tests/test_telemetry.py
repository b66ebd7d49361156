"""Nobody is notified: no command opens a socket to another machine, or leaves a library's file in the home folder."""

import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from noiseda.telemetry import SWITCHES
from tests.training.photographs import CLEAN, REAL, as_flags, folder, small

COMMANDS = """
import sys
from pathlib import Path
from noiseda.cli import main

where = Path(sys.argv[1])
weights, real, clean = where / "out/restorer.safetensors", where / "real", where / "clean"
for words in (
    ("adapt", "--config", where / "out.yaml"),
    ("restore", weights, real, where / "eager", "--backend", "eager"),
    ("restore", weights, real, where / "onnx", "--backend", "onnxruntime"),
    ("export", weights),
    ("evaluate", where / "onnx", clean),
    ("data", "check", clean, "--patch", 16),
    ("data", "pack", clean, where / "packed"),
):
    assert main([str(word) for word in words]) == 0, words
import time
time.sleep(0.5)  # for threads that would report in their own time
"""

AUDIT = """
import os, socket, sys
def hook(event, given):
    if event.startswith("socket.") and event not in ("socket.gethostname", "socket.__new__"):
        if getattr(given[0] if given else None, "family", None) != socket.AF_UNIX:
            with open(os.environ["AUDIT"], "a") as file:
                print(event, given, file=file)
sys.addaudithook(hook)
"""

STRACE = ["strace", "-f", "--seccomp-bpf", "-e", "trace=%network", "-o"]
ALONE = ["unshare", "-rn"]


def _works(*command: str) -> bool:
    return shutil.which(command[0]) is not None and not subprocess.run(command, capture_output=True).returncode


def foreign(trace: str) -> list[str]:
    """The lines of a trace that have to do with sockets of another kind than those between one machine's processes."""
    return [line for line in trace.splitlines() if re.search(r"\bAF_(?!UNIX\b|UNSPEC\b)\w+", line)]


def test_a_trace_is_understood() -> None:
    allowed = '7 connect(3, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 ENOENT (No such file)'
    refused = "7 socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 5"
    assert foreign(f"{allowed}\n{refused}\n7 +++ exited with 0 +++") == [refused]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[list[str]]:
    """The beginning of a command whose sockets are looked at afterwards: none may be other than of this machine."""
    trace = tmp_path / "trace"
    trace.touch()
    if _works("strace", "-f", "--seccomp-bpf", "true"):
        yield [*(ALONE if _works(*ALONE, "true") else []), *STRACE, str(trace)]
        assert "AF_UNIX" in trace.read_text(), "data workers talk to the run"
        assert foreign(trace.read_text()) == []
        return
    assert "CI" not in os.environ, "strace is missing or not allowed: apt-get install strace"
    warnings.warn("without strace, only sockets that Python opens are seen: apt-get install strace", stacklevel=1)
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook/sitecustomize.py").write_text(AUDIT)
    yield ["env", f"PYTHONPATH={tmp_path / 'hook'}", f"AUDIT={trace}"]
    assert trace.read_text() == ""


@pytest.mark.slow
def test_no_command_opens_a_socket_or_writes_into_the_home_folder(tmp_path: Path, watched: list[str]) -> None:
    folder(tmp_path / "clean", CLEAN)
    folder(tmp_path / "real", REAL)
    as_flags(small(tmp_path, steps=2, workers=1, proxy_pairs=0))
    home = tmp_path / "home"
    home.mkdir()
    places = {key: value for key, value in os.environ.items() if not key.startswith("XDG_") and key not in SWITCHES}
    done = subprocess.run(
        [*watched, sys.executable, "-c", COMMANDS, str(tmp_path)],
        env={**places, "HOME": str(home), "ORT_DISABLE_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (graph,) = (path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())
    assert re.fullmatch(r"\.cache/noiseda/onnx/\w+\.onnx", graph)


def test_the_switches_are_set_by_importing_noiseda() -> None:
    code = "import os, sys, noiseda; print(*(os.environ[name] for name in sys.argv[1:])); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, *SWITCHES],
        env={**os.environ, "ORT_DISABLE_TELEMETRY": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [*SWITCHES.values(), "False"]
