"""Small photographs in folders, and a folder served on this machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

PHOTOGRAPH = skimage.data.astronaut()


def save(path: Path, row: int = 0, height: int = 40, width: int = 48) -> Path:
    """A crop of a photograph; another row is another crop."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(PHOTOGRAPH[row : row + height, 100 : 100 + width])).save(path)
    return path


def photographs(folder: Path, count: int = 12) -> Path:
    for index in range(count):
        save(folder / f"{index:02}.png", 35 * index)
    return folder


class Server:
    """A folder's address, and the paths that were asked of it."""

    def __init__(self, url: str, asked: list[str]) -> None:
        self.url, self.asked = url, asked

    def shards(self) -> list[str]:
        """The shards that were asked for, in order."""
        return [path.rpartition("/")[2] for path in self.asked if path.endswith(".tar")]


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield Server(f"http://127.0.0.1:{server.server_address[1]}", asked)
        finally:
            server.shutdown()
            thread.join()
