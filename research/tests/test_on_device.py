"""Ready weights trained on one device: what is packed fits, a stopped run ends as one never stopped, and it learns."""

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import noiseda
from noiseda import UserError
from noiseda.restoration import ResidualUNet
from noiseda_research.ready import on_device
from noiseda_research.ready.on_device import Trainer, main, pack, tiles, train


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("astronaut", "coffee", "chelsea"):
        Image.fromarray(getattr(skimage.data, name)()).save(folder / f"{name}.png")
    return folder


def trainer(photographs, **more):
    torch.manual_seed(0)
    model = ResidualUNet(width=8, blocks=(1, 1, 1), fold=2)
    settings = {"batch": 4, "patch": 16, "rate": 2e-3, "ema": 0.9} | more
    return Trainer(tiles(photographs, torch.device("cpu"), 80), model, **settings)


def test_as_many_are_packed_as_fit(photographs, tmp_path):
    count = pack(photographs, tmp_path / "packed", 0.15)
    sizes = [path.stat().st_size for path in (tmp_path / "packed").iterdir()]
    assert count == len(sizes) == 1  # each takes about a tenth of a megabyte
    assert sum(sizes) <= 0.15 * 2**20
    assert pack(photographs, tmp_path / "all", 60) == 3
    one = np.array(Image.open(tmp_path / "all" / "astronaut.jpg")).astype(float)
    assert np.square(one - skimage.data.astronaut()).mean() < 10


def test_tiles_cover_the_photographs(photographs):
    found = tiles(photographs, torch.device("cpu"), 300)
    assert found.shape == (2 * 2 + 2 * 2 + 1 * 2, 3, 300, 300)  # 512 x 512, 400 x 600, 300 x 451
    coffee = torch.from_numpy(skimage.data.coffee()).permute(2, 0, 1)
    assert any(torch.equal(tile, coffee[:, -300:, -300:]) for tile in found)
    with pytest.raises(UserError, match="holds no photograph of 1000"):
        tiles(photographs, torch.device("cpu"), 1000)


def test_a_patch_that_does_not_fit_is_refused(photographs):
    with pytest.raises(UserError, match="--patch must be a multiple of 16, and 32 at most"):
        trainer(photographs, patch=48)


def test_a_stopped_run_ends_as_one_never_stopped(photographs, tmp_path):
    whole = trainer(photographs)
    whole.course.steps = 8
    train(whole, tmp_path / "whole", 1)

    first = trainer(photographs)
    first.course.steps = 8
    train(first, tmp_path / "parts", 1, stop_at=5)
    second = trainer(photographs, seed=7)  # what it draws is what the first would have drawn
    train(second, tmp_path / "parts", 1)

    assert second.course.step == 8
    for name, tensor in whole.average.items():
        assert torch.equal(tensor, second.average[name]), name
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
    published = noiseda.load(tmp_path / "parts" / "restorer.safetensors")
    assert torch.equal(published.intro.weight, whole.average["intro.weight"])


def test_a_finished_run_goes_on_for_more_minutes_with_a_new_rate(photographs, tmp_path):
    run = trainer(photographs)
    run.course.steps = 3
    train(run, tmp_path, 1)
    assert run.course_of_rate() == 0
    again = trainer(photographs)
    again.course.seconds = 0
    train(again, tmp_path, 1, more=1.1 * run.course.seconds / 60)
    assert again.course.begun == 3
    assert again.course.step == again.course.steps == 6


def test_steps_are_planned_by_the_speed(photographs, monkeypatch):
    monkeypatch.setattr(on_device, "TRIAL", 0.3)
    run = trainer(photographs)
    figures = on_device.pace(run, 0.05)
    assert run.course.steps == run.course.step + max(int(3 / figures["seconds_a_step"]), 1)
    assert figures["share_of_data"] > 0
    assert figures["samples_per_s"] == pytest.approx(4 / figures["seconds_a_step"])


def test_it_learns(photographs, monkeypatch):
    monkeypatch.setattr(on_device, "RISE", 5)
    run = trainer(photographs, batch=16, patch=32, rate=4e-3)
    run.course.steps = 60

    def noisy(crops, generator, host):
        return crops + 0.2 * torch.randn(crops.shape, generator=generator), crops

    run.mixture = noisy
    degraded, clean = run.data()
    for _ in range(60):
        run.step()
    with torch.no_grad():
        left = (run.model(degraded) - clean).square().mean()
    assert left < 0.7 * 0.2**2


def test_patches_are_of_the_photographs_and_turned_in_every_way(photographs):
    run = trainer(photographs, batch=64)
    run.mixture = lambda crops, generator, host: (crops, crops)
    noisy, clean = run.data()
    assert torch.equal(noisy, clean)
    windows = run.photographs[:, 0].unfold(1, 64, 1).unfold(2, 64, 1)[:, :, :, 0, 0].float() / 255
    assert clean.shape == (64, 3, 64, 64)
    assert torch.isin(clean[:, 0, 0, 0], windows.flatten()).float().mean() > 0.2  # those that were not turned
    assert len({float(one.sum()) for one in clean}) > 60


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pack", "empty", "out"], "empty holds no photograph that fits into --megabytes 60"),
        (["pack", "broken", "out"], "broken/a.png cannot be read"),
        (["pack", "empty", "broken/a.png"], "broken/a.png cannot be made: File exists"),
        (["pack", "nowhere", "out"], "nowhere: no such folder"),
        (["train", "empty", "out"], "empty holds no photograph of 320 x 320 pixels"),
        (["train", "empty", "out", "--device", "nonsense"], "--device nonsense cannot be had"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(SystemExit) as refused:
        main(words)
    assert refused.value.code == 2
    assert said in capsys.readouterr().err
