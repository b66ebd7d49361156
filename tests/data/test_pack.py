"""Shards are what webdataset reads, the same bytes each time, and there as a whole or not at all."""

import errno
import json
import os
import shutil
import tarfile
from collections import Counter
from pathlib import Path

import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from noiseda.data import pack as packing
from noiseda.data.pack import pack, split
from noiseda.data.shards import find_shards, split_key
from noiseda.errors import UserError
from tests.data.served import photographs, save


def oracle(folder: Path) -> dict[str, dict[str, bytes]]:
    """Key -> extension -> bytes, as webdataset reads a folder of shards."""
    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))
    found = {s["__key__"]: {name: s[name] for name in s if not name.startswith("__")} for s in samples}
    assert len(found) == len(samples)
    return found


def members(folder: Path) -> list[str]:
    names = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            names += tar.getnames()
    return names


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_webdataset_reads_the_images_that_were_packed(tmp_path: Path) -> None:
    names = ["a.png", "deep/er/b.JPG", "deep.er/c.d.tif", "übung 1.png", "x" * 150 + "/y.webp", "__macosx__/a.png"]
    files = {name: save(tmp_path / "in" / name, 20 * i).read_bytes() for i, name in enumerate(names)}
    pack(tmp_path / "in", tmp_path / "out", shard_megabytes=0.01)
    keys = ["a", "deep/er/b", "deep_er/c_d", "übung 1", "x" * 150 + "/y", "_macosx__/a"]
    expected = {key: {Path(name).suffix[1:].lower(): files[name]} for key, name in zip(keys, names, strict=True)}
    assert oracle(tmp_path / "out") == expected
    assert len(list((tmp_path / "out").glob("*.tar"))) > 1


@pytest.mark.parametrize("halves", [("input", "target"), ("scene 1/blur", "scene 1/sharp"), ("rain", "norain")])
def test_webdataset_reads_the_pairs_that_were_packed(tmp_path: Path, halves: tuple[str, str]) -> None:
    prefix = ("rain-", "norain-") if "rain" in halves else ("", "")
    for index, name in enumerate(("1.5", "sub/2")):
        for half, before in zip(halves, prefix, strict=True):
            folder, _, stem = name.rpartition("/")
            save(tmp_path / "in" / half / folder / f"{before}{stem}.png", 50 * index + len(half))
    report = pack(tmp_path / "in", tmp_path / "out")
    assert (report.shards.kind, len(report.shards)) == ("pairs", 2)
    found = oracle(tmp_path / "out")
    scene = "scene 1/" if "scene 1/blur" in halves else ""
    assert set(found) == {f"{scene}{prefix[0]}1_5", f"{scene}sub/{prefix[0]}2"}
    for key, name in zip(sorted(found), ("1.5", "sub/2"), strict=True):
        folder, _, stem = name.rpartition("/")
        assert found[key] == {
            f"{half}.png": (tmp_path / "in" / where / folder / f"{before}{stem}.png").read_bytes()
            for half, where, before in zip(("input", "target"), halves, prefix, strict=True)
        }


def test_keys_are_separated_as_webdataset_does() -> None:
    from webdataset.tariterators import base_plus_ext

    for name in ("a.png", "a.b/c.input.png", "deep/a.tar.gz", "ü/1.JPG"):
        assert split_key(name) == base_plus_ext(name)


def test_files_that_would_share_a_key_get_one_each(tmp_path: Path) -> None:
    for index, name in enumerate(("a.jpg", "a.png", "a-2.png", "b.1.png", "b_1.png")):
        save(tmp_path / "in" / name, 40 * index)
    pack(tmp_path / "in", tmp_path / "out")
    assert members(tmp_path / "out") == ["a-2.png", "a.jpg", "a-3.png", "b_1.png", "b_1-2.png"]
    assert len(oracle(tmp_path / "out")) == 5


def test_the_same_images_give_the_same_bytes_whenever_and_wherever(tmp_path: Path) -> None:
    photographs(tmp_path / "in", 5)
    pack(tmp_path / "in", tmp_path / "one", shard_megabytes=0.01)
    again = shutil.copytree(tmp_path / "in", tmp_path / "elsewhere", copy_function=shutil.copyfile)
    os.utime(again / "00.png", (10**9, 10**9))
    (again / "01.png").chmod(0o600)
    pack(again, tmp_path / "two", shard_megabytes=0.01)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_shards_keep_to_their_size_and_share_evenly(tmp_path: Path) -> None:
    photographs(tmp_path / "in")
    total = sum(path.stat().st_size for path in (tmp_path / "in").iterdir())
    report = pack(tmp_path / "in", tmp_path / "out", shard_megabytes=total / 3.2e6)
    sizes = [shard.bytes for shard in report.shards.shards]
    assert max(sizes) <= total / 3.2 + tarfile.RECORDSIZE  # tarfile fills up the last record
    counts = [shard.samples for shard in report.shards.shards]
    assert sum(counts) == 12
    assert max(counts) - min(counts) <= 1
    tiny = pack(tmp_path / "in", tmp_path / "tiny", shard_megabytes=0.001)
    assert [shard.samples for shard in tiny.shards.shards] == [1] * 12


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=40), st.integers(1, 2000))
def test_samples_are_split_in_order_within_the_limit(sizes: list[int], limit: int) -> None:
    numbers = split(sizes, limit)
    assert numbers == sorted(numbers)
    for number in set(numbers):
        held = [size for size, found in zip(sizes, numbers, strict=True) if found == number]
        assert sum(held) <= limit or len(held) == 1


def test_equal_samples_are_split_evenly() -> None:
    for count in range(1, 30):
        held = Counter(split([100] * count, 550))
        assert len(held) == -(-count // 5)
        assert max(held.values()) - min(held.values()) <= 1


def test_what_cannot_be_used_is_left_out_warned_of_and_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    photographs(tmp_path / "in", 3)
    save(tmp_path / "in/narrow.png", height=15)
    save(tmp_path / "in/large.png", height=300, width=300)
    whole = save(tmp_path / "in/sub/cut.png", 30).read_bytes()
    (tmp_path / "in/sub/cut.png").write_bytes(whole[:2000])
    (tmp_path / "in/lost.png").symlink_to("nowhere")
    report = pack(tmp_path / "in", tmp_path / "out", max_megapixels=0.05)
    listed = json.loads((tmp_path / "out/index.json").read_text())["left_out"]
    assert [image["path"] for image in listed] == ["large.png", "lost.png", "narrow.png", "sub/cut.png"]
    reasons = ("0.1 megapixels", "No such file", "needs 16 at least", "cannot be read")
    for image, reason in zip(listed, reasons, strict=True):
        assert reason in image["reason"]
        assert str(tmp_path) not in image["reason"], "the index may be published"
        assert image["path"] in caplog.text
        assert image["path"] in str(report)
    assert len(oracle(tmp_path / "out")) == len(report.shards) == 3


def test_a_pair_is_left_out_as_a_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for half in ("input", "target"):
        photographs(tmp_path / "in" / half, 3)
    (tmp_path / "in/target/01.png").write_bytes(b"")
    save(tmp_path / "in/notes/other.png")
    pack(tmp_path / "in", tmp_path / "out")
    assert set(oracle(tmp_path / "out")) == {"00", "02"}
    assert "1 images belong to no pair" in caplog.text


def test_what_cannot_be_packed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        pack(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        pack(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in/a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"its only image cannot be used \(.*a\.png"):
        pack(tmp_path / "in", tmp_path / "out")
    with pytest.raises(UserError, match=r"--shard-megabytes must be at least 0\.001"):
        pack(tmp_path / "in", tmp_path / "out", shard_megabytes=0)
    with pytest.raises(UserError, match="a folder of their own"):
        pack(tmp_path / "in", tmp_path / "in")
    save(tmp_path / "pairs/input/1.png")
    save(tmp_path / "pairs/target/2.png")
    with pytest.raises(UserError, match="has no partner"):
        pack(tmp_path / "pairs", tmp_path / "out")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"file.*cannot be written"):
        pack(photographs(tmp_path / "good", 1), tmp_path / "file/out")


def test_shards_are_replaced_only_where_it_is_asked_for(tmp_path: Path) -> None:
    photographs(tmp_path / "in", 6)
    pack(tmp_path / "in", tmp_path / "out", shard_megabytes=0.01)
    before = contents(tmp_path / "out")
    with pytest.raises(UserError, match="--overwrite replaces them"):
        pack(tmp_path / "in", tmp_path / "out")
    assert contents(tmp_path / "out") == before
    report = pack(tmp_path / "in", tmp_path / "out", overwrite=True)
    assert set(contents(tmp_path / "out")) == {"index.json", "shard-000000.tar"}, "and none of the old ones is left"
    assert find_shards(tmp_path / "out") == report.shards


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk_leaves_no_index_and_the_same_command_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    photographs(tmp_path / "in", 6)
    if overwrite:
        pack(tmp_path / "in", tmp_path / "out", shard_megabytes=0.01)
    write = packing._write

    def fill(path: Path, samples: object) -> object:
        if path.name == "shard-000002.tar":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, samples)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(packing, "_write", fill)
        with pytest.raises(UserError, match=r"out: cannot be written: No space left"):
            pack(tmp_path / "in", tmp_path / "out", shard_megabytes=0.01, overwrite=overwrite)
    with pytest.raises(UserError, match=r"holds shards but no index\.json"):
        find_shards(tmp_path / "out")
    pack(tmp_path / "in", tmp_path / "out", shard_megabytes=0.01)
    pack(tmp_path / "in", tmp_path / "unbroken", shard_megabytes=0.01)
    assert contents(tmp_path / "out") == contents(tmp_path / "unbroken")


def test_what_is_not_taken_is_said(tmp_path: Path) -> None:
    photographs(tmp_path / "in", 2)
    for name in ("IMG_1.HEIC", "sub/x.nef", "Thumbs.db"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"x")
    lines = str(pack(tmp_path / "in", tmp_path / "out")).splitlines()
    assert lines[1].startswith("  not taken: 1 HEIC, 1 NEF (IMG_1.HEIC, sub/x.nef): this version reads PNG, JPEG, TIFF")
    assert lines[2:] == ["  passed over: 1 system file (Thumbs.db)"]
    inside = pack(tmp_path / "in", tmp_path / "in" / "shards")  # its own shards are not counted
    assert len(inside.others) == 2
    assert "tar" not in str(inside.others)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.cr2").write_bytes(b"x")
    with pytest.raises(UserError, match=r"holds no images .*; not taken: 1 CR2 \(a\.cr2\)"):
        pack(tmp_path / "raw", tmp_path / "other")
