"""Servers that are no such thing: an index or a shard that never ends, unpacks to gigabytes, or drips."""

import gzip
import json
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from noiseda.address import Url
from noiseda.data import download
from noiseda.data.download import NEVER, Stopped, download_text
from noiseda.data.shards import find_shards, parse_index
from noiseda.errors import UserError
from tests.data.test_shards import INDEX, SHARD

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer) -> Iterator[Url]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                answer(self)
            except OSError:
                self.close_connection = True  # the reader has had enough

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield Url(f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            thread.join()


def begin(to: BaseHTTPRequestHandler, **headers: str) -> None:
    to.send_response(200)
    for name, value in headers.items():
        to.send_header(name.replace("_", "-"), value)
    to.end_headers()


def endless(to: BaseHTTPRequestHandler) -> None:
    begin(to, Connection="close")
    while True:
        to.wfile.write(b" " * 2**16)


def endless_chunks(to: BaseHTTPRequestHandler) -> None:
    begin(to, Transfer_Encoding="chunked")
    while True:
        to.wfile.write(b"10000\r\n" + b" " * 2**16 + b"\r\n")


def claims_much(to: BaseHTTPRequestHandler) -> None:
    begin(to, Content_Length=str(10**12))
    while True:
        to.wfile.write(b" " * 2**16)


def bomb(to: BaseHTTPRequestHandler) -> None:
    content = zlib.compressobj(1, wbits=31)
    packed = b"".join(content.compress(bytes(2**20)) for _ in range(64)) + content.flush()
    begin(to, Content_Encoding="gzip", Content_Length=str(len(packed)))
    to.wfile.write(packed)


def nested(to: BaseHTTPRequestHandler) -> None:
    begin(to, Content_Encoding="gzip, gzip", Content_Length="0")


def no_gzip(to: BaseHTTPRequestHandler) -> None:
    begin(to, Content_Encoding="gzip", Content_Length="8")
    to.wfile.write(b"nonsense")


def drip(to: BaseHTTPRequestHandler) -> None:
    begin(to, Content_Length="1000")
    for _ in range(1000):
        to.wfile.write(b" ")
        time.sleep(0.02)


def drip_chunks(to: BaseHTTPRequestHandler) -> None:
    begin(to, Transfer_Encoding="chunked")
    to.wfile.write(b"1000\r\n")
    for _ in range(1000):
        to.wfile.write(b" ")
        time.sleep(0.02)


def cut(to: BaseHTTPRequestHandler) -> None:
    begin(to, Content_Length="1000")
    to.wfile.write(b"{")
    to.close_connection = True


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (endless, r"its index\.json has more than 16000000 bytes"),
        (endless_chunks, r"its index\.json has more than 16000000 bytes"),
        (claims_much, r"its index\.json has more than 16000000 bytes"),
        (bomb, r"its index\.json has more than 16000000 bytes"),
        (nested, r"its index\.json comes in another encoding"),
        (no_gzip, r"its index\.json is not the gzip that the server says"),
        (drip, r"its index\.json has not come within 0 seconds"),
        (drip_chunks, r"its index\.json has not come within 0 seconds"),
        (cut, r"cannot be reached"),
    ],
)
def test_an_index_that_is_none_is_a_sentence(answer: Answer, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "INDEX_SECONDS", 0.3 if "drip" in answer.__name__ else 60)
    with answering(answer) as url:
        began = time.monotonic()
        tracemalloc.start()
        with pytest.raises(UserError, match=rf"^{url}: {message}") as caught:
            find_shards(url)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 60e6
    assert time.monotonic() - began < 10
    assert len(str(caught.value)) < 400


def test_an_index_that_a_server_compresses_unasked_is_read() -> None:
    content = json.dumps(INDEX).encode()

    def compressed(to: BaseHTTPRequestHandler) -> None:
        packed = gzip.compress(content)
        begin(to, Content_Encoding="gzip", Content_Length=str(len(packed)))
        to.wfile.write(packed)

    with answering(compressed) as url:
        assert download_text(f"{url}/index.json", of=url) == content


def fetched(url: Url, where: Path, stop: threading.Event = NEVER) -> Path:
    return download.download(f"{url}/shard-0.tar", "shard-0.tar", "0" * 64, where, stop, size=10**6)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (endless, "it has more than 1000000 bytes"),
        (bomb, "it has more than 1000000 bytes"),
        (drip, r"it comes too slowly: \d+ bytes in 0 seconds"),
        (drip_chunks, r"it comes too slowly: \d+ bytes in 0 seconds"),
    ],
)
def test_a_shard_that_is_none_is_a_sentence_and_nothing_is_kept(
    answer: Answer, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "SLOW_SECONDS", 0.2)
    with answering(answer) as url, pytest.raises(UserError, match=rf"^{url}/shard-0\.tar: is not the .* {message}$"):
        fetched(url, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_drips_can_be_called_off(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with answering(drip) as url, pytest.raises(Stopped):
        fetched(url, tmp_path, stop)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 10**6, "too deeply nested"),
        (b'{"a":' * 10**6, "too deeply nested"),
        (b" " * (16 * 10**6 + 1), "has more than 16 MB"),
        (b'{"format": "' + b"x" * 10**6 + b'"}', "of another format"),
        (b'{"format": "noiseda shards", "version": ' + b"9" * 4000 + b"}", "version 999"),
        (b'{"format": "noiseda shards", "version": ' + b"9" * 5000 + b"}", "ValueError"),
        (b'"\\ud800"', "TypeError"),
        (b"\x00" * 100, "ValueError|JSONDecodeError"),
        (b"NaN", "TypeError"),
    ],
)
def test_an_index_of_nonsense_is_a_short_sentence(content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parse_index(content, Path("place"))
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "changes",
    [
        {"samples": 10**30},
        {"bytes": 10**30},
        {"bytes": 10**30, "samples": 10**27},
        {"samples": 21},  # of 512 bytes each at least
        {"samples": 1e400},
        {"samples": True},
        {"bytes": "many"},
        {"bytes": None},
        {"name": "n" * 5000},
        {"name": "\ud800.tar"},
        {"name": 7},
        {"name": ""},
        {"name": "a\0.tar"},
        {"sha256": 7},
    ],
)
def test_nonsense_about_a_shard_is_a_short_sentence(changes: dict[str, Any]) -> None:
    shard = {**SHARD, **changes}
    tree = {**INDEX, "shards": [shard], "samples": shard["samples"]}
    with pytest.raises(UserError, match=r"^place: its index\.json does not hold") as caught:
        parse_index(json.dumps(tree).encode(), Path("place"))
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()
