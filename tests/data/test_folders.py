from pathlib import Path

import pytest
from PIL import Image

from noiseda.data.folders import PAIRED_NAMES, check_sizes, growth, pair_by_stem, paired_folder
from noiseda.errors import UserError


def draw(*paths: Path, size: tuple[int, int] = (20, 10)) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(path)


def test_pairs_go_by_name_whatever_the_suffix_and_the_depth(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    draw(a / "10.png", a / "9.jpg", a / "deep/er/1.tif", b / "9.png", b / "10.png", b / "deep/er/1.png")
    assert pair_by_stem(a, b) == [
        (a / "10.png", b / "10.png"),
        (a / "9.jpg", b / "9.png"),
        (a / "deep/er/1.tif", b / "deep/er/1.png"),
    ]


def test_dots_in_a_name_belong_to_the_stem(tmp_path: Path) -> None:
    draw(tmp_path / "a/1.5.png", tmp_path / "a/1.6.png", tmp_path / "b/1.5.png", tmp_path / "b/1.6.png")
    assert [pair[1].name for pair in pair_by_stem(tmp_path / "a", tmp_path / "b")] == ["1.5.png", "1.6.png"]


def test_missing_partners_on_either_side_are_named_and_counted(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    draw(a / "both.png", b / "both.png", a / "left.png", b / "sub/right.png")
    with pytest.raises(UserError) as caught:
        pair_by_stem(a, b)
    assert f"{a / 'left.png'} has no partner in {b}" in str(caught.value)
    assert f"{b / 'sub/right.png'} has no partner in {a}" in str(caught.value)
    draw(*(a / f"{i}.png" for i in range(7)))
    with pytest.raises(UserError, match=r"9 in all"):
        pair_by_stem(a, b)


def test_two_files_of_one_stem_are_both_named(tmp_path: Path) -> None:
    draw(tmp_path / "a/1.png", tmp_path / "a/1.jpg", tmp_path / "b/1.png")
    with pytest.raises(UserError, match=r"(?s)a/1\.jpg.*a/1\.png"):
        pair_by_stem(tmp_path / "a", tmp_path / "b")


def test_unequal_sizes_name_both_files_and_sizes(tmp_path: Path) -> None:
    draw(tmp_path / "a/1.png")
    draw(tmp_path / "b/1.png", size=(20, 12))
    with pytest.raises(UserError, match=r"a/1\.png is 20x10 but .*b/1\.png is 20x12"):
        pair_by_stem(tmp_path / "a", tmp_path / "b")
    check_sizes([(tmp_path / "a/1.png", tmp_path / "a/1.png")])


def test_targets_may_be_larger_by_one_whole_factor_where_that_is_asked_for(tmp_path: Path) -> None:
    draw(tmp_path / "a/1.png", tmp_path / "a/2.png")
    draw(tmp_path / "b/1.png", tmp_path / "b/2.png", size=(60, 30))
    pairs = pair_by_stem(tmp_path / "a", tmp_path / "b", grown=True)
    assert growth(pairs) == 3
    assert growth([(x, x) for x, _ in pairs]) == 1
    with pytest.raises(UserError, match="must have the same size"):
        pair_by_stem(tmp_path / "a", tmp_path / "b")
    draw(tmp_path / "b/2.png", size=(40, 20))
    with pytest.raises(UserError, match=r"same factor in all pairs: .*b/2\.png is 2 times .*b/1\.png is 3 times as"):
        pair_by_stem(tmp_path / "a", tmp_path / "b", grown=True)
    for size in ((10, 5), (40, 30), (41, 20)):  # smaller; unlike in height and width; no whole number
        draw(tmp_path / "b/2.png", size=size)
        with pytest.raises(UserError, match=rf"a/2\.png is 20x10 but .*b/2\.png is {size[0]}x{size[1]}"):
            growth(pairs)


@pytest.mark.parametrize(("inputs", "targets"), PAIRED_NAMES)
def test_the_names_of_the_fields_sets_are_known(tmp_path: Path, inputs: str, targets: str) -> None:
    draw(tmp_path / inputs / "1.png", tmp_path / targets / "1.png")
    assert paired_folder(tmp_path) == [(tmp_path / inputs / "1.png", tmp_path / targets / "1.png")]


def test_gopro_has_a_pair_of_folders_for_each_scene(tmp_path: Path) -> None:
    scenes = [tmp_path / "GOPR0372_07_00", tmp_path / "GOPR0884_11_00"]
    for scene in scenes:
        draw(scene / "blur/000047.png", scene / "blur_gamma/000047.png", scene / "sharp/000047.png")
    assert paired_folder(tmp_path) == [(s / "blur/000047.png", s / "sharp/000047.png") for s in scenes]


def test_a_stem_may_begin_with_the_name_of_its_half(tmp_path: Path) -> None:
    draw(tmp_path / "r/rain/rain-001.png", tmp_path / "r/norain/norain-001.png")
    draw(tmp_path / "b/scene001/blur/blur_1.png", tmp_path / "b/scene001/gt/gt_1.png")
    assert [pair[1].name for pair in paired_folder(tmp_path / "r")] == ["norain-001.png"]
    assert [pair[1].name for pair in paired_folder(tmp_path / "b")] == ["gt_1.png"]


def test_what_was_expected_and_found_is_said_where_there_is_no_pair(tmp_path: Path) -> None:
    draw(tmp_path / "input/1.png")
    with pytest.raises(UserError, match=r"expected .*input/ and target/, .*lq/ and gt/.* found input/"):
        paired_folder(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        paired_folder(tmp_path / "absent")


def test_an_ambiguous_folder_is_refused(tmp_path: Path) -> None:
    draw(*(tmp_path / name / "1.png" for name in ("blur", "sharp", "lq", "gt")))
    with pytest.raises(UserError, match="which pairs are meant"):
        paired_folder(tmp_path)
