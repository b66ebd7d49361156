"""Shards that are no such thing: one sentence for each, soon, and without the memory that they ask for."""

import errno
import hashlib
import io
import os
import random
import tarfile
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from noiseda.data import tar_members
from noiseda.data.check import check_folder
from noiseda.data.fetch import ShardCache
from noiseda.data.pack import pack
from noiseda.data.shards import Kind, Shard, ShardSet, find_shards, index_of, read_samples
from noiseda.data.stream import ShardStream
from noiseda.data.tar_members import shown
from noiseda.errors import ImageError, UserError
from tests.data.served import photographs, save

MEGABYTES = 2**20


def entry(name: str, content: bytes = b"", **fields: object) -> bytes:
    """A header and its content, as GNU tar writes them."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT, errors="surrogateescape") + content + bytes(-len(content) % 512)


END = bytes(1024)
PNG = b"not read here"


def raw(size: int, kind: bytes, name: str = "a.png") -> bytes:
    """A header that claims a content which may not be there."""
    return entry(name, size=size, type=kind)


def pax(**records: str) -> bytes:
    """An extended header and the file it belongs to."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("a.png")
        info.size, info.pax_headers = len(PNG), dict(records)
        tar.addfile(info, io.BytesIO(PNG))
    return made.getvalue()


ODD: dict[str, tuple[bytes, str]] = {
    "hard link": (entry("a.png", PNG) + entry("b.png", type=tarfile.LNKTYPE, linkname="a.png"), "b.png: is a link"),
    "symbolic link": (entry("b.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "b.png: is a link"),
    "device": (entry("null", type=tarfile.CHRTYPE), "null: is a link or a device"),
    "pipe": (entry("pipe", type=tarfile.FIFOTYPE), "pipe: is a link or a device"),
    "unknown type": (entry("a.png", PNG, type=b"Z"), "a.png: is a link or a device"),
    "leads out": (entry("x/../../a.png", PNG), "leads out of the folder"),
    "absolute": (entry("/a.png", PNG), "leads out of the folder"),
    "no name": (entry("", PNG), "its name is empty"),
    "NUL": (pax(path="a\0b.png"), "holds a NUL"),
    "long name": (pax(path="n" * 5000 + ".png"), "longer than"),
    "twice": (entry("a.png", PNG) * 2, "two files of one sample: a.png and a.png"),
    "gzip": (b"\x1f\x8b" + bytes(600), "compressed"),
    "beyond the end": (raw(10**6, tarfile.REGTYPE), "a.png is cut short"),
    "far beyond the end": (raw(2**70, tarfile.REGTYPE), "not a whole tar file"),
    "negative size": (raw(-512, tarfile.REGTYPE), "not a whole tar file"),
    "sparse": (entry("a.png", type=tarfile.GNUTYPE_SPARSE), "stored with holes"),
    "sparse by pax": (
        pax(**{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a.png"}),
        "not a whole tar file|holes",
    ),
    "sparse map of words": (pax(**{"GNU.sparse.map": "x,y,z", "GNU.sparse.size": "1"}), "not a whole tar file|holes"),
    "sparse size of words": (
        pax(**{"GNU.sparse.map": "0,1", "GNU.sparse.size": "many"}),
        "not a whole tar file|holes",
    ),
    "size by pax": (pax(size="99999999999999999999"), "not a whole tar file"),
    "negative size by pax": (pax(size="-1024"), "not a whole tar file"),
    "long names without end": (entry("././@LongLink", b"x" * 100, type=tarfile.GNUTYPE_LONGNAME) * 3000, "not a whole"),
    "headers without end": (entry("h", b"9 a=bbbb\n", type=tarfile.XGLTYPE) * 3000, "not a whole tar file"),
    "header claimed": (raw(2**33, tarfile.GNUTYPE_LONGNAME) + entry("a.png", PNG), "headers of more than"),
    "pax claimed": (raw(2**33, tarfile.XHDTYPE) + entry("a.png", PNG), "headers of more than"),
    "negative header": (raw(-1, tarfile.GNUTYPE_LONGNAME) + entry("a.png", PNG), "a file: "),
    "other parts": (b"".join(entry(f"a.{n}.png", PNG) for n in range(99)), "two files of one sample"),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("kind", ["single", "pairs"])
def test_an_odd_tar_file_is_a_sentence(odd: str, kind: Kind) -> None:
    content, message = ODD[odd]
    found = io.BytesIO(content + END)
    began = time.monotonic()
    tracemalloc.start()
    with pytest.raises(UserError, match=message if kind == "single" else None) as caught:
        list(read_samples(found, kind))
    assert tracemalloc.get_traced_memory()[1] < 20 * MEGABYTES
    tracemalloc.stop()
    assert time.monotonic() - began < 5
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name", [b"caf\xe9.png", b"no suffix", b"a\x1b[31m.png", b"d/" * 100 + b"deep.png", b"#x &y.png"]
)
def test_odd_names_are_names(name: bytes) -> None:
    label = name.decode("utf-8", "surrogateescape")
    (sample,) = read_samples(io.BytesIO(entry(label, PNG) + END), "single")
    assert sample.names == (shown(label),)
    sample.names[0].encode("utf-8")


def test_mutated_tar_files_are_read_or_refused() -> None:
    chance = random.Random(0)
    base = b"".join(
        [
            entry("a.png", PNG),
            pax(path="long/" * 40 + "b.png")[:-10240],
            entry("l" * 200 + ".png", PNG),
            entry("folder", type=tarfile.DIRTYPE),
            entry("c.png", PNG * 50),
            END,
        ]
    )
    for _ in range(300):
        content = bytearray(base)
        for _ in range(chance.randint(1, 6)):
            block = chance.randrange(len(content) // 512) * 512
            content[block + chance.randrange(512)] = chance.choice(b"\x00\x80\xff07x-1Lgx")
            header = content[block : block + 512]
            if chance.random() < 0.8:  # a right sum lets the rest be looked at
                total = sum(header[:148]) + sum(header[156:]) + 8 * 32
                content[block + 148 : block + 156] = b"%06o\0 " % total
        began = time.monotonic()
        with suppress(UserError):
            list(read_samples(io.BytesIO(bytes(content)), "single"))
        assert time.monotonic() - began < 2


def test_a_huge_file_is_neither_read_nor_copied(tmp_path: Path) -> None:
    with (tmp_path / "huge.tar").open("w+b") as file:
        file.write(raw(4 * 10**9, tarfile.REGTYPE))
        file.truncate(512 + 4 * 10**9 + 1024)  # all of it a hole
        tracemalloc.start()
        (sample,) = read_samples(file, "single")
        with pytest.raises(ImageError, match=r"^a\.png: has 4\.0 GB; an image file may have 1 GB at most$"):
            sample.members[0].copy(file, tmp_path / "a.png")
        assert tracemalloc.get_traced_memory()[1] < MEGABYTES
        tracemalloc.stop()
    assert not (tmp_path / "a.png").exists()


def test_a_large_file_is_copied_in_pieces(tmp_path: Path) -> None:
    with (tmp_path / "large.tar").open("w+b") as file:
        file.write(raw(64 * MEGABYTES, tarfile.REGTYPE))
        file.truncate(512 + 64 * MEGABYTES + 1024)
        tracemalloc.start()
        (sample,) = read_samples(file, "single")
        sample.members[0].copy(file, tmp_path / "a.png")
        assert tracemalloc.get_traced_memory()[1] < 8 * MEGABYTES
        tracemalloc.stop()
    assert (tmp_path / "a.png").stat().st_size == 64 * MEGABYTES


def test_files_and_folders_without_end_are_not_counted_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    many = b"".join(entry(f"{n}.png") for n in range(20))
    with pytest.raises(UserError, match=r"holds more samples than index\.json says \(7\)"):
        list(read_samples(io.BytesIO(many + END), "single", most=7))
    monkeypatch.setattr(tar_members, "_FOLDERS", 9)
    folders = b"".join(entry(f"{n}", type=tarfile.DIRTYPE) for n in range(20))
    with pytest.raises(UserError, match="holds more than 9 folders"):
        list(read_samples(io.BytesIO(folders + END), "single"))


# -- in a set ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Six photographs in three shards."""
    pack(photographs(tmp_path / "photographs", 6), tmp_path / "packed", shard_megabytes=0.012)
    assert len(list((tmp_path / "packed").glob("*.tar"))) == 3
    return tmp_path / "packed"


def replaced(packed: Path, content: bytes, samples: int = 2) -> ShardSet:
    """The set with another second shard, which its index knows."""
    found = find_shards(packed)
    assert found is not None
    second = found.shards[1]
    (packed / second.name).write_bytes(content)
    other = Shard(second.name, len(content), hashlib.sha256(content).hexdigest(), samples)
    changed = ShardSet(packed, "single", (found.shards[0], other, found.shards[2]))
    (packed / "index.json").write_bytes(index_of(changed, []))
    return changed


def stream(shards: ShardSet, cache: Path) -> ShardStream:
    kept = ShardCache(cache, gigabytes=1, max_megapixels=200)
    return ShardStream(shards, kept, flag="--clean", seed=0, purpose="synthetic", window=3, draws=2)


@pytest.mark.parametrize("odd", ODD)
def test_a_wrong_shard_of_a_set_is_named_with_its_flag_and_the_check_goes_on(
    packed: Path, tmp_path: Path, odd: str
) -> None:
    shards = replaced(packed, ODD[odd][0] + END)
    with pytest.raises(UserError, match=rf"^--clean: {packed}/shard-000001\.tar: "):
        stream(shards, tmp_path / "cache").fetch(shards.shards[1])
    assert [path.suffix for path in (tmp_path / "cache/shards").iterdir()] == [".lock"]
    report = check_folder(packed, patch=16)
    assert any(f.message.startswith(f"{packed}/shard-000001.tar: ") for f in report.problems if f.kind == "shard")
    assert sum(report.sizes.values()) == 4, "the images of the others"


def test_a_shard_without_a_file_says_so(packed: Path, tmp_path: Path) -> None:
    shards = replaced(packed, END * 10)
    with pytest.raises(UserError, match=r"holds 0 samples, but index\.json says 2"):
        stream(shards, tmp_path / "cache").fetch(shards.shards[1])


def test_images_without_suffix_are_images_and_other_files_are_left_out(packed: Path, tmp_path: Path) -> None:
    image = save(tmp_path / "x.png", 300).read_bytes()
    content = entry("caf\udce9", image) + entry("README", b"hello") + END
    shards = replaced(packed, content)
    images = stream(shards, tmp_path / "cache")
    images.fetch(shards.shards[1])
    report = check_folder(packed, patch=16)
    (problem,) = report.problems
    assert problem.message.startswith(f"{packed}/shard-000001.tar/README: ")
    assert sum(report.sizes.values()) == 5


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(packed: Path, tmp_path: Path) -> None:
    shards = find_shards(packed)
    assert shards is not None
    (packed / "shard-000001.tar").unlink()
    os.mkfifo(packed / "shard-000001.tar")
    with pytest.raises(UserError, match=r"--clean: .*shard-000001\.tar: is no file"):
        stream(shards, tmp_path / "cache").fetch(shards.shards[1])
    assert [f.message for f in check_folder(packed, patch=16).problems] == [f"{packed}/shard-000001.tar: is no file"]
    (packed / "index.json").unlink()
    os.mkfifo(packed / "index.json")
    with pytest.raises(UserError, match=r"index\.json: cannot be read: is no file"):
        find_shards(packed)


def test_a_cache_that_cannot_be_tidied_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "glob", refuse)
    with pytest.raises(UserError, match=rf"^--cache {tmp_path} cannot be written: Permission denied"):
        ShardCache(tmp_path, gigabytes=0, max_megapixels=200).trim([])


TABLES: dict[str, Callable[[bytes], bytes]] = {
    "deep": lambda table: b"[" * 10**5 + b"]" * 10**5,
    "empty": lambda table: b"[]",
    "no images": lambda table: b"[[]]",
    "no list": lambda table: b"7",
    "words": lambda table: table.replace(b", 40, 48,", b', "40", 48,'),
    "negative": lambda table: table.replace(b", 40, 48,", b", -40, -48,"),
    "elsewhere": lambda table: table.replace(b", 5760, 40", b", 5761, 40"),
    "overlapping": lambda table: table.replace(b", 5760, 40", b", 0, 80"),
    "huge": lambda table: table.replace(b", 40, 48,", b", 1" + b"0" * 400 + b", 48,"),
    "endless number": lambda table: table.replace(b", 40, 48,", b", 1e999, 48,"),
    "more fields": lambda table: table.replace(b", 40, 48,", b", 40, 48, 1,"),
    "not UTF-8": lambda table: table.replace(b"01.png", b"\xff\xff.png"),
    "name of a number": lambda table: table.replace(b'"00.png"', b"123456789"),
}


@pytest.mark.parametrize("damage", TABLES)
def test_a_wrong_table_in_the_cache_is_made_anew(packed: Path, tmp_path: Path, damage: str) -> None:
    shards = find_shards(packed)
    assert shards is not None
    images = stream(shards, tmp_path / "cache")
    path = images.fetch(shards.shards[0])
    whole = path.read_bytes()
    length = int.from_bytes(whole[-16:-8], "little")
    pixels, table = whole[: -16 - length], whole[-16 - length : -16]
    changed = TABLES[damage](table)
    assert changed != table
    path.write_bytes(pixels + changed + len(changed).to_bytes(8, "little") + whole[-8:])
    assert stream(shards, tmp_path / "cache").fetch(shards.shards[0]).read_bytes() == whole
