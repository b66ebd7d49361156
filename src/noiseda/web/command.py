"""``noiseda web``: the page on this machine."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import signal
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from noiseda.errors import UserError
from noiseda.telemetry import switch_off
from noiseda.web.guard import LOOPBACK
from noiseda.web.limits import Limits


def web(
    host: str = "127.0.0.1",
    port: int = 7860,
    *,
    max_files: int = 200,
    max_megabytes: int = 500,
    max_unpacked: int = 4000,
    max_megapixels: float = 100.0,
    max_minutes: int = 60,
    settings: str | None = None,
) -> None:
    """Restore and adapt in a browser: serve a page on this machine, until Ctrl-C.

    Nobody but this machine is served, unless ``--host`` says so. Nothing is asked for from outside. What a page is
    given is removed when it is closed.

    Args:
        host: Address to serve at; with 0.0.0.0, everyone who reaches this machine can use the page, without a password.
        port: Port to serve at.
        max_files: Photographs that a page takes at once.
        max_megabytes: Size of an uploaded file, in MB.
        max_unpacked: Size of all that zip files hold, unpacked, in MB.
        max_megapixels: Size of a photograph.
        max_minutes: Length of an adaptation.
        settings: File of settings, or a preset, for adaptations: what ``noiseda adapt`` takes as ``--config``.

    Raises:
        UserError: gradio is not installed; the address cannot be had; a limit is not greater than 0.
    """
    limits = Limits(max_files, max_megabytes, max_unpacked, max_megapixels, max_minutes)
    _check(host, port)
    if importlib.util.find_spec("gradio") is None:
        raise UserError("noiseda web needs gradio; install it with: pip install 'noiseda[web]'")
    with tempfile.TemporaryDirectory(prefix="noiseda-web-", ignore_cleanup_errors=True) as folder:
        _serve(host, port, limits, settings, Path(folder).resolve())


def _check(host: str, port: int) -> None:
    if not 0 < port < 65536:
        raise UserError(f"--port must be between 1 and 65535, not {port}")
    with suppress(ValueError):
        if host == "localhost" or ipaddress.ip_address(host):
            return
    raise UserError(f"--host must be an address, such as 127.0.0.1 or 0.0.0.0, not {host!r}")


def _serve(host: str, port: int, limits: Limits, settings: str | None, folder: Path) -> None:
    prepare(folder)
    from noiseda.web.page import Page
    from noiseda.web.sessions import Sessions

    sessions = Sessions(folder)
    page = Page(sessions, limits, settings)
    try:
        page.launch(host, port)
    except OSError as error:
        raise UserError(f"cannot serve at {host}:{port}: {error}; --port chooses another") from error
    shown = host if host != "0.0.0.0" else "127.0.0.1"
    print(f"noiseda web: http://{f'[{shown}]' if ':' in shown else shown}:{port} (Ctrl-C ends it)", file=sys.stderr)
    if host not in LOOPBACK:
        print("everyone who reaches this machine can use the page, without a password", file=sys.stderr)
    try:
        _wait()
    finally:
        sessions.close_all()
        page.close()


def prepare(folder: Path) -> None:
    """Say to gradio, before it is imported, where files go, and that it reports nothing.

    Args:
        folder: where uploads arrive.
    """
    switch_off()
    os.environ.update(
        GRADIO_TEMP_DIR=str(folder),
        GRADIO_EXAMPLES_CACHE=str(folder / "examples"),
        GRADIO_SHARE="False",
        GRADIO_RUN_HISTORY="False",
        GRADIO_ALLOWED_PATHS="",
    )


def _wait() -> None:
    """Sleep until Ctrl-C or SIGTERM."""
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        while not ended.wait(1):
            pass
    finally:
        signal.signal(signal.SIGTERM, before)
