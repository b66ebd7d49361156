"""Any name that a file system takes works: of files and folders, after flags, in settings and in what is printed."""

import io
import json
import sys
import unicodedata
from pathlib import Path

import pytest
import torch

from noiseda import cli
from noiseda.config import AdaptSettings, RestorerSettings
from noiseda.data.folders import pair_by_stem, paired_folder
from noiseda.errors import UserError
from noiseda.images import Picture, write
from noiseda.restoration import UNet, save_weights
from noiseda.settings_file import differences, from_tree, read_settings, write_settings

LATIN = b"caf\xe9".decode("utf-8", "surrogateescape")
ODD = [
    LATIN, "[red]x", "[", "a[1]", "#x", "&x", "*x", "!x", "~", "null", "Null", "true", "1", "1e3", "0x10", "1:30",
    "- a", "a: b", "a:", "{x}", "{data}", "[x]", "%TAG", '"x', "'x", "@x", "`x", "|", ">", " lead", "trail ", "-x",
    "--x", "---", "a\nb", "a\tb", "\x1b[31m", "\u2028", "😀", "مرحبا", "é", "e\u0301", "http:", "?x", "a\\b", "=",
    "a=b", "--- #x", "yes", "2024-01-01", "n" * 240, "$HOME", "a/b c/#d",
]  # fmt: skip
FLAGS = ("real", "clean", "pairs", "reference", "validation", "baseline", "out", "cache")
TINY = """--restorer.width 4 --restorer.depth 2 --training.patch 16 --training.batch 2 --training.steps 2
    --training.device cpu --proxy_pairs 0 --strategy synthetic --degradation.kind white"""
TINY = TINY.split()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, with weights.safetensors."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    network = UNet(width=4, depth=2, channels=3)
    save_weights(
        Path("weights.safetensors"),
        network.tensors(),
        architecture=network.architecture,
        arguments=network.arguments,
        task="denoise",
        notes={},
    )
    return tmp_path


def picture(path, seed=0):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    plain = Path(path).parent / "plain.png"
    write(Picture(torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(seed))), plain)
    plain.rename(path)


def at_a_time(names):
    """As many names as there are flags, one for each, again and again until each name has had its turn."""
    for first in range(0, len(names), len(FLAGS)):
        yield dict(zip(FLAGS, (names * 2)[first : first + len(FLAGS)], strict=True))


def test_the_command_line_takes_paths_as_they_are_written():
    for together in (True, False):
        for given in at_a_time([name for name in ODD if together or not name.startswith("-")]):
            words = [(f"--{flag}", "./null" if name == "null" else name) for flag, name in given.items()]
            words = (
                [f"{flag}={name}" for flag, name in words] if together else [word for pair in words for word in pair]
            )
            settings = AdaptSettings(**cli.parse(["adapt", *words])[1])
            assert {flag: getattr(settings, flag) for flag in FLAGS} == {f: Path(name) for f, name in given.items()}


def test_arguments_after_a_dash_dash_are_taken_as_they_are_written():
    for name in ODD:
        arguments = cli.parse(["restore", "--", name, name, name])[1]
        assert (arguments["weights"], arguments["source"], arguments["out"]) == (Path(name), name, Path(name))
        assert type(arguments["source"]) is str


def test_null_is_no_path_and_the_help_says_so(capsys):
    assert cli.parse(["adapt", "--real", "null"])[1]["real"] is None
    assert cli.parse(["adapt", "--real", "./null"])[1]["real"] == Path("null")
    cli.main(["adapt", "--help-all"])
    assert "null is no path (./null is a file or folder of that name)" in " ".join(capsys.readouterr().out.split())


def test_settings_with_odd_names_are_read_as_they_were_written(tmp_path):
    for given in at_a_time(ODD):
        start = RestorerSettings(start=Path(given["out"]))
        settings = AdaptSettings(**{flag: Path(name) for flag, name in given.items()}, restorer=start)
        write_settings(settings, tmp_path / "settings.yaml")
        assert differences(from_tree(read_settings(tmp_path / "settings.yaml")), settings) == []
        assert AdaptSettings(**cli.parse(["adapt", f"--config={tmp_path}/settings.yaml"])[1]) == settings


def test_settings_files_of_odd_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ODD[::5]:
        Path(name).write_text("seed: 7")
        assert cli.parse(["adapt", f"--config={name}"])[1]["seed"] == 7, name


def test_files_of_odd_names_go_through_every_command(here, capsys):
    for number, name in enumerate(ODD):
        picture(f"all/{name}.png", number)
    count = len(ODD)
    assert cli.main(["restore", "weights.safetensors", "all", "out"]) == 0
    assert f"restored {count} of {count} images" in capsys.readouterr().out
    assert cli.main(["evaluate", "out", "all", "--out", "scores"]) == 0
    assert json.loads(Path("scores/metrics.json").read_text())["images"] == count
    assert "caf\\xe9.png" in Path("scores/metrics.csv").read_text(encoding="utf-8")
    assert cli.main(["data", "check", "all", "--patch", "16"]) == 0
    assert cli.main(["data", "pack", "all", "shards"]) == 0
    assert cli.main(["data", "check", "shards", "--patch", "16"]) == 0
    assert f"{count}" in capsys.readouterr().out
    assert cli.main(["adapt", "--clean", "all", "--real", "shards", "--out", "run", *TINY]) == 0


def test_an_existing_file_is_never_taken_for_a_pattern(here, capsys):
    for name in ("a[1]", "*", "?"):
        picture(f"{name}.png")
    picture("a1.png")
    assert cli.main(["restore", "weights.safetensors", "a[1].png", "out"]) == 0
    assert [path.name for path in Path("out").iterdir()] == ["a[1].png"]


@pytest.mark.parametrize("name", [LATIN, "[red]x[bold]", "#x", "~", "1e3", "-x", "a\nb", "😀", "n" * 240])
def test_folders_of_odd_names_go_through_every_command(name, here, capsys):
    for number in range(2):
        picture(f"{name}/{number}.png", number)
    where = Path(name)
    Path("weights.safetensors").rename(where / f"{name}.sf")
    run, out = where / "run", f"{name[:200]}.o"
    assert cli.main(["restore", "--", f"{name}/{name}.sf", name, out]) == 0
    assert len(list(Path(out).glob("*.png"))) == 2
    assert cli.main(["evaluate", f"--out={name[:200]}.e", "--", out, name]) == 0
    assert cli.main(["export", "--format=safetensors", f"--out={name[:200]}.x", "--", f"{name}/{name}.sf"]) == 0
    words = ["adapt", f"--clean={name}", f"--real={name}", f"--out={run}", f"--cache={name[:200]}.c", *TINY]
    assert cli.main(words) == 0
    capsys.readouterr()
    assert cli.main(words) == 0
    assert "continuing" in capsys.readouterr().err
    assert read_settings(run / "settings.yaml")["clean"] == name
    assert list((run / "tensorboard").iterdir())
    assert cli.main(["restore", "--overwrite", "--", f"{run}/restorer.safetensors", f"{name}/0.png", out]) == 0


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_streams_spell_what_they_can_and_escape_the_rest(encoding, here, monkeypatch):
    for name in (LATIN, "😀", "é", "[/]"):
        picture(f"all/{name}.png")
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    for words in (["restore", "weights.safetensors", "all", "o"], ["evaluate", "all", "all"], ["data", "check", "all"]):
        assert cli.main(words) in (0, 1)
    shown = b"".join(stream.buffer.getvalue() for stream in streams.values())
    assert b"caf\\udce9.png" in shown
    assert "é".encode(encoding, "backslashreplace") in shown


def nfc_and_nfd(text):
    return unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)


def test_pairs_whose_names_differ_in_unicode_form_alone_are_pairs(tmp_path):
    composed, apart = nfc_and_nfd("Bäume/é")
    picture(tmp_path / "input" / f"{composed}.png")
    picture(tmp_path / "target" / f"{apart}.png")
    expected = [(tmp_path / "input" / f"{composed}.png", tmp_path / "target" / f"{apart}.png")]
    assert pair_by_stem(tmp_path / "input", tmp_path / "target") == expected
    assert paired_folder(tmp_path) == expected


def test_both_unicode_forms_in_one_folder_are_two_images(tmp_path):
    composed, apart = nfc_and_nfd("é")
    for folder in ("input", "target"):
        for name in (composed, apart):
            picture(tmp_path / folder / f"{name}.png")
    found = pair_by_stem(tmp_path / "input", tmp_path / "target")
    assert sorted((first.stem, second.stem) for first, second in found) == sorted([(composed,) * 2, (apart,) * 2])


def test_which_unicode_form_is_meant_is_not_guessed(tmp_path):
    composed, apart = nfc_and_nfd("éé")
    mixed = "é" + nfc_and_nfd("é")[1]
    picture(tmp_path / "input" / f"{mixed}.png")
    for name in (composed, apart):
        picture(tmp_path / "target" / f"{name}.png")
    with pytest.raises(UserError, match="no partner"):
        pair_by_stem(tmp_path / "input", tmp_path / "target")


def test_names_that_differ_in_case_alone_are_two_images(tmp_path):
    for folder in ("input", "target"):
        for name in ("a", "A"):
            picture(tmp_path / folder / f"{name}.png")
    assert len(pair_by_stem(tmp_path / "input", tmp_path / "target")) == 2


@pytest.mark.parametrize("name", ["n" * 256, "/".join(["n" * 200] * 30)])
def test_names_that_no_file_system_takes_are_refused_in_a_sentence(name, here, capsys):
    picture("all/a.png")
    for words in (
        ["restore", "weights.safetensors", name, "o"],
        ["restore", name, "all", "o"],
        ["restore", "weights.safetensors", "all", name],
        ["evaluate", name, "all"],
        ["evaluate", "all", "all", "--out", name],
        ["data", "check", name],
        ["data", "pack", "all", name],
        ["judge", name, name, name],
        ["export", name],
        ["adapt", "--clean", name, "--real", "all", *TINY],
        ["adapt", "--clean", "all", "--real", "all", "--out", name, *TINY],
        ["adapt", "--config", name],
        ["quickstart", "--out", name],
    ):
        assert cli.main(words) == 2, words
        assert capsys.readouterr().err.startswith("noiseda: error: "), words
