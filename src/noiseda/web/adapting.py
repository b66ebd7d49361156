"""An adaptation in a process of its own: the command ``noiseda adapt``, watched by the files that it writes."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from noiseda.report.logged import Line, read_log
from noiseda.settings_file import read_settings
from noiseda.tasks import TaskName

EVERY = 50
"""Steps between weights that are written for a preview; only the last of them is kept."""

_END = getattr(signal, "SIGUSR1", None)
"""Asks a run to end and to keep its best; where there is none, the run goes on to its end or is stopped."""


@dataclass(frozen=True)
class Progress:
    """How far an adaptation is.

    Attributes:
        done: steps.
        steps: in all; None while the machine is still measured.
        lines: of its log.
        said: its last line of words.
        seconds: since it began.
    """

    done: int = 0
    steps: int | None = None
    lines: list[Line] = field(default_factory=list)
    said: str = ""
    seconds: float = 0.0

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        return min(1.0, self.done / self.steps) if self.steps else 0.0


class Adaptation:
    """A run that adapts to some photographs.

    Args:
        photographs: their folder.
        minutes: that it may take.
        out: the folder of the run.
        settings: a file of settings, or a preset; None: the usual ones.
        task: what is taken away; None: what the settings say.
    """

    def __init__(
        self,
        photographs: Path,
        minutes: float,
        out: Path,
        settings: str | Path | None = None,
        task: TaskName | None = None,
    ) -> None:
        self.out, self._photographs, self._began = out, photographs, time.monotonic()
        out.parent.mkdir(parents=True, exist_ok=True)
        words: list[str | int | Path] = ["adapt", *([] if settings is None else ["--config", settings])]
        words += [] if task is None else ["--task", task]
        words += ["--real", photographs, "--minutes", f"{minutes:g}", "--out", out]
        words += ["--training.snapshot_every", f"{EVERY}", "--training.log_every", "10"]
        self._said = out.with_name(f"{out.name}.txt")
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "noiseda", *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C of the page's terminal reaches the page, which ends this
            )

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process.poll() is None

    @property
    def weights(self) -> Path | None:
        """The adapted network, once the run is done."""
        path = self.out / "restorer.safetensors"
        return path if not self.running and path.exists() else None

    @property
    def report(self) -> Path | None:
        """The run's page, once it is written."""
        path = self.out / "report.html"
        return path if not self.running and path.exists() else None

    def progress(self) -> Progress:
        """How far it is by now."""
        lines = read_log(self.out / "log.jsonl")
        done = int(lines[-1]["step"]) if lines else 0
        return Progress(done, self._steps(), lines, self._last_words(), time.monotonic() - self._began)

    def latest(self) -> Path | None:
        """The newest weights for a preview; older ones are removed."""
        found = sorted((self.out / "snapshots").glob("*.safetensors"))
        for path in found[:-1]:
            path.unlink(missing_ok=True)
        return found[-1] if found else None

    def verdict(self) -> str:
        """What the run says of its weights, in a sentence; empty where it says nothing."""
        try:
            found = json.loads((self.out / "summary.json").read_text(encoding="utf-8"))["verdict"]
        except (OSError, ValueError, KeyError):
            return ""
        if not found:
            return ""
        gain = found["gain"][0]
        figure = f" ({gain:+.2f} dB)" if math.isfinite(gain) else ""
        return f"The adapted network is {found['word']} than {found['than']}{figure}: {found['because']}."

    def trouble(self) -> str:
        """Why there are no weights, in the run's own words."""
        for line in reversed(self._words()):
            if "error: " in line:
                return line.partition("error: ")[2]
        return "It was stopped before anything was learnt."

    def keep(self) -> bool:
        """Ask it to end and to keep the best so far.

        Returns:
            Whether there is something to keep: else it is stopped.
        """
        if _END is not None and read_log(self.out / "log.jsonl"):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(_END)
            return True
        self.kill()
        return False

    def kill(self) -> None:
        """End it at once."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def _steps(self) -> int | None:
        """How many steps it has, which it settles once the machine is measured."""
        path = self.out / "plan.yaml"
        return int(read_settings(path)["training"]["steps"]) if path.exists() else None

    def _words(self) -> list[str]:
        """What it said so far, without the folders of this machine."""
        text = self._said.read_text(encoding="utf-8", errors="replace")
        text = text.replace(f"--real {self._photographs}", "what was sent")
        for folder in (self._photographs, self.out, self.out.parent):
            text = text.replace(f"{folder}/", "")
        return text.splitlines()

    def _last_words(self) -> str:
        """The last line that is no figures of a step."""
        return next((line for line in reversed(self._words()) if line and not line.startswith("step ")), "")
