"""How well a signal goes along with the truth: ranks, and what is lost by believing it."""

import math

import pytest

from noiseda.comparison.knowing import NAMES, agreement, markdown


def test_a_signal_that_falls_with_every_decibel_ranks_perfectly():
    good, bad, constant, *others = NAMES
    psnr = [30.0, 31.0, 33.0, 32.0]
    points = [
        ({good: -p, bad: p, constant: (p - 31.2) ** 2} | dict.fromkeys(others, index), p)
        for index, p in enumerate(psnr)
    ]
    found = agreement(points)
    assert found[good] == {"rank": pytest.approx(1), "lost": 0, "networks": 4}
    assert found[bad]["rank"] == pytest.approx(-1)
    assert found[bad]["lost"] == 3
    assert found[constant]["lost"] == 2
    text = markdown({"polyu": found})
    assert f"| {good} | +1.00, 0.00 |" in text
    assert text.count("\n") == len(NAMES) + 1


def test_a_signal_that_could_not_be_measured_ranks_nothing():
    points = [(dict.fromkeys(NAMES, 1.0 * index) | {NAMES[-1]: float("nan")}, 30.0 - index) for index in range(3)]
    found = agreement(points)
    assert found[NAMES[0]]["rank"] == pytest.approx(1)
    assert math.isnan(found[NAMES[-1]]["rank"])
    assert f"| {NAMES[-1]} | +nan, nan |" in markdown({"rain": found})
