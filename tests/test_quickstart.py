"""The quickstart from end to end, six steps long, with the network switched off."""

import html
import json
import math
import shutil
import socket

import numpy as np
import PIL.Image
import pytest
import skimage.data
import torch

from noiseda import quickstart as module
from noiseda.errors import UserError
from noiseda.quickstart import NOTE, SHOWN, TRAINED, nl_means, quickstart, write_data
from noiseda.restoration import load, read_metadata
from noiseda.training.finish import trained_weights

pytestmark = pytest.mark.slow

NAMES = ["astronaut", "cat", "coffee", "motorcycle", "rocket"]
SOURCES = {
    "astronaut": skimage.data.astronaut,
    "cat": skimage.data.chelsea,
    "coffee": skimage.data.coffee,
    "rocket": skimage.data.rocket,
    "motorcycle": lambda: skimage.data.stereo_motorcycle()[0],
}
STEPS = 4
COLUMNS = ["input", "nl-means", "ready", *TRAINED]


@pytest.fixture(autouse=True, scope="module")
def offline():
    def refuse(*_, **__):
        raise AssertionError("the quickstart reached for the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


@pytest.fixture(scope="module")
def sheets():
    return []


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sheets):
    """A finished quickstart: its folder and its report."""
    out = tmp_path_factory.mktemp("quickstart") / "[out]"  # brackets are no markup
    with pytest.MonkeyPatch.context() as patch:
        draw = module.sheet
        patch.setattr(module, "sheet", lambda *args, **kwargs: (sheets.append(kwargs), draw(*args, **kwargs)))
        return out, quickstart(out, steps=STEPS)


def array(path):
    return np.asarray(PIL.Image.open(path)).astype(np.float64)


def measured(folder, target):
    """Mean PSNR over the images of two folders, from their files."""
    errors = [np.mean((array(folder / f"{name}.png") - array(target / f"{name}.png")) ** 2) for name in NAMES]
    return float(np.mean([10 * math.log10(255**2 / error) for error in errors]))


def test_every_file_is_there(finished):
    out, _ = finished
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["data", "report.html", "restored", "runs", "settings.yaml", "sheet.png", "summary.json"]
        + [f"{column}.safetensors" for column in TRAINED]
    )
    for column in COLUMNS[1:]:
        assert sorted(p.name for p in (out / "restored" / column).glob("[!.]*")) == [f"{name}.png" for name in NAMES]
    for column in TRAINED:
        assert (out / "runs" / column / "summary.json").is_file()


def test_the_networks_were_trained_alike_but_for_what_is_compared(finished):
    """From the ready weights, as long; what was asked for of the default is the default."""
    out, _ = finished
    about = {}
    for column in TRAINED:
        run = out / "runs" / column
        summary = json.loads((run / "summary.json").read_text())
        assert summary["steps"] == STEPS
        # A run of four steps may be judged worse than its start, and then ships that.
        about[column] = read_metadata(trained_weights(run) if summary["shipped"] == "start" else summary["weights"])
    for column, one in about.items():
        differing = {key for key in one if one[key] != about["synthetic"].get(key)}
        assert differing - {"commit"} <= {"strategy"}, column  # the source may be edited while this runs
        assert one["steps"] == str(STEPS)
        plan = (out / "runs" / column / "plan.yaml").read_text()
        assert "weights: denoise" in plan
    assert about["noise-space"]["strategy"] == "noise-space"
    assert "kind: null" in (out / "runs" / "adapted" / "settings.yaml").read_text()
    networks = [load(out / f"{column}.safetensors").state_dict() for column in about]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert any(not torch.equal(a, b) for a, b in zip(networks[one].values(), networks[other].values(), strict=True))


def test_non_local_means_take_noise_away():
    clean = torch.full((3, 64, 64), 0.5)
    noisy = clean + 0.1 * torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert (nl_means(noisy, 25) - clean).std() < 0.3 * (noisy - clean).std()


def test_the_figures_are_those_of_the_files(finished):
    out, report = finished
    summary = json.loads((out / "summary.json").read_text())
    target = out / "data" / "test" / "target"
    folders = {"input": out / "data" / "test" / "input"}
    folders |= {column: out / "restored" / column for column in COLUMNS[1:]}
    assert list(summary["psnr"]) == COLUMNS
    for column, folder in folders.items():
        assert math.isfinite(summary["psnr"][column])
        assert summary["psnr"][column] == pytest.approx(measured(folder, target), abs=1e-4)
    assert report.psnr == summary["psnr"]
    assert summary["steps"] == STEPS
    assert summary["seed"] == 0
    assert summary["held_out_images"] == len(NAMES)
    assert set(summary["seconds"]) == {"total", *TRAINED}
    assert summary["made_by"]["noiseda"]


def test_the_page_shows_every_column_of_every_photograph(finished):
    out, report = finished
    page = (out / "report.html").read_text()
    assert html.escape(NOTE) in page
    for column, value in report.psnr.items():
        assert f"{value:.2f} dB" in page, column
    for name in NAMES:
        for column in (*COLUMNS, "target"):
            assert f'alt="{name}, {column}' in page


def test_it_is_reported_that_the_film_is_simulated(finished, sheets):
    out, _ = finished
    assert "simulated film" in json.loads((out / "summary.json").read_text())["note"]
    (drawn,) = sheets
    assert drawn["subtitle"] == NOTE
    assert NOTE.startswith("Simulated film")
    assert f"{STEPS} steps from the ready weights, seed 0" in drawn["footer"]
    assert SHOWN[0] == "input"
    assert SHOWN[-1] == "adapted"
    width, height = PIL.Image.open(out / "sheet.png").size
    assert width > 4 * 192
    assert height > 5 * 192


def test_the_same_command_does_only_what_is_left_to_do(finished, capsys):
    """As after a quickstart that was cut off: some images and one of the three trainings are missing."""
    out, first = finished
    images = {path: path.read_bytes() for path in (out / "data").rglob("*.png")}
    trained = {path: load(path).state_dict() for path in out.glob("*.safetensors")}
    shutil.rmtree(out / "runs" / "adapted")
    shutil.rmtree(out / "data" / "test")
    (out / "data" / "real" / "cat.png").unlink()
    kept = {path: path.stat().st_mtime_ns for path in (out / "data").rglob("*.png")}

    again = quickstart(out, steps=STEPS)

    assert capsys.readouterr().err.count(f"step {STEPS}/{STEPS}  loss") == 1  # of three trainings
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    # All is deterministic: the missing images are the same again, and so is what was trained.
    assert again.psnr == first.psnr
    assert {path: path.read_bytes() for path in (out / "data").rglob("*.png")} == images
    for path, state in trained.items():
        assert all(torch.equal(value, state[key]) for key, value in load(path).state_dict().items())


@pytest.mark.parametrize(("changed", "words"), [({"seed": 1}, "seed 0, not 1"), ({"steps": 7}, "steps 4, not 7")])
def test_another_quickstart_is_refused_in_the_same_folder(finished, changed, words):
    out, _ = finished
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=words) as caught:
        quickstart(out, **{"steps": STEPS} | changed)
    assert f"--out {out} " in str(caught.value)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_another_film_is_refused_too(finished, monkeypatch):
    monkeypatch.setattr(module, "FILM", module.Film(radius=0.5))
    with pytest.raises(UserError, match="film"):
        quickstart(finished[0], steps=STEPS)


@pytest.mark.parametrize("flags", [{"seed": -1}, {"steps": 0}, {"steps": -5}])
def test_senseless_numbers_are_refused_before_anything_is_written(tmp_path, flags):
    with pytest.raises(UserError, match=r"--seed must be at least 0 and --steps at least 1"):
        quickstart(tmp_path / "out", **flags)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--out: .*file"):
        quickstart(tmp_path / "file" / "out", steps=STEPS)


# -- data --------------------------------------------------------------------------------------------------------------


def place(part, whole):
    """Top, left, bottom, right of an image inside another."""
    height, width = part.shape[:2]
    for top, left in zip(*np.where((whole[..., :] == part[0, 0]).all(-1)), strict=True):
        if np.array_equal(whole[top : top + height, left : left + width], part):
            return int(top), int(left), int(top) + height, int(left) + width
    raise AssertionError("not a part of it")


def test_clean_real_and_held_out_images_share_no_pixel(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FILM", lambda pixels, generator: pixels)  # a perfect film: content can be compared
    assert write_data(tmp_path, seed=0) == tmp_path / "test"
    for name in NAMES:
        whole = SOURCES[name]()
        covered = np.zeros(whole.shape[:2], int)
        for part in ("clean", "real", "test/target"):
            top, left, bottom, right = place(array(tmp_path / part / f"{name}.png"), whole)
            covered[top:bottom, left:right] += 1
        assert covered.max() == 1, name
        assert min(bottom - top, right - left) >= 128  # the last: large enough to be measured


def test_the_film_corrupts_real_and_held_out_images_with_other_noise(finished):
    out, _ = finished
    data = out / "data"
    for name in NAMES:
        whole = SOURCES[name]()
        real, degraded = array(data / "real" / f"{name}.png"), array(data / "test" / "input" / f"{name}.png")
        clean = whole[: whole.shape[0] // 2, whole.shape[1] // 2 :]
        assert real.shape == clean.shape
        for seen, truth in ((real, clean), (degraded, array(data / "test" / "target" / f"{name}.png"))):
            assert 15 < 10 * math.log10(255**2 / np.mean((seen - truth) ** 2)) < 35
        rows, columns = (min(a, b) for a, b in zip(real.shape[:2], degraded.shape[:2], strict=True))
        one = (real - clean)[:rows, :columns].ravel()
        other = (degraded - array(data / "test" / "target" / f"{name}.png"))[:rows, :columns].ravel()
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.2


def test_another_seed_is_another_grain(tmp_path, finished):
    write_data(tmp_path, seed=1)
    for name in NAMES:
        pair = [folder / "test" / "input" / f"{name}.png" for folder in (tmp_path, finished[0] / "data")]
        assert pair[0].read_bytes() != pair[1].read_bytes()
        pair = [folder / "clean" / f"{name}.png" for folder in (tmp_path, finished[0] / "data")]
        assert pair[0].read_bytes() == pair[1].read_bytes()
