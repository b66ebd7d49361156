"""The page as programs use it: what users do, without a browser."""

import json
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from noiseda import raster
from noiseda.inference import restore_files
from tests.web.photographs import deep, packed, photograph
from tests.web.serving import Served, served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served"), "--max-files", "3") as found:
        yield found


@pytest.fixture
def user(page: Served, tmp_path: Path) -> Callable[[], Client]:
    return lambda: Client(page.url, verbose=False, download_files=str(tmp_path / "downloads"))


def get(url: str, host: str | None = None) -> str:
    asked = urllib.request.Request(url, headers={} if host is None else {"Host": host})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return answer.read().decode()


def restored(client: Client, *paths: Path, what: str = "Noise") -> tuple:
    sent = [handle_file(str(path)) for path in paths]
    return client.predict(sent, 1.0, False, what, api_name="/restore")


def test_a_photograph_comes_back_as_the_command_writes_it(user, tmp_path: Path) -> None:
    source = deep(tmp_path / "street.tif")
    said, _, slider, download = restored(user(), source)
    assert "1 photograph restored" in said
    made = Path(download["value"] if isinstance(download, dict) else download)
    restore_files(Path("denoise"), str(source), tmp_path / "command")
    assert made.name == "street.tif"
    assert made.read_bytes() == (tmp_path / "command/street.tif").read_bytes()
    assert raster.read(made).bits == 16
    before, after = slider["value"] if isinstance(slider, dict) else slider
    assert Path(before).read_bytes()[:8] == Path(after).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(("what", "weights"), [("Rain", "derain"), ("Blur", "deblur"), ("JPEG blocks", "dejpeg")])
def test_what_is_chosen_is_taken_away(user, tmp_path: Path, what: str, weights: str) -> None:
    source = photograph(tmp_path / "street.png")
    *_, download = restored(user(), source, what=what)
    restore_files(Path(weights), str(source), tmp_path / "command")
    made = Path(download["value"] if isinstance(download, dict) else download)
    assert made.read_bytes() == (tmp_path / "command/street.png").read_bytes()


def test_several_and_a_zip_come_back_as_one_zip(user, tmp_path: Path) -> None:
    first, second = photograph(tmp_path / "a.png"), photograph(tmp_path / "b.jpg")
    archive = packed(tmp_path / "all.zip", {"trip/c.png": first, "notes.txt": b"no picture"})
    said, _, _, download = restored(user(), first, second, archive)
    assert "3 photographs restored" in said
    with zipfile.ZipFile(download["value"] if isinstance(download, dict) else download) as made:
        assert sorted(made.namelist()) == ["a.png", "b.jpg", "trip/c.png"]


def test_a_wrong_file_is_said_in_a_sentence(user, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    said = restored(user(), tmp_path / "notes.png")[0]
    assert "Not taken: notes.png" in said
    assert "noiseda-web-" not in said
    assert "There is no photograph yet" in restored(user())[0]
    (tmp_path / "mine.pth").write_text("no weights")
    _, about = user().predict(handle_file(str(tmp_path / "mine.pth")), api_name="/weights")
    assert "mine.pth is a text" in about
    assert "The ready weights are used" in about


def test_more_than_the_page_takes_is_left_out(user, tmp_path: Path) -> None:
    said = user().predict(
        [handle_file(str(photograph(tmp_path / f"{index}.png"))) for index in range(4)], api_name="/photographs"
    )[1]
    assert "3 photographs" in said
    assert "Not taken: 3.png: more than 3 photographs at once" in said


def called(page: Served, name: str, *data: object) -> str:
    """What the page answers to who writes requests by hand: a client would send the file itself."""
    body = json.dumps({"data": data, "session_hash": "somebodyelse"}).encode()
    asked = urllib.request.Request(f"{page.url}gradio_api/call/{name}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        event = json.load(answer)["event_id"]
    return get(f"{page.url}gradio_api/call/{name}/{event}")


def test_two_users_have_nothing_of_one_another(user, page: Served, tmp_path: Path) -> None:
    restored(user(), photograph(tmp_path / "mine.png"))
    (theirs,) = page.root.rglob("photographs/mine.png")
    own = page.root / ("0" * 64) / "own.png"  # where uploads arrive
    photograph(own)
    for path, said in ((own, "1 photograph restored"), (theirs, "There is no photograph yet")):
        sent = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        assert said in called(page, "restore", [sent], 1.0, False, "Noise")
    assert theirs.exists()
    for name in ("", "config", "gradio_api/info"):
        assert theirs.parent.parent.name not in get(page.url + name)


def test_files_of_the_machine_are_not_served(page: Served, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("own")
    for path in (tmp_path / "own.txt", Path(__file__), page.root):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{page.url}gradio_api/file={path}")
        assert refused.value.code == 403


def test_nothing_of_the_page_is_asked_for_from_outside(page: Served) -> None:
    asks = re.compile(r"""(?:<(?:script|img|iframe)[^>]*\ssrc=|<link[^>]*\shref=|url\(|@import\s)["']?(https?:)?//""")
    for name in ("", "theme.css"):
        assert not asks.search(get(page.url + name)), name
    assert "fonts.g" not in get(page.url + "theme.css")


def test_this_machine_alone_is_served(page: Served) -> None:
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", page.port), timeout=5):
        pass
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(page.url, host="evil.example")
    assert refused.value.code == 403


def test_what_was_sent_is_removed_when_the_page_is_closed(page: Served, tmp_path: Path) -> None:
    name = "mine-alone.png"
    client = Client(page.url, verbose=False, download_files=str(tmp_path / "downloads"))
    with urllib.request.urlopen(f"{page.url}gradio_api/heartbeat/{client.session_hash}", timeout=60) as open_page:
        restored(client, photograph(tmp_path / name))
        assert page.kept().count(name) == 2  # what was sent, and what was made of it
        assert open_page.status == 200
    for _ in range(100):
        if name not in page.kept():
            break
        time.sleep(0.1)
    assert name not in page.kept()


def test_nothing_is_left_when_the_command_ends(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    with served(tmp_path / "served") as page:
        restored(Client(page.url, verbose=False, download_files=str(tmp_path)), photograph(tmp_path / "a.png"))
        os.kill(page.process.pid, signal.SIGINT)
        assert page.process.wait(30) == 130
    assert [path.name for path in (tmp_path / "served").iterdir()] == ["log.txt"]
    assert "Traceback" not in (tmp_path / "served/log.txt").read_text()
