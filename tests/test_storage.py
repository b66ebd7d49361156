"""Files appear whole or not at all."""

import contextlib
import errno
import os
import stat

import pytest

from noiseda.storage import atomic


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.bin"


def test_a_file_takes_its_name_when_it_is_complete(path):
    with atomic(path) as file:
        file.write(b"half ")
        file.flush()
        assert not path.exists()
        file.write(b"whole")
    assert path.read_bytes() == b"half whole"
    assert os.listdir(path.parent) == [path.name]


def test_what_is_being_written_is_hidden(path):
    with atomic(path) as file:
        (partial,) = os.listdir(path.parent)
        assert partial.startswith(".")
        assert not partial.endswith((".bin", ".png", ".safetensors"))
        file.write(b"x")


def test_an_earlier_file_is_replaced_and_its_readers_keep_it(path):
    path.write_bytes(b"earlier")
    with path.open("rb") as reader:
        with atomic(path) as file:
            file.write(b"later")
        assert reader.read() == b"earlier"
    assert path.read_bytes() == b"later"


@pytest.mark.parametrize("failure", [ValueError, OSError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("earlier", [None, b"earlier"])
def test_a_failure_in_the_middle_changes_nothing(path, failure, earlier):
    if earlier is not None:
        path.write_bytes(earlier)
    with pytest.raises(failure), atomic(path) as file:  # noqa: PT012 (the failing block is what is tested)
        file.write(b"half")
        raise failure
    assert os.listdir(path.parent) == ([] if earlier is None else [path.name])
    assert earlier is None or path.read_bytes() == earlier


def test_a_full_disk_at_the_very_end_changes_nothing(path, monkeypatch):
    path.write_bytes(b"earlier")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"), atomic(path) as file:
        file.write(b"later")
    assert path.read_bytes() == b"earlier"
    assert os.listdir(path.parent) == [path.name]


def test_the_content_is_on_the_disk_before_the_name(path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append("fsync"), fsync(descriptor))[1])
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("replace"), replace(*names))[1])
    monkeypatch.setattr(type(path), "replace", lambda self, target: os.replace(self, target))
    with atomic(path) as file:
        file.write(b"x")
    assert calls == ["fsync", "replace"]


def test_a_folder_is_not_replaced(path):
    path.mkdir()
    (path / "kept").write_bytes(b"")
    with pytest.raises(OSError), atomic(path) as file:  # noqa: PT011 (its kind depends on the system)
        file.write(b"x")
    assert os.listdir(path) == ["kept"]
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_folder_that_is_none_is_an_error(tmp_path, folder):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((FileNotFoundError, NotADirectoryError)), atomic(tmp_path / folder / "x"):
        pytest.fail("nothing can be written here")
    assert os.listdir(tmp_path) == ["file"]


@contextlib.contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_rights_are_those_of_any_new_file(tmp_path, mask):
    with umask(mask):
        (tmp_path / "plain").write_bytes(b"")
        with atomic(tmp_path / "ours") as file:
            file.write(b"")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ours")]
    assert modes == [0o666 & ~mask] * 2


def test_the_longest_name_fits(tmp_path):
    path = tmp_path / ("x" * 255)
    with atomic(path) as file:
        file.write(b"x")
    assert path.read_bytes() == b"x"


def test_two_writers_do_not_meet(path):
    with atomic(path) as first, atomic(path) as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"  # the last to finish
    assert os.listdir(path.parent) == [path.name]
