"""Names in, names out: no pixel is read here."""

import os
from pathlib import Path

import pytest

from noiseda.errors import UserError
from noiseda.inference.plan import plan


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ["photos/a.png", "photos/trip/b.JPG", "photos/trip/day 2/c.tif", "photos/trip/readme.txt"]:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")
    return tmp_path


def pairs(source, out, **options):
    return [(a.as_posix(), b.as_posix()) for a, b in plan(source, Path(out), **options).jobs]


def test_a_folder_keeps_its_tree(photos):
    assert pairs("photos", "out") == [
        ("photos/a.png", "out/a.png"),
        ("photos/trip/b.JPG", "out/trip/b.JPG"),
        ("photos/trip/day 2/c.tif", "out/trip/day 2/c.tif"),
    ]
    assert pairs("photos", "out", format="webp")[1] == ("photos/trip/b.JPG", "out/trip/b.webp")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("photos/*.png", ["out/a.png"]),
        ("photos/**/*", ["out/a.png", "out/trip/b.JPG", "out/trip/day 2/c.tif"]),
        ("photos/**/*.tif", ["out/trip/day 2/c.tif"]),
        ("photos/t*/*", ["out/trip/b.JPG"]),
        ("photos/trip/*/[a-d].tif", ["out/day 2/c.tif"]),
        ("**/*.png", ["out/photos/a.png"]),
    ],
)
def test_a_pattern_keeps_the_tree_below_its_fixed_part(photos, pattern, found):
    assert [target for _, target in pairs(pattern, "out")] == found
    absolute = pairs(str(photos / pattern), "out")
    assert [target for _, target in absolute] == found


def test_one_file_to_a_folder_or_to_a_name(photos):
    assert pairs("photos/a.png", "out") == [("photos/a.png", "out/a.png")]
    assert pairs("photos/a.png", "photos/better.tif") == [("photos/a.png", "photos/better.tif")]
    assert pairs("photos/a.png", "photos", format="jpg") == [("photos/a.png", "photos/a.jpg")]
    with pytest.raises(UserError, match="--format png cannot be given together with the file name"):
        plan("photos/a.png", Path("b.png"), format="png")


def test_a_name_that_looks_like_a_pattern_is_a_file(photos):
    Path("photos/x[1].png").write_bytes(b"x")
    assert pairs("photos/x[1].png", "out") == [("photos/x[1].png", "out/x[1].png")]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("photos/*.webp", r"photos/\*\.webp: no image found; expected files that end in"),
        ("photos/trip/readme.*", "no image found"),
    ],
)
def test_nothing_to_do_is_an_error(photos, source, message):
    with pytest.raises(UserError, match=message):
        plan(source, Path("out"))


def test_an_empty_folder_is_an_error(photos):
    Path("empty").mkdir()
    with pytest.raises(UserError, match="empty: no image found"):
        plan("empty", Path("out"))


@pytest.mark.parametrize("out", ["photos", "photos/../photos", "photos/trip/..", "link", "{absolute}"])
def test_the_input_folder_is_no_output_folder(photos, out):
    Path("link").symlink_to("photos", target_is_directory=True)
    for source in ("photos", "photos/**/*"):
        with pytest.raises(UserError, match="the output folder is the input folder"):
            plan(source, Path(out.format(absolute=photos / "photos")))


@pytest.mark.parametrize("out", ["photos/a.png", "photos", "linked.png", "hard.png", "./photos/../photos/a.png"])
def test_a_file_does_not_overwrite_itself(photos, out):
    Path("linked.png").symlink_to("photos/a.png")
    os.link("photos/a.png", "hard.png")
    with pytest.raises(UserError, match=r"would overwrite the input photos/a\.png"):
        plan("photos/a.png", Path(out))


def test_an_output_folder_that_links_to_inputs_is_refused(photos):
    Path("out").mkdir()
    Path("out/a.png").symlink_to(photos / "photos/trip/b.JPG")
    with pytest.raises(UserError, match="would overwrite the input"):
        plan("photos", Path("out"))


def test_outputs_below_the_input_folder_are_not_restored_again(photos):
    first = pairs("photos", "photos/restored")
    for _, target in first:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).write_bytes(b"x")
    assert pairs("photos", "photos/restored") == first
    assert pairs("photos/**/*", "photos/restored") == first


def test_the_output_folder_may_lie_above(photos):
    assert pairs("photos/trip", "photos")[0] == ("photos/trip/b.JPG", "photos/b.JPG")


def test_two_inputs_never_share_an_output(photos):
    Path("photos/a.webp").write_bytes(b"x")
    with pytest.raises(UserError, match=r"photos/a\.png and photos/a\.webp would both become out/a\.jpg"):
        plan("photos", Path("out"), format="jpg")
    assert len(pairs("photos", "out")) == 4


def test_outputs_that_are_no_folder(photos):
    Path("file").write_bytes(b"x")
    with pytest.raises(UserError, match="file: is a file; expected a folder"):
        plan("photos", Path("file"))
    with pytest.raises(UserError, match=r"out\.png: names a file, but photos is not one"):
        plan("photos", Path("out.png"))


def test_a_dangling_link_is_left_to_the_reader(photos):
    Path("photos/gone.png").symlink_to("nowhere")
    assert ("photos/gone.png", "out/gone.png") in pairs("photos", "out")


def test_a_name_too_long_is_a_message(photos):
    with pytest.raises(UserError, match="File name too long"):
        plan("photos/a.png", Path("x" * 300 + ".png"))


def test_a_link_to_a_folder_is_followed_once(photos):
    Path("elsewhere").mkdir()
    Path("elsewhere/e.png").write_bytes(b"x")
    for name in ("far", "further"):
        Path("photos", name).symlink_to(Path("elsewhere").resolve())
    Path("photos/trip/up").symlink_to("..")
    for source in ("photos", "photos/**/*", "photos/**"):
        assert [target for _, target in pairs(source, "out")] == [
            "out/a.png",
            "out/far/e.png",
            "out/trip/b.JPG",
            "out/trip/day 2/c.tif",
        ]
    assert [target for _, target in pairs("photos/*/*.png", "out")] == ["out/far/e.png"]


@pytest.mark.parametrize("out", ["photos/restored", "photos/x/y", "away"])
def test_outputs_reached_by_links_are_no_inputs(photos, out):
    Path(out).mkdir(parents=True)
    Path(out, "a.png").write_bytes(b"x")
    Path("photos/link").symlink_to(Path(out).resolve())
    Path("photos/file.png").symlink_to(Path(out, "a.png").resolve())
    assert [path for path, _ in pairs("photos", out)] == [
        "photos/a.png",
        "photos/trip/b.JPG",
        "photos/trip/day 2/c.tif",
    ]


@pytest.mark.parametrize("suffix", [".jfif", ".JPE", ".pjpeg", ".apng"])
def test_lesser_known_suffixes_are_kept(photos, suffix):
    Path(f"photos/x{suffix}").write_bytes(b"x")
    assert (f"photos/x{suffix}", f"out/x{suffix}") in pairs("photos", "out")
    assert pairs(f"photos/x{suffix}", "out") == [(f"photos/x{suffix}", f"out/x{suffix}")]
    assert pairs("photos/a.png", f"y{suffix}") == [("photos/a.png", f"y{suffix}")]
    assert (f"photos/x{suffix}", "out/x.png") in pairs("photos/*" + suffix, "out", format="png")


def test_a_folder_whose_files_cannot_be_looked_at_does_not_end_it(photos, monkeypatch):
    """It can be listed, but not entered; its images are left to the reader, who names them."""
    real = os.stat

    def stat(path, *arguments, **options):
        if "trip" in os.fspath(path) and os.fspath(path).endswith(".JPG"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", stat)
    assert ("photos/trip/b.JPG", "out/trip/b.JPG") in pairs("photos", "out")
