"""The fuzzing script can find what is wrong, and a few of its cases of each kind run."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from fuzz import images, kills, kinds, mutations, weights
from fuzz.__main__ import main, table
from fuzz.cases import COUNTS, Case, Outcome, Wrong
from fuzz.oracle import digests, no_library_words, plain, unharmed
from fuzz.pictures import MAKERS, picture
from fuzz.worker import Worker, keep
from noiseda.errors import UserError
from tests.faults import fault


@pytest.fixture(scope="module")
def faults() -> Iterator[Worker]:
    worker = Worker(fault, seconds=2, idle=2, memory=400)
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    found = Worker(kinds.run, seconds=60)  # which counts what is imported when it is first needed
    yield found
    found.close()


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("raises", "traceback: KeyError: 'no such key'"),
        ("hangs", "hang: nothing came"),
        ("computes for ever", "of work without an end"),
        ("grows", "memory: more than 400 MB"),
        ("is killed", "crash: the process ended with SIGABRT"),
        ("prints a traceback", "a traceback on the terminal"),
        ("warns", "a library's own words on the terminal: UserWarning: something"),
    ],
)
def test_what_is_wrong_is_found_and_what_comes_after_it_is_tried_all_the_same(faults, kind, why, tmp_path):
    outcome = faults(Case(kind, 0), tmp_path / "wrong")
    assert outcome.verdict == "wrong"
    assert outcome.what == kind
    assert why in outcome.why
    assert faults(Case("refuses", 1), tmp_path / "refused").verdict == "refused"
    assert faults(Case("does as it should", 2), tmp_path / "right").verdict == "accepted"


def test_peak_memory_is_that_of_the_case_alone(faults, tmp_path):
    first, second = (faults(Case(kind, 0), tmp_path / kind) for kind in ("grows for a while", "does as it should"))
    assert first.verdict == second.verdict == "accepted"
    assert 150 < first.megabytes < 400
    assert 10 < second.megabytes < 150


# -- pictures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", ["grey", "black"])
def test_half_a_picture_is_wrong(tmp_path, rows):
    source, target = tmp_path / "case.jpg", tmp_path / "out.jpg"
    half = np.asarray(Image.open(io.BytesIO(picture("baseline.jpg")))).copy()
    half[30:] = 128 if rows == "grey" else 0
    Image.fromarray(half).save(source, quality=95)
    Image.fromarray(half).save(target, quality=95)
    with pytest.raises(Wrong, match="without all its pixels: of one colour from the bottom on"):
        images.true_to("baseline.jpg", source, target)


def test_an_output_of_other_pixels_is_wrong_and_so_is_one_that_no_one_else_can_read(tmp_path):
    source, target = tmp_path / "case.png", tmp_path / "out.png"
    source.write_bytes(picture("rgb.png"))
    target.write_bytes(picture("rgb.png"))
    images.true_to("rgb.png", source, target)
    Image.fromarray(255 - np.asarray(Image.open(source))).save(target)
    with pytest.raises(Wrong, match="the output differs"):
        images.true_to("rgb.png", source, target)
    target.write_bytes(picture("rgb.png")[:5000])
    with pytest.raises((Wrong, UserError)):
        images.true_to("rgb.png", source, target)
    with pytest.raises(Wrong, match="cannot be read by another program"):
        images.whole(target)


def test_a_picture_that_is_turned_twice_is_wrong(tmp_path):
    source, target = tmp_path / "case.jpg", tmp_path / "out.jpg"
    source.write_bytes(picture("exif.jpg"))
    with Image.open(source) as image:
        turned, exif = image.transpose(Image.Transpose.ROTATE_270), image.getexif()
        turned.save(target, quality=95, exif=exif)  # the tag stays
        with pytest.raises(Wrong, match="turned twice"):
            images._not_turned_twice(target, images._seen(source)[0])
        turned.save(target, quality=95)
    images._not_turned_twice(target, images._seen(source)[0])


def test_every_base_picture_is_one_and_holds_together_when_cut_into_its_pieces():
    for name in MAKERS:
        assert b"".join(mutations.pieces(picture(name))) == picture(name)
        assert len(mutations.pieces(picture(name))) > 1
        if "16-bit" not in name and name != "float.tif":
            assert not images._blank(images._before(name), name)


# -- files and words ---------------------------------------------------------------------------------------------------


def test_files_that_are_lost_changed_or_new_are_wrong(tmp_path):
    (tmp_path / "a").write_text("a")
    before = digests(tmp_path)
    unharmed(tmp_path, before)
    (tmp_path / "b").write_text("b")
    with pytest.raises(Wrong, match="b: new"):
        unharmed(tmp_path, before)
    (tmp_path / "b").unlink()
    (tmp_path / "a").write_text("c")
    with pytest.raises(Wrong, match="a: changed"):
        unharmed(tmp_path, before)
    (tmp_path / "a").unlink()
    with pytest.raises(Wrong, match="a: lost"):
        unharmed(tmp_path, before)


@pytest.mark.parametrize("sentence", ["", "\x1b[31mred", "x" * 2000, "libpng error: bad", "UserWarning: no"])
def test_a_refusal_is_a_plain_sentence(sentence):
    plain("case.png: cannot be read")
    with pytest.raises(Wrong):
        plain(sentence)


def test_a_warning_names_its_file():
    no_library_words("WARNING: in/case.png: odd\n", named=True)
    with pytest.raises(Wrong, match="names no file"):
        no_library_words("WARNING: VIPS: odd\n", named=True)


def test_weights_are_held_against_those_of_the_file():
    state = weights.weights("unet")
    assert weights._same(state, state)
    assert not weights._same(state, {name: weight + 1 for name, weight in state.items()})
    assert not weights._same(state, {"a": torch.zeros(1)})


def test_results_of_a_killed_run_are_held_against_those_of_an_unbroken_one(tmp_path):
    for folder in ("whole", "out"):
        (tmp_path / folder).mkdir()
        for index in range(2):
            (tmp_path / folder / f"{index}.png").write_bytes(picture("rgb.png"))
    job, whole, out = kills.JOBS[0], tmp_path / "whole", tmp_path / "out"
    kills._compare(job, whole, out)
    (out / ".1.part").write_text("")
    with pytest.raises(Wrong, match="leaves behind"):
        kills._compare(job, whole, out)
    (out / "1.png").write_bytes(picture("grey.png"))
    with pytest.raises(Wrong, match=r"1\.png is another one"):
        kills._compare(job, whole, out)
    (out / "1.png").unlink()
    with pytest.raises(Wrong, match=r"lost or new: \['1\.png'\]"):
        kills._compare(job, whole, out)


# -- the cases themselves ----------------------------------------------------------------------------------------------


def test_a_case_is_a_function_of_its_seed_kind_and_number(tmp_path):
    def bytes_of(case: Case) -> bytes:
        return images.mutated(case, tmp_path)[1]

    first = [bytes_of(Case("images", number)) for number in range(60)]
    assert first == [bytes_of(Case("images", number)) for number in range(60)]
    assert len({*first, *(bytes_of(Case("images", number, seed=1)) for number in range(60))}) > 100
    assert sum(COUNTS.values()) == 730


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "numbers"),
    [("images", range(18, 28)), ("weights", (0, 43, 52, 95)), ("shards", (4, 36, 47)), ("flags", (9, 11, 12, 14, 19))],
)
def test_a_few_cases_of_each_kind(worker, kind, numbers, tmp_path):
    for number in numbers:
        outcome = worker(Case(kind, number), tmp_path / "places" / f"{number}")
        assert outcome.verdict != "wrong", f"{outcome.what}: {outcome.why}"
        assert outcome.what


@pytest.mark.slow
def test_a_run_that_is_killed(tmp_path):
    outcome = kills.try_here(Case("kills", 4), tmp_path / "lane" / "case")
    # Killed after its first shard has its name, packing asks for --overwrite: when that is depends on the machine.
    assert outcome.verdict in ("accepted", "refused"), outcome.why
    assert "data pack, killed" in outcome.what


def test_the_table_counts_and_a_wrong_case_is_kept_with_its_command(tmp_path, capsys):
    (tmp_path / "place").mkdir()
    outcome = Outcome(Case("images", 7, seed=3), "wrong", "a.png: cut", "traceback", 2.0, 1.0, 300.0)
    kept = keep(outcome, tmp_path / "place", tmp_path / "kept")
    assert "python -m fuzz --seed 3 --only images --number 7" in (kept / "command.txt").read_text()
    last = table([outcome, Outcome(Case("images", 8), "refused", megabytes=400.0)], ["images"]).splitlines()[-1]
    assert last.split() == ["images", "2", "0", "1", "1", "1", "2.0", "400"]


def test_time_that_is_over_before_all_cases_are_tried_is_wrong(tmp_path, capsys):
    assert main(["--only", "kills", "--minutes", "0", "--keep", str(tmp_path)]) == 1
    assert "20 cases were not tried" in capsys.readouterr().out


def test_what_another_reader_refuses_of_the_input_it_may_refuse_of_the_output(tmp_path):
    sound, broken = tmp_path / "sound.png", tmp_path / "broken.png"
    sound.write_bytes(picture("rgb.png"))
    broken.write_bytes(b"no picture")
    images.whole(sound, sound)
    images.whole(broken, broken)
    with pytest.raises(Wrong, match="cannot be read by another program"):
        images.whole(broken, sound)
