"""A folder that was half restored: the rest is done, what is done and unchanged is left alone."""

import errno
import fcntl
import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest
import torch

from noiseda.cli import main
from noiseda.errors import UserError
from noiseda.images import Picture, from_uint8, list_folder, write
from noiseda.inference import files, ledger, restore_files
from noiseda.restoration import Restorer

LEDGER = ".noiseda-restored.jsonl"


class Halve(Restorer):
    channels, multiple_of = 3, 1

    def restore(self, images):
        return images / 2


@pytest.fixture
def net(tmp_path, monkeypatch):
    """A network that any weights file gives, and the images that it restored."""
    monkeypatch.chdir(tmp_path)
    Path("w").write_bytes(b"weights")
    monkeypatch.setattr(files, "load", lambda path, device: Halve())
    for index, name in enumerate(["a.png", "b.jpg", "trip/c.png", "trip/day 2/d.tif", "ü.png"]):
        draw(f"photos/{name}", index)


def draw(path, seed):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    samples = torch.randint(0, 256, (3, 24, 36), generator=torch.Generator().manual_seed(seed))
    write(Picture(from_uint8(samples)), Path(path))


def restore(source="photos", out="out", weights="w", **options):
    return restore_files(Path(weights), source, Path(out), **options)


def contents(folder="out"):
    """Path inside the folder -> bytes; the ledger is left out, other hidden files are not."""
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}
    found.pop(LEDGER, None)
    return found


def names(pairs):
    return [path.relative_to("photos").as_posix() for path, _ in pairs]


@pytest.fixture
def whole(net):
    """What an unbroken run makes."""
    restore()
    return contents()


def test_what_is_missing_is_done_and_the_rest_left_alone(whole, capsys):
    Path("out/trip/c.png").unlink()
    Path("out/ü.png").unlink()
    before = Path("out/a.png").stat()
    capsys.readouterr()
    report = restore()
    assert names(report.restored) == ["trip/c.png", "ü.png"]
    assert names(report.done) == ["a.png", "b.jpg", "trip/day 2/d.tif"]
    assert contents() == whole
    assert Path("out/a.png").stat().st_mtime_ns == before.st_mtime_ns
    assert "3 of 5 done before, unchanged; 2 to do\n" in capsys.readouterr().err
    assert str(report).startswith("restored 2 of 5 images in ")
    assert str(report).splitlines()[0].endswith("; 3 done before")


def test_a_new_photograph_is_all_there_is_to_do(whole):
    draw("photos/new.png", 9)
    assert names(restore().restored) == ["new.png"]
    assert contents().keys() == {*whole, "new.png"}


def test_nothing_to_do_is_success_and_loads_nothing(whole, monkeypatch, capsys):
    monkeypatch.setattr(files, "load", lambda *_, **__: pytest.fail("the network was loaded"))
    assert main(["restore", "w", "photos", "out"]) == 0
    assert capsys.readouterr().out == "nothing to do: all 5 images are restored already\n"


def test_broken_images_beside_done_ones_are_no_failure(whole):
    Path("photos/cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for _ in range(2):
        report = restore()
        assert (len(report.restored), len(report.done), len(report.skipped)) == (0, 5, 1)
    assert contents() == whole


# --- refused ---------------------------------------------------------------------------------------------------------


def refused(message, **options):
    before = contents()
    with pytest.raises(UserError, match=message + ".*; give --overwrite to replace it, --skip-existing to leave"):
        restore(**options)
    assert contents() == before


def test_outputs_of_others_are_refused(net):
    for name in ("a.png", "trip/c.png"):
        Path("out", name).parent.mkdir(parents=True, exist_ok=True)
        Path("out", name).write_bytes(b"mine")
    refused(r"^out/a\.png \(and 1 more outputs\) exists already")
    assert not Path("out", LEDGER).exists()


def test_a_changed_input_is_refused(whole):
    draw("photos/b.jpg", 99)
    refused(r"^out/b\.jpg exists already, but photos/b\.jpg has changed since")


def test_a_changed_output_is_refused(whole):
    Path("out/trip/c.png").write_bytes(b"painted over")
    refused(r"^out/trip/c\.png exists already and was changed after it was restored")
    content = bytearray(whole["a.png"])
    content[-1] ^= 1  # of the same size
    Path("out/a.png").write_bytes(content)
    refused(r"^out/a\.png \(and 1 more outputs\) exists already and was changed")


def test_other_weights_are_refused(whole):
    Path("other").write_bytes(b"other")
    refused(r"^out/a\.png \(and 4 more outputs\) exists already, restored with other weights", weights="other")
    shutil.copy("w", "copy")
    assert len(restore(weights="copy").done) == 5


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tile": 64, "overlap": 16}, "tile 768, now 64, overlap 64, now 16"),
        ({"tile": None}, "tile 768, now null"),
        ({"precision": "bf16"}, "precision fp32, now bf16"),
        ({"backend": "compiled"}, "backend eager, now compiled"),
    ],
)
def test_other_settings_are_refused(whole, options, told):
    refused(rf"exists already, restored with other settings \({told}\)", **options)
    assert len(restore(precision="fp32", backend="eager").done) == 5  # what auto was


def test_the_format_decides_the_name(whole):
    assert len(restore(format="webp").restored) == 5
    assert len(restore(format="webp").done) == len(restore().done) == 5


def test_another_folder_of_equal_names_is_refused(whole):
    for index, name in enumerate(sorted(whole)):
        draw(Path("others", name), 50 + index)
        status = Path("photos", name).stat()
        os.utime(Path("others", name), ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(UserError, match=r"others/a\.png has changed since"):
        restore("others")


def test_a_job_that_grows_keeps_what_auto_has_made(whole, monkeypatch):
    """``--backend auto`` goes by the size of the whole job."""
    monkeypatch.setattr("noiseda.inference.resume.choose", lambda *_: "onnxruntime")
    assert len(restore().done) == 5
    with pytest.raises(UserError, match="backend eager, now onnxruntime"):
        restore(backend="onnxruntime")


# --- flags -----------------------------------------------------------------------------------------------------------


def test_overwrite_does_all_again(whole):
    Path("out/a.png").write_bytes(b"mine")
    report = restore(overwrite=True)
    assert (len(report.restored), report.done) == (5, [])
    assert contents() == whole
    assert len(restore().done) == 5


def test_skip_existing_leaves_whatever_is_there(whole, capsys):
    Path("out/a.png").write_bytes(b"mine")
    Path("out/b.jpg").unlink()
    Path("other").write_bytes(b"other")
    draw("photos/trip/c.png", 77)
    report = restore(weights="other", skip_existing=True)
    assert names(report.restored) == ["b.jpg"]
    assert len(report.done) == 4
    assert "4 of 5 done before, left as they are; 1 to do" in capsys.readouterr().err
    assert contents() == {**whole, "a.png": b"mine"}
    assert len(restore(weights="other", skip_existing=True).done) == 5
    with pytest.raises(UserError, match="--overwrite and --skip-existing cannot be given together"):
        restore(overwrite=True, skip_existing=True)


# --- moved and copied ------------------------------------------------------------------------------------------------


def test_copies_without_their_times_are_known_by_their_content(whole):
    time.sleep(0.01)
    for folder in ("photos", "out"):
        shutil.copytree(folder, f"moved/{folder}", copy_function=shutil.copyfile)
    assert len(restore("moved/photos", "moved/out").done) == 5
    Path("photos/a.png").touch()
    assert len(restore().done) == 5


def test_one_image_writes_no_ledger_but_heeds_one(whole):
    assert str(restore("photos/a.png")) == "nothing to do: 1 image is restored already"
    with pytest.raises(UserError, match="restored with other settings"):
        restore("photos/a.png", tile=None)
    kept = Path("out", LEDGER).read_bytes()
    restore("photos/a.png", overwrite=True)
    assert Path("out", LEDGER).read_bytes() == kept
    restore("photos/a.png", "alone")
    restore("photos/a.png", "named.tif")
    assert contents("alone").keys() == {"a.png"}
    assert not Path("alone", LEDGER).exists()
    assert not Path(LEDGER).exists()


def test_the_ledger_is_no_input_and_is_not_counted(whole):
    assert list_folder(Path("out")).notes(quiet=False) == []
    restore("out", "twice")
    assert contents("twice").keys() == whole.keys()


def test_outputs_inside_the_inputs_are_taken_up_too(net):
    restore("photos", "photos/restored")
    Path("photos/restored/a.png").unlink()
    assert names(restore("photos", "photos/restored").restored) == ["a.png"]


# --- torn, odd, locked -----------------------------------------------------------------------------------------------


def test_a_ledger_cut_anywhere_loses_at_most_the_last_image(whole):
    """Whatever part of its last line is gone, nothing is refused and the same bytes come out."""
    kept = Path("out", LEDGER).read_bytes()
    last = len(kept) - kept.rindex(b"\n", 0, -1) - 1
    for missing in (1, 2, 50, last // 2, last - 1, last):
        Path("out", LEDGER).write_bytes(kept[:-missing])
        report = restore()
        assert len(report.restored) == (missing > 1)
        assert contents() == whole
        assert len(restore().done) == 5


@pytest.mark.parametrize(
    "line",
    [
        b"\0" * 100,
        b"[" * 100_000,
        b'{"output": "a.png"}',
        b'{"output": "a.png", "made": [1e999, 0, ""], "of": [], "way": {}}',
        b'{"output": "a.png", "made": 1, "begun": 0}',
        b"\xff\xfe",
        b"[]",
        b"7",
        b"x" * 300_000,
    ],
)
def test_lines_of_no_sense_are_passed_over(whole, line):
    path = Path("out", LEDGER)
    path.write_bytes(line + b"\n" + path.read_bytes() + line)
    assert len(restore().done) == 5
    Path("out/a.png").unlink()
    assert len(restore().restored) == 1
    assert len(restore().done) == 5


def test_a_run_beside_another_is_refused(net, whole):
    Path("out/a.png").unlink()
    with Path("out", LEDGER).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"^out: another noiseda restore writes there; wait"):
            restore()
        assert len(restore("photos/b.jpg").done) == 1  # a single image does not mind
    assert len(restore().restored) == 1


def test_a_run_that_began_meanwhile_is_noticed(net, monkeypatch):
    """Both saw an empty folder; the second has nothing to replace the first one's outputs with."""
    real = files.prepare

    def slow(*arguments, **options):
        monkeypatch.setattr(files, "prepare", real)
        restore()
        return real(*arguments, **options)

    monkeypatch.setattr(files, "prepare", slow)
    with pytest.raises(UserError, match="another noiseda restore writes there"):
        restore()
    assert len(restore().done) == 5


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_ledger_that_is_no_file(net, make):
    Path("out").mkdir()
    make(Path("out", LEDGER))
    with pytest.raises(UserError, match=r"restored\.jsonl"):
        restore()


def test_no_room_for_the_ledger_is_the_sentence_of_outputs(net, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ledger.os, "fdatasync", full)
    with pytest.raises(UserError, match=r"^out/a\.png: cannot be written: No space left on device"):
        restore()
    assert contents() == {}


def test_a_folder_that_takes_no_file(net, monkeypatch):
    real = os.open

    def deny(path, flags, *mode):
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, flags, *mode)

    monkeypatch.setattr(ledger.os, "open", deny)
    with pytest.raises(UserError, match=r"^out/\.noiseda-restored\.jsonl: cannot be written: Permission denied"):
        restore()


def test_an_input_that_changes_while_it_is_restored_is_not_taken_for_done(net, monkeypatch):
    real = files.prepare

    def late(*arguments, **options):
        draw("photos/a.png", 1234)
        return real(*arguments, **options)

    monkeypatch.setattr(files, "prepare", late)
    restore()
    monkeypatch.setattr(files, "prepare", real)
    refused(r"^out/a\.png exists already, but photos/a\.png has changed since")


def test_what_is_not_taken_is_said_at_the_start_and_in_the_summary(net, caplog):
    for name in ("IMG_1.HEIC", "trip/x.dng", "Thumbs.db"):
        Path("photos", name).write_bytes(b"x")
    told = "not taken: 1 DNG, 1 HEIC (trip/x.dng, IMG_1.HEIC): this version reads PNG, JPEG, TIFF and WebP images"
    report = restore()
    assert [record.getMessage() for record in caplog.records] == [f"photos: {told}; convert the others to TIFF or PNG"]
    assert f"\n  {told}" in str(report)
    assert "\n  passed over: 1 system file (Thumbs.db)" in str(report)
    assert sum(map(len, report.listing.others.values())) == 2
    assert "not taken" in str(restore())
    with pytest.raises(UserError, match=r"no image found; .*; not taken: 1 DNG \(trip/x\.dng\)"):
        restore("photos/**/*.dng")


def test_digests_are_of_the_files(whole):
    lines = Path("out", LEDGER).read_text().splitlines()
    assert len(lines) == 10
    assert hashlib.sha256(whole["a.png"]).hexdigest() in lines[1]
    assert str(Path.cwd()) not in "".join(lines)


def test_names_of_any_bytes_and_letters_are_known_again(tmp_path):
    mark = ledger.Mark(1, 2, "0")
    names = [os.fsdecode(b"\xff.png"), 'a "b"\n.png', "ü\u2028.png", "x" * 4000]
    with ledger.Ledger(tmp_path) as kept:
        kept.begin()
        for name in names:
            kept.begun(name)
            kept.note(ledger.Entry(name, mark, name, "", mark, {}))
        kept.begun(names[1])
    with ledger.Ledger(tmp_path) as found:
        assert list(found.entries) == names
        assert found.pending == {names[1]}
