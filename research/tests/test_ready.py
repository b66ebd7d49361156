"""The ready weights: a table of photographs that can be trusted, noise of all kinds, and a training that goes on."""

import csv
import hashlib
import math

import numpy as np
import pytest
import torch
from PIL import Image

from noiseda import UserError
from noiseda.data.batches import generator
from noiseda.images import jpeg
from noiseda.restoration import ResidualUNet, load, save_weights
from noiseda_research.ready import choose, measure, photographs, train
from noiseda_research.ready.mixture import Wide


def picture(seed, size=(400, 300)):
    small = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Two unpacked packages of one photograph each, and a table of them."""
    rows = []
    for part, name in (("train", "one"), ("held-out", "two")):
        path = tmp_path / "unpacked" / name / "photo.jpg"
        path.parent.mkdir(parents=True)
        picture(len(rows), (1200, 800)).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append(photographs.Photograph(name, name, "photo.jpg", "A. Author", "CC0-1.0", digest, part))
    with (tmp_path / "table.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(vars(rows[0]))
        writer.writerows(vars(row).values() for row in rows)
    monkeypatch.setattr(photographs, "TABLE", tmp_path / "table.tsv")
    return tmp_path / "unpacked"


def test_the_table_names_author_and_licence_of_each_photograph_once():
    rows = photographs.table()
    assert len({row.name for row in rows}) == len({row.sha256 for row in rows}) == len(rows) > 40
    assert all(row.author and row.licence and len(row.sha256) == 64 for row in rows)
    assert {row.part for row in rows} == {"train", "more", "held-out"}


def test_photographs_are_shrunk_by_two_at_least(packages, tmp_path):
    assert photographs.make(packages, tmp_path / "out") == 4
    made = {path.relative_to(tmp_path / "out").as_posix(): Image.open(path).size for path in tmp_path.rglob("*.png")}
    assert made == {
        "train/one-600.png": (600, 400),
        "train/one-560.png": (560, 373),
        "train/one-soft.png": (900, 600),
        "held-out/two-600.png": (600, 400),
    }


def test_a_photograph_that_is_another_one_or_missing_is_refused(packages, tmp_path):
    picture(9, (1200, 800)).save(packages / "one" / "photo.jpg")
    with pytest.raises(UserError, match=r"one/photo\.jpg is not the photograph of the table"):
        photographs.make(packages, tmp_path / "out")
    (packages / "one" / "photo.jpg").unlink()
    with pytest.raises(UserError, match="unpack the package one"):
        photographs.make(packages, tmp_path / "out")


def test_the_same_picture_is_found_however_it_was_changed(tmp_path, capsys):
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
    picture(0).save(tmp_path / "ours" / "a.png")
    for seed in range(1, 6):
        picture(seed).save(tmp_path / "theirs" / f"{seed}.png")
    arguments = ["overlap", str(tmp_path / "ours"), str(tmp_path / "theirs")]
    assert photographs.main(arguments) == 0
    noisy = np.asarray(picture(0).resize((200, 150)).rotate(90, expand=True), dtype=float)
    noisy += np.random.default_rng(0).normal(0, 25, noisy.shape)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(tmp_path / "theirs" / "same.jpg", quality=60)
    assert photographs.main(arguments) == 1
    assert "same.jpg" in capsys.readouterr().out


def test_noise_is_of_all_kinds_and_strengths():
    clean = torch.rand(3, 48, 48, generator=generator(0, "clean"))
    clean = torch.nn.functional.avg_pool2d(clean[None], 5, 1, 2)[0]
    degrade = Wide()
    noisy = [degrade(clean, generator(0, "wide", number)) for number in range(60)]
    decibels = [-10 * math.log10((one.clamp(0, 1) - clean).square().mean()) for one in noisy]
    assert min(decibels) < 20
    assert max(decibels) > 38
    assert any(one.min() < 0 for one in noisy)  # not clipped
    assert torch.equal(degrade(clean, generator(0, "wide", 7)), noisy[7])


def test_some_white_noise_is_compressed():
    clean = torch.full((3, 32, 32), 0.5)
    plain, always = Wide(jpeg=0.0), Wide(clipped=1.0, jpeg=1.0, quality=(75, 75))
    white = next(n for n in range(100) if plain(clean, generator(0, n)).min() != always(clean, generator(0, n)).min())
    compressed = always(clean, generator(0, white))
    assert not torch.equal(compressed, plain(clean, generator(0, white)).clamp(0, 1))
    assert compressed.min() >= 0
    assert jpeg(compressed, 75).shape == compressed.shape


def test_the_error_is_that_of_the_psnr():
    target = torch.rand(2, 3, 8, 8)
    restored = target + torch.tensor([0.01, 0.1]).view(2, 1, 1, 1)
    torch.testing.assert_close(
        train.negative_psnr(restored, target), torch.tensor([-3.9914, -1.9999]), rtol=1e-4, atol=0
    )
    torch.testing.assert_close(train.negative_psnr(target, target), torch.full((2,), math.log10(2e-6)))


@pytest.mark.slow
def test_training_goes_on_where_it_stopped_and_cools_down(tmp_path):
    (tmp_path / "photos").mkdir()
    picture(0, (320, 320)).save(tmp_path / "photos" / "a.png")
    small = ["--network", "unet-residual", "--width", "4", "--batch", "2", "--patch", "16", "--keep", "2"]
    summary = train.main([str(tmp_path / "photos"), str(tmp_path / "run"), *small, "--steps", "4"])
    assert summary.weights.exists()
    start = tmp_path / "run" / "snapshots" / "000002.safetensors"
    cooled = train.main(
        [str(tmp_path / "photos"), str(tmp_path / "cooled"), "--start", str(start), "--steps", "2", *small[4:]]
    )
    assert cooled.weights.exists()
    assert not (tmp_path / "cooled" / "snapshots" / "000004.safetensors").exists()


def test_white_noise_is_measured_unclipped_and_input_as_it_is(tmp_path, capsys):
    (tmp_path / "clean" / "kodak24").mkdir(parents=True)
    picture(0, (96, 64)).save(tmp_path / "clean" / "kodak24" / "kodim01.png")
    ((name, noisy, clean),) = measure.pairs(tmp_path, "kodak-50")
    assert name == "kodim01"
    assert noisy.min() < 0
    assert (noisy - clean).std().item() == pytest.approx(50 / 255, rel=0.05)
    measure.main([str(tmp_path), "input", "--sets", "kodak-25", "--out", str(tmp_path / "table.jsonl")])
    assert "input kodak-25 psnr 20." in capsys.readouterr().out
    assert (tmp_path / "table.jsonl").read_text().count("\n") == 1


def test_a_chooser_is_taught_by_itself(tmp_path):
    (tmp_path / "photos").mkdir()
    picture(0, (320, 320)).save(tmp_path / "photos" / "a.png")
    torch.manual_seed(0)
    known = ResidualUNet(width=4, blocks=(1, 1, 1), pilots=True)
    start, out = tmp_path / "start.safetensors", tmp_path / "out.safetensors"
    save_weights(start, known.tensors(), architecture=known.architecture, arguments=known.arguments, task="denoise")
    choose.main([str(tmp_path / "photos"), str(start), str(out), "--patches", "16", "--steps", "40"])
    found, images = load(out), torch.rand(1, 3, 24, 32)
    assert found.arguments["groups"] is True
    assert found.chooser.last.bias.any()
    mixture = images + found.chooser(images, found.pilots(images))
    torch.testing.assert_close(found(images), mixture)  # the head adds nothing yet
