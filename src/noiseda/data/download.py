"""Files fetched by HTTP, checked against their digests; every failure says which address, and why."""

from __future__ import annotations

import math
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from noiseda.errors import UserError

RETRIES = 2
"""A file that does not arrive whole is asked for so many times more, a second or two apart."""

TIMEOUT = 20.0
"""Seconds without an answer after which an attempt has failed."""


LARGEST_INDEX = 16 * 10**6
"""Bytes of the largest index that is read: of some 80,000 shards."""

INDEX_SECONDS = 60.0
"""Seconds that an index may take to arrive."""

SLOW_BYTES, SLOW_SECONDS = 2**16, 60.0
"""A server that sends fewer bytes than this in so many seconds is given up."""

NEVER = threading.Event()
"""For downloads that are not called off."""


class Stopped(Exception):  # noqa: N818 (not an error: it was asked for)
    """The download was called off."""


def download_text(url: str, *, of: str) -> bytes:
    """The content of a small file.

    Args:
        url: its address.
        of: the folder's, for messages.

    Raises:
        UserError: where it cannot be had, or is no small file.
    """
    import requests

    name = url.partition("?")[0].rpartition("/")[2]
    try:
        return b"".join(pieces_of(url, most=LARGEST_INDEX, seconds=INDEX_SECONDS))
    except requests.RequestException as error:
        if error.response is not None and error.response.status_code == 404:
            raise UserError(
                f"{of}: there is no {name}; expected the address of what `noiseda data pack` wrote"
            ) from error
        raise UserError(f"{of}: cannot be reached: {_reason(error)}") from error
    except TooMuch as error:
        raise UserError(f"{of}: its {name} {error}") from error


def download(url: str, name: str, sha256: str, folder: Path, stop: threading.Event, *, size: int) -> Path:
    """Fetch a file and check its digest.

    Args:
        url: its address.
        name: what it is to be called.
        sha256: its digest.
        folder: where it is put.
        stop: calls the download off when it is set.
        size: bytes that it is to have; one that has more is not read on.

    Returns:
        The file.

    Raises:
        UserError: where it cannot be had, or is another one; nothing of it is kept then.
        Stopped: called off.
        OSError: no room, no right.
    """
    import pooch
    import requests

    def fetch(url: str, path: str, _: object) -> None:
        with Path(path).open("wb") as file:
            for piece in pieces_of(url, most=size, stop=stop):
                file.write(piece)

    pooch.get_logger().setLevel("ERROR")
    files = pooch.create(folder, "", registry={name: f"sha256:{sha256}"}, urls={name: url}, retry_if_failed=RETRIES)
    try:
        return Path(files.fetch(name, downloader=fetch))
    except requests.RequestException as error:
        raise UserError(f"{url}: cannot be fetched: {_reason(error)}") from error
    except TooMuch as error:
        raise UserError(f"{url}: is not the file that the index lists: it {error}") from error
    except ValueError as error:
        raise UserError(f"{url}: is not the file that the index lists: its sha256 is another") from error


class TooMuch(Exception):  # noqa: N818 (what a server sends, not what it should)
    """What a server sends is larger, slower or otherwise packed than it may be; the message says which."""


def pieces_of(url: str, *, most: int, seconds: float = math.inf, stop: threading.Event = NEVER) -> Iterator[bytes]:
    """The content of an address as it arrives.

    Args:
        url: the address.
        most: bytes beyond which nothing is read, counted as they are after decompression.
        seconds: time that all of it may take.
        stop: calls it off when it is set.

    Raises:
        TooMuch: it is too large or too slow.
        Stopped: called off.
        requests.RequestException: it cannot be had.
    """
    import requests
    import urllib3

    if stop.is_set():
        raise Stopped
    began = marked = time.monotonic()
    total = since = 0
    with requests.get(url, stream=True, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}) as response:
        response.raise_for_status()
        unpack = _unpacker(response.headers.get("Content-Encoding", "identity"))
        try:
            # As much as is there: a server that sends a byte now and then does not keep it waiting.
            while piece := response.raw.read1(2**16, decode_content=False):
                now = time.monotonic()
                if stop.is_set():
                    raise Stopped
                content = unpack(piece, most - total + 1)
                total += len(content)
                since += len(piece)
                if total > most:
                    raise TooMuch(f"has more than {most} bytes")
                if now - began > seconds:
                    raise TooMuch(f"has not come within {seconds:.0f} seconds")
                if now - marked > SLOW_SECONDS:
                    if since < SLOW_BYTES:
                        raise TooMuch(f"comes too slowly: {since} bytes in {now - marked:.0f} seconds")
                    marked, since = now, 0
                yield content
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError(error) from error


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    """What undoes the encoding of a server that uses one unasked, never more than a number of bytes at a time."""
    windows = {"gzip": 31, "x-gzip": 31, "deflate": 15}
    encoding = encoding.strip().lower()
    if encoding == "identity":
        return lambda piece, most: piece
    if encoding not in windows:
        raise TooMuch(f"comes in another encoding than was asked for ({encoding[:40]!r})")
    stream = zlib.decompressobj(windows[encoding])

    def unpack(piece: bytes, most: int) -> bytes:
        try:
            return stream.decompress(piece, most)
        except zlib.error as error:
            raise TooMuch(f"is not the {encoding} that the server says it is") from error

    return unpack


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
