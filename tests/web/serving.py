"""The page as users start it: the command, in a process of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Served:
    """A page that is served.

    Attributes:
        port: of this machine.
        temporary: the folder in which it keeps what it is sent.
        process: the command.
    """

    port: int
    temporary: Path
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def root(self) -> Path:
        """Where uploads arrive, and the pages' folders are."""
        (found,) = self.temporary.glob("noiseda-web-*")
        return found

    def kept(self) -> list[str]:
        """Names of the files that are there, but for empty ones of gradio."""
        while True:
            with contextlib.suppress(FileNotFoundError):  # a folder was removed between two looks
                return sorted(path.name for path in self.root.rglob("*") if path.is_file() and path.stat().st_size)


@contextlib.contextmanager
def served(temporary: Path, *flags: str) -> Iterator[Served]:
    """Serve the page, and end it with SIGTERM."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (temporary / "log.txt").open("w+b")
    process = subprocess.Popen(
        [sys.executable, "-m", "noiseda", "web", "--port", str(port), *flags],
        env={**os.environ, "TMPDIR": str(temporary)},
        stderr=log,
        stdout=log,
        # Where the tests run in the background of a shell, Ctrl-C is ignored, and by what they start as well.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        for _ in range(900):
            if b"noiseda web: " in (temporary / "log.txt").read_bytes():
                break
            assert process.poll() is None, (temporary / "log.txt").read_text()
            time.sleep(0.1)
        yield Served(port, temporary, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        log.close()
