import stat
import zipfile
from pathlib import Path

import pytest

from noiseda.errors import UserError
from noiseda.web.limits import Limits
from noiseda.web.uploads import Received, pack, receive
from tests.web.photographs import packed, photograph

FEW = Limits(files=3, megabytes=1, unpacked=2, megapixels=0.01)


def names(received: Received, into: Path) -> list[str]:
    return [path.relative_to(into).as_posix() for path in received.images]


def test_photographs_are_moved_and_others_are_refused_by_name(tmp_path: Path) -> None:
    sent = [photograph(tmp_path / "sent" / name) for name in ("b.png", "a.jpg")]
    (tmp_path / "sent/notes.txt").write_text("no picture")
    received = receive([*sent, tmp_path / "sent/notes.txt"], tmp_path / "in", Limits())
    assert names(received, tmp_path / "in") == ["a.jpg", "b.png"]
    assert received.refused == [
        "notes.txt: not a photograph that noiseda reads (PNG, JPEG, TIFF, WebP, or a zip of these)"
    ]
    assert list((tmp_path / "sent").iterdir()) == []


def test_what_only_calls_itself_a_photograph_is_refused_and_removed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    received = receive([tmp_path / "a.png"], tmp_path / "in", Limits())
    assert received.images == []
    (reason,) = received.refused
    assert reason.startswith("a.png: ")
    assert str(tmp_path) not in reason
    assert list((tmp_path / "in").iterdir()) == []


def test_two_of_one_name_are_both_kept(tmp_path: Path) -> None:
    sent = [photograph(tmp_path / folder / "a.png") for folder in ("one", "two")]
    assert names(receive(sent, tmp_path / "in", Limits()), tmp_path / "in") == ["a (2).png", "a.png"]


def test_too_many_and_too_large_ones_are_refused(tmp_path: Path) -> None:
    sent = [photograph(tmp_path / f"{index}.png") for index in range(4)]
    received = receive([photograph(tmp_path / "large.png", 120, 120), *sent], tmp_path / "in", FEW)
    assert len(received.images) == 3
    assert "large.png: 0 megapixels, more than the 0.01 that this page takes" in received.refused
    assert "3.png: more than 3 photographs at once" in received.refused


def test_a_zip_file_is_unpacked_with_its_folders(tmp_path: Path) -> None:
    picture = photograph(tmp_path / "a.png")
    content = {
        "trip/a.png": picture,
        "trip/notes.txt": b"",
        "__MACOSX/a.png": b"",
        ".hidden.png": b"",
        "b.png": picture,
    }
    received = receive([packed(tmp_path / "all.zip", content)], tmp_path / "in", Limits())
    assert names(received, tmp_path / "in") == ["b.png", "trip/a.png"]
    assert [reason.partition(":")[0] for reason in received.refused] == ["trip/notes.txt"]
    assert not (tmp_path / "all.zip").exists()


@pytest.mark.parametrize("name", ["../a.png", "x/../../a.png", "/a.png", "..\\a.png", "C:\\a.png"])
def test_a_zip_file_cannot_reach_out_of_its_folder(tmp_path: Path, name: str) -> None:
    received = receive(
        [packed(tmp_path / "all.zip", {name: photograph(tmp_path / "p.png")})], tmp_path / "in", Limits()
    )
    assert received.images == []
    assert "names a file outside of itself" in received.refused[0]
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == ["p.png"]


def test_a_zip_bomb_is_stopped_by_what_comes_out_of_it(tmp_path: Path) -> None:
    bomb = packed(tmp_path / "bomb.zip", {"a.png": bytes(30_000_000)})
    assert bomb.stat().st_size < 100_000
    received = receive([bomb], tmp_path / "in", FEW)
    assert received.images == []
    assert received.refused == ["bomb.zip: a.png unpacks to more than 1 MB; nothing more of it is taken"]
    assert [path for path in (tmp_path / "in").rglob("*") if path.is_file()] == []


def test_many_files_in_zip_files_share_one_limit(tmp_path: Path) -> None:
    content = {f"{index}.png": bytes(900_000) for index in range(3)}
    zips = [packed(tmp_path / f"{index}.zip", dict([item])) for index, item in enumerate(content.items())]
    received = receive(zips, tmp_path / "in", FEW)
    assert received.refused[-1] == "2.zip: 2.png unpacks to more than 0 MB; nothing more of it is taken"


def test_a_zip_file_of_too_many_photographs_ends_where_the_page_is_full(tmp_path: Path) -> None:
    content = {f"{index}.png": photograph(tmp_path / "a.png") for index in range(5)}
    received = receive([packed(tmp_path / "all.zip", content)], tmp_path / "in", FEW)
    assert len(received.images) == 3
    assert received.refused == ["all.zip: 3.png: more than 3 photographs at once"]


def test_zip_files_within_zip_files_and_links_are_not_followed(tmp_path: Path) -> None:
    inner = packed(tmp_path / "inner.zip", {"a.png": photograph(tmp_path / "a.png")})
    outer = packed(tmp_path / "outer.zip", {"inner.zip": inner})
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(outer, "a") as into:
        into.writestr(link, "/etc/passwd")
    received = receive([outer], tmp_path / "in", Limits())
    assert received.images == []
    assert received.refused == [
        "inner.zip: no zip file that can be opened (PNG, JPEG, TIFF, WebP, or a zip of these)",
        "link.png: a link, or locked by a password",
    ]


def test_a_damaged_zip_file_is_said(tmp_path: Path) -> None:
    path = packed(tmp_path / "all.zip", {"a.png": photograph(tmp_path / "a.png")})
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    received = receive([path], tmp_path / "in", Limits())
    assert received.images == []
    assert received.refused[0].startswith("all.zip: the zip file is damaged or of a kind that is not read")


def test_packing_keeps_files_as_they_are(tmp_path: Path) -> None:
    files = [photograph(tmp_path / "out" / name) for name in ("x/a.png", "b.jpg")]
    with zipfile.ZipFile(pack(files, tmp_path / "out", tmp_path / "all.zip")) as made:
        assert made.namelist() == ["x/a.png", "b.jpg"]
        assert made.read("b.jpg") == files[1].read_bytes()


def test_limits_that_nothing_fits_into_are_refused() -> None:
    with pytest.raises(UserError, match="--max-files must be greater than 0, not 0"):
        Limits(files=0)
