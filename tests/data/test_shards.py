"""An index is understood or refused; so is a tar file."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from noiseda.address import Url
from noiseda.data import download
from noiseda.data.shards import Kind, find_shards, parse_index, read_samples
from noiseda.errors import UserError
from tests.data.served import save, served

SHARD = {"name": "shard-000000.tar", "bytes": 10240, "sha256": "0" * 64, "samples": 3}
INDEX = {"format": "noiseda shards", "version": 1, "kind": "single", "samples": 3, "shards": [SHARD], "left_out": []}


def parse(**changes: Any) -> object:
    return parse_index(json.dumps({**INDEX, **changes}).encode(), Path("place"))


def test_an_index_says_what_there_is() -> None:
    found = parse_index(json.dumps(INDEX).encode(), Path("place"))
    assert (len(found), found.kind, found.shards[0].sha256) == (3, "single", "0" * 64)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "zip"}, "another format"),
        ({"version": 2}, "version 2; expected 1"),
        ({"kind": "triples"}, "triples"),
        ({"samples": 4}, "4 samples, but its shards hold 3"),
        ({"shards": []}, "no shards"),
        ({"shards": [SHARD, SHARD], "samples": 6}, "different names"),
        ({"shards": 7}, "TypeError"),
        ({"shards": [{**SHARD, "name": "../secret.tar"}]}, "secret"),
        ({"shards": [{**SHARD, "name": ".hidden.tar"}]}, "hidden"),
        ({"shards": [{**SHARD, "sha256": "abc"}]}, "abc"),
        ({"shards": [{**SHARD, "samples": 0}], "samples": 0}, "0 samples"),
        ({"shards": [{**SHARD, "more": 0}]}, "more"),
    ],
)
def test_another_index_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=rf"place: .*{message}"):
        parse(**changes)


@pytest.mark.parametrize("content", [b"", b"[1]", b"nonsense", b"\xff", b"{}"])
def test_what_is_no_index_is_refused(content: bytes) -> None:
    with pytest.raises(UserError, match=r"place: its index\.json does not hold"):
        parse_index(content, Path("place"))


def test_a_folder_of_images_is_one_whatever_index_lies_beside_them(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    assert find_shards(tmp_path) is None
    (tmp_path / "index.json").write_text('{"format": "my gallery"}')
    assert find_shards(tmp_path) is None
    assert find_shards(tmp_path / "absent") is None


def test_an_address_on_this_machine_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b/index.json").write_text(json.dumps(INDEX))
    found = find_shards(Url(f"file://{tmp_path}/a%20b"))
    assert found is not None
    assert found.location == tmp_path / "a b"


def test_an_address_that_holds_none_or_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(tmp_path) as server:
        with pytest.raises(UserError, match=rf"^{server.url}/x: there is no index\.json; expected the address"):
            find_shards(Url(f"{server.url}/x"))
        gone = server.url
    with pytest.raises(UserError, match=rf"^{gone}: cannot be reached: Connection refused$"):
        find_shards(Url(gone))
    monkeypatch.setattr(download, "TIMEOUT", 0.05)
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match=rf"^{address}: cannot be reached: .*timed out"):
            find_shards(Url(address))


def tar(*names: str) -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        for name in names:
            made.addfile(tarfile.TarInfo(name))
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("names", "kind", "message"),
    [
        (["a.png", "a.jpg"], "single", "two files of one sample: a.png and a.jpg"),
        (["a.input.png"], "pairs", "a: expected its input and target, found input"),
        (["a.input.png", "a.truth.png"], "pairs", "found input, truth"),
        (["a.input.png", "a.input.jpg"], "pairs", "two files of one sample"),
        (["../a.png"], "single", "leads out of the folder"),
        (["/a.png"], "single", "leads out of the folder"),
    ],
)
def test_a_tar_file_that_does_not_keep_to_the_layout_is_refused(names: list[str], kind: Kind, message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(read_samples(tar(*names), kind))


def test_a_tar_file_that_is_none_or_cut_short_is_refused() -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        member = tarfile.TarInfo("a.png")
        member.size = 1000
        made.addfile(member, io.BytesIO(b"x" * 1000))
    for content in (b"nonsense" * 200, b"", file.getvalue()[:900]):
        with pytest.raises(UserError, match="not a whole tar file"):
            list(read_samples(io.BytesIO(content), "single"))


def test_what_is_no_file_is_passed_over() -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        folder = tarfile.TarInfo("sub")
        folder.type = tarfile.DIRTYPE
        made.addfile(folder)
        made.addfile(tarfile.TarInfo("sub/a.png"))
    file.seek(0)
    assert [sample.names for sample in read_samples(file, "single")] == [("sub/a.png",)]
