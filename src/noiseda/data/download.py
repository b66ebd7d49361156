"""Files fetched by HTTP, checked against their digests; every failure says which address, and why."""

from __future__ import annotations

import io
import re
import threading
from pathlib import Path

from noiseda.errors import UserError

RETRIES = 2
"""A file that does not arrive whole is asked for so many times more, a second or two apart."""

TIMEOUT = 20.0
"""Seconds without an answer after which an attempt has failed."""


NEVER = threading.Event()
"""For downloads that are not called off."""


class Stopped(Exception):  # noqa: N818 (not an error: it was asked for)
    """The download was called off."""


class _Watch:
    """Takes the place of a progress bar, whose ``update`` is called between the pieces of a file."""

    total = 0

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def update(self, _: int) -> None:
        if self._stop.is_set():
            raise Stopped

    def reset(self) -> None:
        """Nothing to show."""

    def close(self) -> None:
        """Nothing to show."""


def download_text(url: str, *, of: str) -> bytes:
    """The content of a small file.

    Args:
        url: its address.
        of: the folder's, for messages.

    Raises:
        UserError: where it cannot be had.
    """
    import pooch
    import requests

    content = io.BytesIO()
    try:
        pooch.HTTPDownloader(timeout=TIMEOUT)(url, content, None)
    except requests.RequestException as error:
        if error.response is not None and error.response.status_code == 404:
            name = url.partition("?")[0].rpartition("/")[2]
            raise UserError(
                f"{of}: there is no {name}; expected the address of what `noiseda data pack` wrote"
            ) from error
        raise UserError(f"{of}: cannot be reached: {_reason(error)}") from error
    return content.getvalue()


def download(url: str, name: str, sha256: str, folder: Path, stop: threading.Event) -> Path:
    """Fetch a file and check its digest.

    Args:
        url: its address.
        name: what it is to be called.
        sha256: its digest.
        folder: where it is put.
        stop: calls the download off when it is set.

    Returns:
        The file.

    Raises:
        UserError: where it cannot be had, or is another one; nothing of it is kept then.
        Stopped: called off.
        OSError: no room, no right.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    files = pooch.create(folder, "", registry={name: f"sha256:{sha256}"}, urls={name: url}, retry_if_failed=RETRIES)
    fetch = pooch.HTTPDownloader(progressbar=_Watch(stop), chunk_size=2**20, timeout=TIMEOUT)
    try:
        return Path(files.fetch(name, downloader=fetch))
    except requests.RequestException as error:
        raise UserError(f"{url}: cannot be fetched: {_reason(error)}") from error
    except ValueError as error:
        raise UserError(f"{url}: is not the file that the index lists: its sha256 is another") from error


def _reason(error: Exception) -> str:
    """The cause, without the names of the classes it was wrapped in.

    >>> _reason(OSError("Pool(host='h'): Caused by Error('<x object>: [Errno 111] Connection refused'))"))
    'Connection refused'
    >>> _reason(OSError("('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))"))
    'Connection reset by peer'
    """
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answers {response.status_code} {response.reason}"
    patterns = (r"\[Errno -?\d+\] ([^'\")\]]+)", r"[A-Z]\w+\((?:\d+, )?'([^']+)'\)")
    found = next(filter(None, (re.search(pattern, str(error)) for pattern in patterns)), None)
    return found[1] if found else re.sub(r"\(Caused by .*|<[^>]*>:? ?", "", str(error)).strip()
