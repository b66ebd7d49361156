"""One folder for each page that is open; it is gone when the page is closed, and so is all that was sent to it."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from noiseda.web.adapting import Adaptation

IDLE = 12 * 3600.0
"""Seconds after which a page is taken for closed where nothing has been heard of it."""

STRAY = 600.0
"""Seconds after which a file is removed that was uploaded and never asked for."""


@dataclass
class Session:
    """What belongs to one page.

    Attributes:
        folder: where all of it lies; its name cannot be guessed.
        weights: a file of theirs; None: the ready ones.
        photographs: those to restore.
        pairs: (input, output) of what was restored.
        examples: photographs to adapt to.
        adaptation: the one that is running, or was last.
        used: when it was last heard of, by :func:`time.monotonic`.
    """

    folder: Path
    weights: Path | None = None
    photographs: list[Path] = field(default_factory=list)
    pairs: list[tuple[Path, Path]] = field(default_factory=list)
    examples: list[Path] = field(default_factory=list)
    adaptation: Adaptation | None = None
    used: float = 0.0

    def fresh(self, name: str) -> Path:
        """A folder of this page, empty.

        Args:
            name: what it is for.
        """
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def close(self) -> None:
        """End what runs, and remove everything."""
        if self.adaptation is not None:
            self.adaptation.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Sessions:
    """All pages that are open.

    Args:
        root: the folder in which uploads arrive, and in which each page has its own.
        clock: what time it is, in seconds.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.root, self._clock = root, clock
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()

    def of(self, name: str) -> Session:
        """The session of a page, begun where there is none.

        Args:
            name: by which the page calls itself; no part of any path.
        """
        with self._lock:
            found = self._open.get(name)
            if found is None:
                folder = self.root / secrets.token_hex(16)
                folder.mkdir(mode=0o700)
                found = self._open[name] = Session(folder)
            found.used = self._clock()
        return found

    def adapting(self) -> bool:
        """Whether any page's adaptation runs."""
        with self._lock:
            return any(map(_busy, self._open.values()))

    def known(self, name: str) -> bool:
        """Whether a page of this name is open."""
        return name in self._open

    def close(self, name: str) -> None:
        """Forget a page, and remove what belongs to it."""
        with self._lock:
            found = self._open.pop(name, None)
        if found is not None:
            found.close()

    def close_all(self) -> None:
        """Forget every page."""
        for name in list(self._open):
            self.close(name)

    def sweep(self) -> None:
        """Close pages that have not been heard of, and remove uploads that no page asked for."""
        now = self._clock()
        with self._lock:
            idle = [name for name, each in self._open.items() if now - each.used > IDLE and not _busy(each)]
            kept = {each.folder for each in self._open.values()}
        for name in idle:
            self.close(name)
        for path in self.root.iterdir():
            if path not in kept and path.is_dir() and time.time() - path.stat().st_mtime > STRAY:
                shutil.rmtree(path, ignore_errors=True)


def _busy(session: Session) -> bool:
    return session.adaptation is not None and session.adaptation.running
