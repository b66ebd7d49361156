import hashlib
import tarfile
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from noiseda.data.check import CheckReport, check_folder
from noiseda.data.pack import pack
from noiseda.data.shards import Shard, ShardSet, index_of
from noiseda.errors import UserError

PHOTOGRAPH = skimage.data.astronaut()


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def save(path: Path, row: int = 0, side: int = 80, **options: object) -> Path:
    """A crop of a photograph; another row is another crop."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PHOTOGRAPH[row : row + side, :100]).save(path, **options)
    return path


def kinds(report: CheckReport) -> list[str]:
    return [finding.kind for finding in report.problems]


def test_a_sound_folder_is_ok_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "a.png", 0)
    save(tmp_path / "deep/b.jpg", 100)
    Image.fromarray(PHOTOGRAPH[:90, :90, 0]).save(tmp_path / "grey.png")
    Image.fromarray(PHOTOGRAPH[:90, :90, 1].astype(np.uint16) * 257).save(tmp_path / "deep16.png")
    report = check_folder(tmp_path)
    assert report.ok
    assert (report.files, report.pairs) == (4, None)
    assert report.sizes == {(80, 100): 2, (90, 90): 2}
    assert report.bits == {"8": 3, "16": 1}
    assert report.channels == {"RGB": 2, "grey": 2}
    assert report.formats == {"png": 3, "jpeg": 1}
    printed = capsys.readouterr().out
    assert "nothing wrong" in printed
    assert "100x80 to 90x90" in printed


def test_broken_files_are_reported_with_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "good.png")
    whole = save(tmp_path / "cut.png", 100).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.png").write_text("not a picture at all")
    report = check_folder(tmp_path)
    assert not report.ok
    found = {Path(f.message.split(": ")[0]).name: f for f in report.problems}
    assert {name: finding.kind for name, finding in found.items()} == {
        "cut.png": "broken",
        "empty.jpg": "not an image",
        "text.png": "not an image",
    }
    assert "the file is empty" in found["empty.jpg"].message
    assert "not a PNG, JPEG" in found["text.png"].message
    assert sum(report.sizes.values()) == 1
    printed = capsys.readouterr().out
    assert "3 problems" in printed
    assert str(tmp_path / "cut.png") in printed


def test_duplicates_are_reported_by_their_pixels_and_both_named(tmp_path: Path) -> None:
    first = save(tmp_path / "a.png")
    again = save(tmp_path / "b.tif")
    save(tmp_path / "c.png", 100)
    (finding,) = check_folder(tmp_path).problems
    assert finding.kind == "duplicate"
    assert str(first) in finding.message
    assert str(again) in finding.message


def test_the_same_image_at_8_and_16_bits_is_a_duplicate(tmp_path: Path) -> None:
    Image.fromarray(PHOTOGRAPH[:80, :80, 0]).save(tmp_path / "8.png")
    Image.fromarray(PHOTOGRAPH[:80, :80, 0].astype(np.uint16) * 257).save(tmp_path / "16.png")
    assert kinds(check_folder(tmp_path)) == ["duplicate"]


def test_tiny_images_depend_on_the_patch(tmp_path: Path) -> None:
    save(tmp_path / "a.png", side=63)
    save(tmp_path / "b.png", 100, side=64)
    (finding,) = check_folder(tmp_path).problems
    assert finding.kind == "tiny"
    assert "a.png: 100x63" in finding.message
    assert check_folder(tmp_path, patch=32).ok


def test_oversize_images_are_not_decoded(tmp_path: Path) -> None:
    save(tmp_path / "large.png")
    report = check_folder(tmp_path, max_megapixels=0.005)
    assert kinds(report) == ["oversize"]
    assert "large.png" in report.problems[0].message
    assert not report.sizes


def test_pairs_are_checked_for_partners_and_sizes(tmp_path: Path) -> None:
    for name, row in (("1", 0), ("2", 50)):
        save(tmp_path / f"input/{name}.png", row)
        save(tmp_path / f"target/{name}.png", row + 200, side=80 if name == "1" else 90)
    save(tmp_path / "input/3.png", 100)
    report = check_folder(tmp_path)
    assert report.pairs == 2
    assert kinds(report) == ["mismatch", "mismatch"]
    assert "input/3.png has no partner" in report.problems[0].message
    assert "input/2.png is 100x80 but" in report.problems[1].message
    assert "target/2.png is 100x90" in report.problems[1].message


def test_targets_that_are_all_larger_by_one_factor_are_no_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, row in (("1", 0), ("2", 50)):
        with_target(tmp_path, name, row, factor=2)
    report = check_folder(tmp_path, patch=32)
    assert report.ok
    assert report.pairs == 2
    assert "targets are 2 times as large as inputs" in capsys.readouterr().out


def test_targets_that_are_larger_by_several_factors_are_a_problem(tmp_path: Path) -> None:
    for name, row, factor in (("1", 0, 2), ("2", 30, 2), ("3", 60, 1)):
        with_target(tmp_path, name, row, factor)
    report = check_folder(tmp_path, patch=32)
    assert kinds(report) == ["mismatch"]
    assert "target/3.png is 50x40, not 2 times as large, as most targets are" in report.problems[0].message
    with_target(tmp_path, "4", 90, factor=1)  # two of each
    report = check_folder(tmp_path, patch=32)
    assert ["1.png" in problem.message or "2.png" in problem.message for problem in report.problems] == [True, True]


def with_target(folder: Path, name: str, row: int, factor: int) -> None:
    """A pair of another photograph each, of 50 x 40 pixels and so many times more."""
    small = PHOTOGRAPH[row : row + 40, :50]
    for half, image in (("input", small), ("target", 255 - small.repeat(factor, 0).repeat(factor, 1))):
        (folder / half).mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / half / f"{name}.png")


def test_an_ambiguous_set_is_a_problem_and_is_read_all_the_same(tmp_path: Path) -> None:
    for row, name in enumerate(("blur", "sharp", "lq", "gt")):
        save(tmp_path / name / "1.png", 60 * row)
    report = check_folder(tmp_path)
    assert kinds(report) == ["mismatch"]
    assert "which pairs are meant" in report.problems[0].message
    assert sum(report.sizes.values()) == 4


def test_several_inputs_of_one_target_are_no_problem_but_an_input_like_its_target_is(tmp_path: Path) -> None:
    for name, row in (("1", 0), ("2", 50)):
        save(tmp_path / f"input/{name}.png", row)
        save(tmp_path / f"target/{name}.png", 200)
    report = check_folder(tmp_path)
    assert report.ok
    assert [note.kind for note in report.notes] == ["repeated target"]
    save(tmp_path / "input/2.png", 200)
    assert kinds(check_folder(tmp_path)) == ["duplicate"] * 2


def test_wrong_suffixes_and_other_files_are_noted(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg", format="PNG")
    for name in ("raw.dng", ".DS_Store", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    report = check_folder(tmp_path)
    assert report.ok
    notes = {note.kind: note.message for note in report.notes}
    assert notes["another format than the name says"].endswith("a.jpg: holds png")
    assert notes["not taken"].startswith("1 DNG, 1 other file (raw.dng, notes.txt): this version reads PNG, JPEG")
    assert notes["passed over"] == "1 system file (.DS_Store)"


def test_a_folder_without_images_or_none_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no images"):
        check_folder(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        check_folder(tmp_path / "absent")
    (tmp_path / "IMG_1.HEIC").write_bytes(b"x")
    with pytest.raises(UserError, match=r"holds no images .*; not taken: 1 HEIC \(IMG_1\.HEIC\): this version reads"):
        check_folder(tmp_path)


# -- shards ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Three shards of two pairs each."""
    for half, row in (("input", 0), ("target", 40)):
        for index in range(6):
            save(tmp_path / half / f"sub/{index}.png", row + 60 * index)
    pack(tmp_path, tmp_path / "packed", shard_megabytes=0.07)
    assert len(list((tmp_path / "packed").glob("*.tar"))) == 3
    return tmp_path / "packed"


def test_sound_shards_are_ok_and_counted(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = check_folder(packed)
    assert report.ok
    assert not report.notes
    assert (report.files, report.pairs, report.shards) == (12, 6, 3)
    assert report.sizes == {(80, 100): 12}
    assert report.formats == {"png": 12}
    assert "nothing wrong" in capsys.readouterr().out


DAMAGES = {
    "changed": ["has the sha256 "],
    "cut short": ["bytes, but index.json says", "has the sha256 ", "not a whole tar file"],
    "emptied": ["has 0 bytes", "has the sha256 ", "not a whole tar file"],
    "missing": ["cannot be read: No such file"],
    "another": ["bytes, but index.json says", "has the sha256 ", "holds more samples than index.json says (2)"],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_shard_that_is_not_as_its_index_says_is_named(tmp_path: Path, packed: Path, damage: str) -> None:
    shard = packed / "shard-000001.tar"
    content = shard.read_bytes()
    if damage == "changed":
        shard.write_bytes(content[:-1] + b"x")  # behind the end that the format marks
    elif damage == "cut short":
        shard.write_bytes(content[:2000])
    elif damage == "emptied":
        shard.write_bytes(b"")
    elif damage == "missing":
        shard.unlink()
    else:
        (tmp_path / "few").mkdir()
        for half in ("input", "target"):
            (tmp_path / half).rename(tmp_path / "few" / half)
            for index in range(3):
                (tmp_path / f"few/{half}/sub/{index}.png").unlink()
        pack(tmp_path / "few", tmp_path / "other")
        (tmp_path / "other/shard-000000.tar").replace(shard)
    report = check_folder(packed)
    assert not report.ok
    assert kinds(report) == ["shard"] * len(DAMAGES[damage])
    for finding, message in zip(report.problems, DAMAGES[damage], strict=True):
        assert finding.message.startswith(f"{shard}: ")
        assert message in finding.message


def test_a_shard_that_is_not_listed_is_a_problem(packed: Path) -> None:
    (packed / "shard-000003.tar").write_bytes((packed / "shard-000000.tar").read_bytes())
    (finding,) = check_folder(packed).problems
    assert finding.message == f"{packed}/shard-000003.tar: index.json does not list it"


def test_images_in_shards_are_read(packed: Path) -> None:
    report = check_folder(packed, patch=90)
    assert kinds(report) == ["tiny"] * 12
    assert (
        report.problems[0].message
        == f"{packed}/shard-000000.tar/sub/0.input.png: 100x80 is smaller than the patch of 90"
    )
    assert kinds(check_folder(packed, max_megapixels=0.005)) == ["oversize"] * 12


def test_halves_of_unequal_size_in_a_shard_are_a_problem(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    shard = made / "shard-000000.tar"
    with tarfile.open(shard, "w") as tar:
        for half, side in (("input", 80), ("target", 90)):
            tar.add(save(tmp_path / "x.png", side, side=side), f"a.{half}.png")
    digest = hashlib.sha256(shard.read_bytes()).hexdigest()
    found = ShardSet(made, "pairs", (Shard(shard.name, shard.stat().st_size, digest, 1),))
    (made / "index.json").write_bytes(index_of(found, []))
    (finding,) = check_folder(made).problems
    assert finding.kind == "mismatch"
    assert finding.message == f"{shard}/a.input.png is 100x80 but {shard}/a.target.png is 100x90"


def test_an_index_that_cannot_be_read_is_an_error(packed: Path) -> None:
    (packed / "index.json").write_text("{}")
    with pytest.raises(UserError, match=r"index\.json does not hold"):
        check_folder(packed)
    (packed / "index.json").unlink()
    with pytest.raises(UserError, match=r"holds shards but no index\.json"):
        check_folder(packed)


def test_names_with_escape_codes_and_ends_of_lines_are_shown_on_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("\x1b[31mred.png", "two\nlines.png"):
        Image.fromarray(np.full((70, 70, 3), 9, np.uint8)).save(tmp_path / name)
    check_folder(tmp_path)
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert r"\x1b[31mred.png" in said
    assert r"two\nlines.png" in said
