"""Strategies asked for by name: a run of few steps, with its own settings, ends with weights that load."""

import json

import pytest

from noiseda import cli, load
from noiseda.training.logger import read_log
from tests.training.photographs import REAL, folder

TINY = """--training.steps 5 --training.batch 2 --training.patch 16 --training.device cpu --training.log_every 1
    --restorer.width 4 --restorer.depth 2 --degradation.kind white --proxy_pairs 0"""
PREDICTOR = "--predictor.width 8 --predictor.patch_size 2"
OWN = {
    "pseudo-targets": (f"{PREDICTOR} --pseudo_targets.start 0.5 --pseudo_targets.gate agreement", "pseudo_target"),
    "score-distillation": (f"{PREDICTOR} --score_distillation.start 0.5", "score"),
    "redegradation": ("--redegradation.start 0.5 --redegradation.residual synthetic", "again"),
}


@pytest.mark.parametrize("name", OWN)
def test_a_run_learns_from_real_images_from_its_start_on(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "clean")
    folder(tmp_path / "real", REAL)
    flags, term = OWN[name]
    words = f"adapt --strategy {name} --clean clean --real real --out run {TINY} {flags}"
    assert cli.main(words.split()) == 0
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["steps"] == 5
    lines = [line for line in read_log(tmp_path / "run/log.jsonl") if "loss" in line]
    assert [term in line for line in lines] == [False, False, False, True, True]
    assert load(tmp_path / "run/restorer.safetensors").channels == 3
