"""Shards whose index or whose tar files say what is not so: checked, and drawn from."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch

from fuzz import mutations
from fuzz.archives import ARCHIVES
from fuzz.cases import Case, Wrong, tried
from fuzz.oracle import digests, refusal_of, unharmed
from fuzz.pictures import picture
from noiseda.address import Location, Url
from noiseda.data.check import check_folder
from noiseda.data.fetch import ShardCache
from noiseda.data.pack import pack
from noiseda.data.shards import find_shards
from noiseda.data.stream import ShardStream
from noiseda.errors import UserError

_ODD: tuple[Any, ...] = (0, -1, 2**31, 2**63, 10**30, 1e30, 1.5, float("nan"), None, True, "1", "", "../a", "é", [], {})
_ENDLESS = 700_000_000
"""Bytes of an answer after which a reader that has no bound of its own takes more memory than it may."""


def run(case: Case, place: Path) -> str | None:
    """Check a folder of shards, and draw one sample of it."""
    source = packed(place / "case")
    if case.number in SERVED:
        tried(place, f"served: {SERVED[case.number].__doc__}")
        with _served(SERVED[case.number]) as address:
            return refusal_of(lambda: _draw(Url(address), place / "cache"))
    spoil(case, source, place)
    before = digests(source)
    report: list[Any] = []
    refusals = [
        refusal_of(lambda: report.append(check_folder(source, patch=16))),
        refusal_of(lambda: _draw(source, place / "cache")),
    ]
    unharmed(source, before)
    if report and not report[0].ok:
        refusals.append("; ".join(found.message for found in report[0].problems))
    found = [refusal for refusal in refusals if refusal is not None]
    for refusal in found:
        if "case" not in refusal:
            raise Wrong(f"a refusal that does not name the folder: {refusal}")
    return found[0] if found else None


def packed(folder: Path) -> Path:
    """A small set in two shards."""
    photographs = folder.with_name("photographs")
    photographs.mkdir()
    for index, name in enumerate(("rgb.png", "grey.png", "baseline.jpg", "16-bit rgb.png", "strips.tif", "lossy.webp")):
        (photographs / f"{index}{Path(name).suffix}").write_bytes(picture(name))
    pack(photographs, folder, shard_megabytes=0.05)
    return folder


def spoil(case: Case, folder: Path, place: Path) -> None:
    """Spoil the index, or a tar file (mostly with an index that agrees with it)."""
    chance = case.chance
    index = folder / "index.json"
    if case.number < len(INDICES):
        name = list(INDICES)[case.number]
        tried(place, f"index: {name}")
        INDICES[name](index)
        return
    tar = sorted(folder.glob("*.tar"))[0]
    number = case.number - len(INDICES) - len(SERVED)
    if 0 <= number < len(ARCHIVES):
        name = list(ARCHIVES)[number]
        tried(place, f"tar: {name}")
        ARCHIVES[name](tar)
        agree(index, tar)
        return
    if chance.random() < 0.4:
        tried(place, "index: one value")
        _one_value(index, chance)
        return
    mutation = chance.choice((*mutations.ANY, mutations.mix_pieces))
    tried(place, f"tar: {mutation.__name__}")
    tar.write_bytes(mutation(tar.read_bytes(), chance))
    if chance.random() < 0.8:
        agree(index, tar)


def agree(index: Path, tar: Path) -> None:
    """Write the size and the digest of a tar file into the index."""
    tree = json.loads(index.read_text())
    for shard in tree["shards"]:
        if shard["name"] == tar.name:
            with tar.open("rb") as file:
                shard |= {"bytes": tar.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    index.write_text(json.dumps(tree))


def _draw(location: Location, cache: Path) -> None:
    """One sample, by the way that training goes."""
    shards = find_shards(location)
    if shards is None:
        raise UserError(f"{location}: holds no shards")
    room = ShardCache(cache, gigabytes=1, max_megapixels=200)
    stream = ShardStream(shards, room, flag="--clean", seed=0, purpose="synthetic", window=2, draws=2)
    try:
        stream.draw(0, 16, torch.Generator().manual_seed(0))
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def _one_value(index: Path, chance: Any) -> None:  # noqa: ANN401
    tree = json.loads(index.read_text())
    place = chance.choice((tree, tree["shards"][0], tree["shards"][0]))
    place[chance.choice(tuple(place))] = chance.choice(_ODD)
    index.write_text(json.dumps(tree))


def _tree(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def spoil(index: Path) -> None:
        tree = json.loads(index.read_text())
        change(tree)
        index.write_text(json.dumps(tree))

    return spoil


def _first(**fields: object) -> Callable[[Path], None]:
    return _tree(lambda tree: tree["shards"][0].update(fields))


def _text(content: bytes) -> Callable[[Path], None]:
    def spoil(index: Path) -> None:
        index.write_bytes(content)

    return spoil


INDICES: dict[str, Callable[[Path], None]] = {
    "deep": _text(b"[" * 100_000),
    "deep, and ours": _text(b'{"format": "noiseda shards", "version": ' + b"[" * 100_000),
    "a number of 5000 digits": _text(b'{"format": "noiseda shards", "version": ' + b"9" * 5000 + b"}"),
    "empty": _text(b""),
    "a list": _text(b'["noiseda shards"]'),
    "not UTF-8": _text(b'{"format": "noiseda shards\xff"}'),
    "samples of 1e30": lambda index: _tree(
        lambda tree: (tree.update(samples=10**30 + 1), tree["shards"][0].update(samples=10**30))
    )(index),
    "samples that agree, and are too many": _tree(
        lambda tree: tree.update(samples=sum(s["samples"] for s in tree["shards"]) + 2**40),
    ),
    "bytes of 1e30": _first(bytes=10**30),
    "a name that leads out": _first(name="../case/shard-000000.tar"),
    "a name of a number": _first(name=7),
    "a name of 1e6 letters": _first(name="a" * 1_000_000),
    "a digest of null": _first(sha256=None),
    "more fields": _first(more=1),
    "shards of a text": _tree(lambda tree: tree.update(shards="shard-000000.tar")),
    "shards of nulls": _tree(lambda tree: tree.update(shards=[None, None])),
    "100000 shards": _tree(lambda tree: tree.update(shards=tree["shards"] * 50_000)),
    "a kind of a list": _tree(lambda tree: tree.update(kind=["single"])),
}
"""What an index holds -> what writes it."""


class _Quiet(BaseHTTPRequestHandler):
    """A server without a word."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Endless(_Quiet):
    """An index that never ends."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(2 * _ENDLESS // 1_000_000):
                self.wfile.write(b" " * 1_000_000)


class _Bomb(_Quiet):
    """An index that unpacks to hundreds of megabytes."""

    def do_GET(self) -> None:
        """Answer."""
        piece = gzip.compress(bytes(50_000_000), compresslevel=1)
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(2 * _ENDLESS // 50_000_000):
                self.wfile.write(piece)


class _Cut(_Quiet):
    """An index that is cut off."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", "5000")
        self.end_headers()
        self.wfile.write(b'{"format": ')


SERVED = {len(INDICES) + place: handler for place, handler in enumerate((_Endless, _Bomb, _Cut))}
"""Number of a case -> what answers from an address of this machine."""


@contextlib.contextmanager
def _served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    logging.getLogger("urllib3").setLevel("ERROR")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/case"
        finally:
            server.shutdown()
