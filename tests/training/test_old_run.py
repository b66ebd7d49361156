"""A run that an earlier version began is continued, and ends as that version would have ended it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import noiseda
from noiseda.cli import main
from noiseda.errors import UserError
from noiseda.old_names import renamed
from noiseda.settings_tree import settings_from
from noiseda.training.run_directory import as_begun, check_claim

OLD = Path(__file__).parents[1] / "old_run"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Six steps of a mean teacher, stopped after the third; and what the six steps had made."""
    shutil.copytree(OLD, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return tmp_path / "run"


def test_it_goes_on_from_its_own_settings_file(place, capsys):
    assert main(["adapt", "--config", "half/settings.yaml", "--out", "half"]) == 0
    assert "continuing half after step 3" in capsys.readouterr().err
    found, expected = load_file("half/restorer.safetensors"), load_file("whole.safetensors")
    assert found.keys() == expected.keys()
    for name, weight in found.items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-5, atol=1e-6)


def test_other_settings_are_still_seen_as_such(place, capsys):
    assert main(["adapt", "--config", "half/settings.yaml", "--out", "half", "--training.batch", "3"]) != 0
    assert "other settings" in capsys.readouterr().err


def test_its_weights_are_read(place):
    assert noiseda.load("whole.safetensors").arguments == {"width": 4, "depth": 2, "channels": 3}


def test_names_of_combinations_and_of_score_distillation():
    old = {"restorer.w": 0, "parts.0.restorer.w": 0, "parts.0.prior.n": 1, "parts.1.teacher.w": 2}
    today = [
        "restorer.w",
        "parts.0.restorer.w",
        "parts.0.denoiser.n",
        "parts.1.parts.1.teacher.w",
        "parts.1.restorer.w",
    ]
    assert list(renamed(old, today).values()) == [0, 0, 1, 2, 0]
    assert renamed({"prior.n": 1, "judge.progress": 3}, ["denoiser.n"]) == {"denoiser.n": 1}
    assert "denoiser.n" not in renamed({"other.n": 1}, ["denoiser.n"])


def test_a_run_that_began_before_goes_on_with_one_rate_for_all_layers(tmp_path):
    whole = {"clean": "c", "real": "r", "out": str(tmp_path), "training": {"steps": 3}}
    asked = settings_from(whole)
    path = tmp_path / "settings.yaml"
    assert as_begun(asked, path).training.lr_scaling == "fan_in"  # nothing has begun
    path.write_text("training: {steps: 3}\n")
    begun = as_begun(asked, path)
    assert (begun.restorer.network, begun.training.lr_scaling, begun.training.learning_rate) == ("unet", "none", 1e-3)
    assert begun == replace(asked, restorer=begun.restorer, training=begun.training)
    path.write_text("training: {steps: 3, lr_scaling: fan_in}\n")
    assert as_begun(asked, path) == asked


def test_a_run_that_began_with_random_weights_goes_on_with_its_network(tmp_path):
    """Today's runs say nothing of the network and start from ready weights; those of before said nothing too."""
    asked = settings_from({"real": "r", "out": str(tmp_path)})
    path = tmp_path / "settings.yaml"
    path.write_text("training: {steps: 3, lr_scaling: fan_in}\n")
    plan = tmp_path / "plan.yaml"
    plan.write_text("restorer: {network: unet-residual, weights: null}\n")
    begun = as_begun(asked, path)
    assert begun == replace(asked, restorer=replace(asked.restorer, network="unet-residual"))
    plan.write_text("restorer: {network: auto, weights: denoise}\n")
    assert as_begun(asked, path) == asked


def test_a_run_goes_on_with_the_learning_rate_that_it_began_with(tmp_path):
    """From ready weights it fell in the last fifth; today's runs let it fall along a cosine."""
    asked = settings_from({"real": "r", "out": str(tmp_path)})
    path = tmp_path / "settings.yaml"
    path.write_text("training: {steps: 3, lr_scaling: fan_in}\n")
    (tmp_path / "plan.yaml").write_text("training: {lr_schedule: cooldown}\nrestorer: {weights: denoise}\n")
    assert as_begun(asked, path) == asked  # no step was taken
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-00000002.pt").write_bytes(b"")
    begun = as_begun(asked, path)
    assert begun == replace(asked, training=replace(asked.training, lr_schedule="cooldown"))
    own = replace(asked, training=replace(asked.training, lr_schedule="constant"))
    assert as_begun(own, path) == own
    (tmp_path / "plan.yaml").write_text("training: {lr_schedule: cosine}\nrestorer: {weights: denoise}\n")
    assert as_begun(asked, path) == asked  # a run of today: what was asked for stays open


def test_a_file_is_no_folder_of_a_run(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UserError, match="file is a file: give a folder"):
        check_claim(settings_from({"real": "r", "out": str(tmp_path / "file")}))
    assert (tmp_path / "file").read_text() == "kept"


def test_a_run_goes_on_with_the_white_pairs_that_it_began_with(tmp_path):
    """From ready weights white pairs kept what was known; today's runs are reminded by the weights' own example."""
    asked = settings_from({"real": "r", "out": str(tmp_path)})
    path = tmp_path / "settings.yaml"
    path.write_text("training: {steps: 3, lr_scaling: fan_in}\n")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-00000002.pt").write_bytes(b"")
    plan = tmp_path / "plan.yaml"
    cosine = "training: {lr_schedule: cosine}\nrestorer: {weights: denoise}\n"
    plan.write_text(f"{cosine}degradation: {{kind: null, smoothed: 4.0}}\n")
    meant = as_begun(asked, path).degradation
    assert (meant.kind, meant.remembered) == ("white+3*matched", 0.0)
    own = replace(asked, degradation=replace(asked.degradation, remembered=0.3))
    assert as_begun(own, path).degradation == own.degradation
    plan.write_text(f"{cosine}degradation: {{kind: null, remembered: 0.2}}\n")
    assert as_begun(asked, path) == asked
