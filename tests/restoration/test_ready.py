"""Ready weights: names that stand for files which come with the package."""

from pathlib import Path

import pytest
import torch

import noiseda
from noiseda.cli import main, parse
from noiseda.config import AdaptSettings
from noiseda.images import Picture, read, write
from noiseda.restoration import read_metadata
from noiseda.restoration.ready import READY, included, located
from noiseda.tasks import INCLUDED
from tests.training.photographs import REAL, folder


@pytest.mark.parametrize("name", READY)
def test_a_name_stands_for_weights_in_half_precision_that_fit_a_wheel(name):
    assert READY[name].stat().st_size <= 6e6
    network = noiseda.load(name)
    assert next(network.parameters()).dtype == torch.float32
    assert read_metadata(name)["task"] == name
    assert read_metadata(name)["note"]


def test_a_file_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert located(READY["denoise"]) == READY["denoise"]
    noiseda.save_weights(tmp_path / "denoise", noiseda.UNet(width=4, depth=2).state_dict(), **OTHER)
    assert noiseda.load("denoise").arguments["width"] == 4


def test_folders_of_such_names_are_no_weights_and_no_clean_photographs(tmp_path, monkeypatch):
    """They may hold anything: what a run takes where nothing is asked for does not depend on them."""
    monkeypatch.chdir(tmp_path)
    for name in ("denoise", "included"):
        (tmp_path / name).mkdir()
    assert noiseda.load("denoise").architecture == "residual-unet"
    assert included(Path("included")) == Path("included")
    assert included(Path(INCLUDED)).name == "clean"
    assert len(noiseda.find_images(included(Path(INCLUDED)))) >= 10


OTHER = {"architecture": "unet", "arguments": {"width": 4, "depth": 2, "channels": 3}, "task": "denoise"}


def test_they_take_noise_away_without_any_training(tmp_path):
    """From a smooth picture, of which the truth is known."""
    down, right = torch.meshgrid(torch.linspace(0, 3, 96), torch.linspace(0, 2, 112), indexing="ij")
    clean = torch.stack([0.5 + 0.3 * torch.sin(down + right), 0.5 + 0.3 * torch.cos(right), 0.4 + 0.1 * down])
    noisy = clean + 25 / 255 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    write(Picture(noisy.clamp(0, 1)), tmp_path / "noisy.png")
    assert main(["restore", "denoise", str(tmp_path / "noisy.png"), str(tmp_path / "restored.png")]) == 0
    before, after = (
        float((read(tmp_path / f"{one}.png").pixels - clean).square().mean()) for one in ("noisy", "restored")
    )
    assert after < before / 20


def test_adaptation_starts_from_them(tmp_path):
    folder(tmp_path / "clean")
    folder(tmp_path / "real", REAL)
    words = [
        "adapt", "--clean", f"{tmp_path}/clean", "--real", f"{tmp_path}/real", "--out", f"{tmp_path}/run", "--weights",
        "denoise", "--training.steps", "2", "--training.batch", "2", "--training.patch", "16",
        "--training.device", "cpu",
        "--proxy_pairs", "0", "--strategy", "synthetic", "--degradation.kind", "white",
    ]  # fmt: skip
    assert str(AdaptSettings(**parse(words)[1]).restorer.weights) == "denoise"
    assert main(words) == 0
    assert noiseda.load(tmp_path / "run" / "restorer.safetensors").arguments == noiseda.load("denoise").arguments
