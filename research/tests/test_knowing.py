"""How well a signal goes along with the truth: ranks, what is lost by believing it, whether its verdicts are right."""

import math

import pytest
import skimage.data
import torch

from noiseda.images import Picture, write
from noiseda.restoration import UNet, save_weights
from noiseda_research.comparison.knowing import NAMES, PAIRS, Point, agreement, markdown, on_look_alikes, task_of

GOOD, BAD, MIDDLE, *OTHERS = NAMES


def points(psnr: dict[tuple[str, int], list[float]]) -> list[Point]:
    """Snapshots of runs, 200 steps apart: a signal falls with the PSNR, one rises, and one is lowest in between."""
    return [
        Point(
            strategy,
            seed,
            200 * (index + 1),
            {GOOD: -p, BAD: p, MIDDLE: (p - 31.2) ** 2} | dict.fromkeys(OTHERS, index),
            p,
        )
        for (strategy, seed), values in psnr.items()
        for index, p in enumerate(values)
    ]


def test_a_signal_that_falls_with_every_decibel_ranks_perfectly():
    found = agreement(points({("x", 0): [30.0, 31.0, 33.0, 32.0]}), "synthetic")
    assert found[GOOD]["rank"] == pytest.approx(1)
    assert found[GOOD]["lost"] == 0
    assert found[GOOD]["stopping"] == 1
    assert found[BAD]["rank"] == pytest.approx(-1)
    assert found[BAD]["lost"] == 3
    assert found[BAD]["stopping"] == -2
    assert found[MIDDLE]["lost"] == 2
    assert math.isnan(found[GOOD]["right"])
    text = markdown({"polyu": found})
    assert f"| {GOOD} | +1.00, 0.00, +1.00, - |" in text
    assert text.count("\n") == len(NAMES) + 1


def test_verdicts_compare_last_snapshots_with_the_reference_of_the_same_seed():
    psnr = {
        ("synthetic", 0): [29.0, 30.0],
        ("synthetic", 1): [29.0, 34.0],
        ("better", 0): [28.0, 31.0],
        ("better", 1): [28.0, 35.0],
        ("worse", 0): [33.0, 29.0],
        ("the same", 0): [33.0, 30.02],
        ("alone", 2): [33.0, 30.0],
    }
    found = agreement(points(psnr), "synthetic")
    assert (found[GOOD]["right"], found[GOOD]["judged"]) == (1, 3)
    assert (found[BAD]["right"], found[BAD]["judged"]) == (0, 3)
    assert found[MIDDLE]["right"] == pytest.approx(2 / 3)  # 31 is nearer to 31.2 than 30, 29 is not; but nor is 35
    assert "100% of 3" in markdown({"polyu": found})


def test_a_signal_that_could_not_be_measured_ranks_nothing():
    known = [
        Point("x", 0, index, dict.fromkeys(NAMES, 1.0 * index) | {NAMES[-1]: float("nan")}, 30.0 - index)
        for index in range(3)
    ]
    found = agreement(known, "synthetic")
    assert found[NAMES[0]]["rank"] == pytest.approx(1)
    assert math.isnan(found[NAMES[-1]]["rank"])
    assert f"| {NAMES[-1]} | +nan, nan, +nan, - |" in markdown({"rain": found})


def test_look_alikes_of_rain_are_rained_on(tmp_path):
    for name, photograph in (("clean", skimage.data.astronaut()), ("real", skimage.data.chelsea())):
        (tmp_path / name).mkdir()
        pixels = torch.from_numpy(photograph[:256, :256].copy()).permute(2, 0, 1) / 255
        write(Picture(pixels), tmp_path / f"{name}/0.png")
    weights = tmp_path / "rain.safetensors"
    save_weights(weights, UNet(width=4, depth=2).state_dict(), architecture="unet", arguments={}, task="derain")
    assert task_of(weights) == "derain"
    measure, again = on_look_alikes(tmp_path / "real", tmp_path / "clean", tmp_path, task_of(weights))
    assert math.isnan(again(lambda x: x)["blurred again"]), "that is for blur"
    seen = []
    found = measure(lambda x: seen.append(x) or x)["look-alikes"]
    assert len(seen) == PAIRS
    assert -35 < found < -15, "rain, of which nothing is taken away"
    assert measure(torch.zeros_like)["look-alikes"] > found + 3, "black is worse"
