"""Runs on photographs of 16 bits, in whatever part of their range they lie."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from noiseda.assessment.witness import estimate
from noiseda.config import DegradationSettings, RestorerSettings
from noiseda.errors import UserError
from noiseda.estimation import noise_looks
from noiseda.images import FULL, Picture, from_integers, write
from noiseda.restoration import load
from noiseda.restoration.weights import read_metadata
from noiseda.training import adapt
from noiseda.training.run import prepare
from tests.training.photographs import folder, small

SIGMA = 150.0
"""Of the noise, in steps of a 12-bit sensor."""


@pytest.fixture
def dark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A 12-bit sensor's photographs as they are (``real``) and times 16 (``scaled``), and clean ones of 8 bits."""
    monkeypatch.setattr(noise_looks.simulate, "__defaults__", (2,))
    folder(tmp_path / "clean", count=2, height=200, width=200)
    shown = np.linspace(600, 3000, 200) * np.ones((200, 1))
    for index in range(2):
        noise = SIGMA * np.random.default_rng(index).standard_normal(shown.shape)
        numbers = (shown + noise).clip(0, 4095).round()
        for name, times in (("real", 1), ("scaled", 16)):
            (tmp_path / name).mkdir(exist_ok=True)
            samples = torch.from_numpy((numbers * times).astype(np.uint16))[None]
            write(Picture(from_integers(samples), bits=16), tmp_path / name / f"{index}.tif")
    return tmp_path


def grey(where: Path, **changes: object) -> object:
    usual = {"degradation": DegradationSettings(), "restorer": RestorerSettings(width=4, depth=2, channels=1)}
    return small(where, **{"strategy": "neighbor2neighbor", "steps": 2, **usual, **changes})


def test_the_range_that_they_lie_in_does_not_matter(dark: Path, capfd: pytest.CaptureFixture[str]) -> None:
    summary = adapt(grey(dark, proxy_pairs=2))
    told = capfd.readouterr().err
    assert (
        "use only the lowest 6.2% of their 16-bit range, as files of 12-bit cameras do: values are divided by" in told
    )
    assert "neither rounded to 8 nor compressed" in told
    scaled = adapt(grey(dark, proxy_pairs=2, real=dark / "scaled", out=dark / "other"))
    assert "use only the lowest" not in capfd.readouterr().err
    assert read_metadata(summary.weights)["white_level"] == "4095"
    assert "white_level" not in read_metadata(scaled.weights)
    found, other = (
        [tuple(row) for row in json.loads(next((out / "cache").glob("matched-*.json")).read_text())["found"]]
        for out in (dark / "out", dark / "other")
    )
    assert found == other
    assert summary.verdict is not None
    assert scaled.verdict is not None
    assert summary.verdict.gain == pytest.approx(scaled.verdict.gain, abs=0.02)


def test_their_noise_is_reported_as_it_is(dark: Path) -> None:
    """By the witness of the verdict, whatever white is."""
    for name, times, white in (("real", 1, None), ("scaled", 16, None), ("real", 1, FULL)):
        settings = grey(dark, real=dark / name, out=dark / f"{name}-{white}", proxy_pairs=0, white_level=white)
        run = prepare(replace(settings, degradation=DegradationSettings(kind="white")))
        files = sorted((dark / name).iterdir())
        witness = estimate(files, torch.nn.AvgPool2d(9, 1, 4, count_include_pad=False), 0, deep=run.case.deep)
        assert witness is not None
        noise = witness.error(lambda image: image).noise
        found = math.sqrt(sum(noise) / len(noise)) * run.case.deep.white
        assert found == pytest.approx(SIGMA * times, rel=0.15)
        assert run.average.network.white_level == FULL, "whose images are divided already"


@pytest.mark.slow
def test_strategies_that_measure_noise_know_the_steps_of_the_files(dark: Path) -> None:
    for strategy in ("sure", "flat-noise"):
        settings = grey(dark, strategy=strategy, out=dark / strategy, degradation=DegradationSettings(kind="white"))
        assert prepare(settings).objective.noise.bank.levels == 4095
    settings = grey(dark, strategy="synthetic", also=["sure"], out=dark / "both", white_level=FULL)
    run = prepare(replace(settings, degradation=DegradationSettings(kind="white")))
    assert run.objective.parts[1].noise.bank.levels == FULL


def test_a_later_run_takes_weights_that_have_a_white_level(dark: Path) -> None:
    white = DegradationSettings(kind="white")
    first = adapt(grey(dark, degradation=white, proxy_pairs=0))
    start = RestorerSettings(width=4, depth=2, channels=1, start=first.weights)
    second = adapt(
        grey(dark, degradation=white, proxy_pairs=0, restorer=start, out=dark / "second", real=dark / "scaled")
    )
    assert load(second.weights).white_level == FULL


@pytest.mark.parametrize("value", [0, -1, 65536])
def test_a_white_level_that_no_file_has_is_refused(dark: Path, value: int) -> None:
    with pytest.raises(UserError, match=r"--white_level must be at least 1 and at most 65535"):
        adapt(grey(dark, white_level=value))
