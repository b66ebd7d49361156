"""What a folder holds, by names alone: what is taken, what is not, and where links lead."""

import os
from pathlib import Path

import pytest

from noiseda.errors import UserError
from noiseda.images import find_images, list_folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    return Path("photos")


def put(*names):
    for name in names:
        path = Path("photos", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def taken(folder=Path("photos"), **options):
    return [path.relative_to(folder).as_posix() for path in list_folder(folder, **options).images]


def test_every_suffix_of_the_formats_that_are_read_is_taken(folder):
    names = ["a.jfif", "b.JPE", "c.jif", "d.pjpeg", "e.PJP", "f.apng", "g.TIF", "h.tiff", "i.Png", "j.JPEG", "k.webp"]
    put(*names)
    assert taken() == names
    assert list_folder(folder).notes(quiet=False) == []


def test_what_is_not_taken_is_counted_by_kind_and_named(folder):
    put("IMG_1.HEIC", "trip/IMG_2.heif", "a.dng", "b.NEF", "c.avif", "d.BMP", "e.mov", "notes.txt", "Makefile", "z.jpg")
    (note,) = list_folder(folder).notes()
    assert note == (
        "not taken: 2 HEIC, 1 AVIF, 1 BMP, 1 DNG, 1 NEF, 1 video, 2 other files "
        "(IMG_1.HEIC, trip/IMG_2.heif, c.avif, d.BMP ... and 5 more): "
        "this version reads PNG, JPEG, TIFF and WebP images; convert the others to TIFF or PNG"
    )
    assert taken() == ["z.jpg"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((f"x.{raw}", raw.upper()) for raw in ("cr2", "cr3", "arw", "orf", "rw2", "raf", "pef", "srw", "3fr", "iiq")),
        *(("x.gif", "GIF"), ("x.jxl", "JPEG XL"), ("x.jp2", "JPEG 2000"), ("x.psd", "PSD"), ("x.exr", "EXR")),
        *(("x.jls", "JPEG-LS"), ("x.ppm", "PNM"), ("x.MP4", "video"), ("x", "other files"), ("x.svg", "other files")),
    ],
)
def test_kinds(folder, name, kind):
    put(name)
    assert list(list_folder(folder).others) == [kind]


def test_only_other_files_are_said_quietly(folder):
    put("a.png", "readme.txt")
    assert list_folder(folder).notes() == []
    assert list_folder(folder).notes(quiet=False) == ["not taken: 1 other file (readme.txt)"]


def test_files_of_operating_systems_are_counted_apart(folder):
    put(
        "a.jpg",
        "._a.jpg",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "@eaDir/a.jpg",
        "x/__MACOSX/a.jpg",
        ".thumbnails/a.png",
    )
    put("$RECYCLE.BIN/b.jpg", "lost+found/c.jpg", "System Volume Information/d.jpg", ".noiseda-restored.jsonl")
    listing = list_folder(folder)
    assert taken() == ["a.jpg"]
    assert listing.notes() == []
    assert listing.notes(quiet=False) == [
        "passed over: 10 system files ($RECYCLE.BIN, .DS_Store, ._a.jpg, .thumbnails ... and 6 more)"
    ]


def test_a_folder_that_is_named_itself_is_listed_whatever_its_name(folder):
    put(".hidden/a.jpg", "@eaDir/b.jpg")
    assert taken(folder / ".hidden") == ["a.jpg"]
    assert taken(folder / "@eaDir") == ["b.jpg"]


# --- links -----------------------------------------------------------------------------------------------------------


def link(name, target):
    path = Path("photos", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def test_a_linked_folder_is_followed_by_the_name_of_the_link(folder, tmp_path):
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    (tmp_path / "elsewhere/deep/a.jpg").write_bytes(b"x")
    link("z", tmp_path / "elsewhere")
    put("b.jpg")
    assert taken() == ["b.jpg", "z/deep/a.jpg"]
    assert find_images(folder) == [folder / "b.jpg", folder / "z/deep/a.jpg"]


def test_two_links_to_one_folder_list_it_once_by_the_first(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.jpg").write_bytes(b"x")
    for name in ("n", "b", "x/a"):
        link(name, tmp_path / "elsewhere")
    assert taken() == ["b/a.jpg"]
    assert list_folder(folder).notes(quiet=False) == ["passed over: 2 links that would list a folder twice (n, x/a)"]


def test_a_folder_of_the_tree_goes_by_its_own_name(folder):
    put("trip/a.jpg", "b.jpg")
    link("a link that comes first", "trip")
    assert taken() == ["b.jpg", "trip/a.jpg"]


@pytest.mark.parametrize("target", ["..", "../..", "/", ".", "../photos", "loop", "../photos/x", "nowhere"])
def test_links_in_circles_end(folder, target):
    put("a.jpg", "x/b.jpg")
    (Path("beside")).mkdir()
    Path("beside/c.jpg").write_bytes(b"x")
    link("loop", target)
    link("x/loop", target)
    assert taken() == ["a.jpg", "x/b.jpg"]


def test_circles_through_folders_outside_end(folder, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.jpg").write_bytes(b"x")
    (tmp_path / "one/next").symlink_to(tmp_path / "two")
    (tmp_path / "two/next").symlink_to(tmp_path / "one")
    (tmp_path / "two/home").symlink_to(folder.resolve())
    link("start", tmp_path / "one")
    assert taken() == ["start/next/two.jpg", "start/one.jpg"]


def test_linked_files_are_files(folder, tmp_path):
    put("a.jpg")
    link("b.jpg", "a.jpg")
    link("gone.jpg", "nowhere")
    link("round.jpg", "round.jpg")
    link("text", "nowhere")
    assert taken() == ["a.jpg", "b.jpg", "gone.jpg", "round.jpg"]
    assert list_folder(folder).others == {"other files": [folder / "text"]}


def test_pipes_are_not_taken(folder):
    os.mkfifo(folder / "p.jpg")
    link("q.jpg", "p.jpg")
    assert list_folder(folder).others == {"other files": [folder / "p.jpg", folder / "q.jpg"]}


def test_a_folder_left_out_is_left_out_by_any_name(folder):
    put("a.jpg", "out/a.jpg", "out/b.heic")
    link("again", "out")
    listing = list_folder(folder, leave_out=folder / "out")
    assert listing.images == [folder / "a.jpg"]
    assert listing.notes(quiet=False) == []


def test_depth(folder):
    put("a.jpg", "x/b.jpg", "x/y/c.jpg")
    assert taken(depth=1) == ["a.jpg"]
    assert taken(depth=2) == ["a.jpg", "x/b.jpg"]


# --- locked ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def locked(folder, monkeypatch):
    """A folder below that nobody may list, not even root."""
    put("a.jpg", "private/b.jpg", "z/c.jpg")
    real = os.scandir

    def scandir(path):
        if Path(path).name == "private":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return folder


def test_a_locked_folder_is_named_and_the_rest_listed(locked):
    assert taken() == ["a.jpg", "z/c.jpg"]
    assert list_folder(locked).notes() == ["left out, as they cannot be listed: photos/private (Permission denied)"]


def test_who_needs_all_images_refuses_a_locked_folder(locked):
    with pytest.raises(UserError, match="photos/private: cannot be listed: Permission denied"):
        find_images(locked)
    with pytest.raises(UserError, match="photos/private: cannot be listed: Permission denied"):
        list_folder(locked / "private")
