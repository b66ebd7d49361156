"""What made a result: the version, the commit, the machine."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch


def provenance() -> dict[str, str]:
    """Version of noiseda and torch, commit of the source tree (where it is one), processor and number of threads."""
    return {
        "noiseda": version("noiseda"),
        "commit": commit(),
        "torch": str(torch.__version__),  # a class of its own, which checkpoints must not hold
        "python": platform.python_version(),
        "processor": _processor(),
        "threads": str(torch.get_num_threads()),
    }


def commit() -> str:
    """The commit of the source tree this runs from, with ``+changes`` where it was edited; ``release`` outside one."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", str(Path(__file__)))
        edited = git("status", "--porcelain", "--untracked-files=no", "--", str(folder))
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if edited else "")
    except (OSError, subprocess.CalledProcessError):
        return "release"


def _processor() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
