"""A run that made the weights it started from worse ships those, says so, and keeps its own beside them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from noiseda.config import AdaptSettings
from noiseda.restoration import read_metadata
from noiseda.training import adapt
from tests.report.page import assert_self_contained
from tests.training.photographs import pairs, small


@pytest.fixture
def spoiling(where: Path) -> AdaptSettings:
    """Settings of a run that starts from weights, and whose learning rate is far too high."""
    start = adapt(small(where, out=where / "first", strategy="synthetic", proxy_pairs=0, steps=2)).weights
    settings = small(
        where, validation=pairs(where / "validation"), strategy="synthetic", steps=3, validate_every=4,
        learning_rate=1.0, ema_decay=0.0, max_regression_db=None,
    )  # fmt: skip
    return replace(settings, restorer=replace(settings.restorer, start=start))


def holds_the_same(one: Path, other: Path) -> bool:
    weights, others = load_file(one), load_file(other)
    return all(torch.equal(weight, others[name]) for name, weight in weights.items())


def written(settings: AdaptSettings) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((settings.out / "summary.json").read_text())
    return found


def test_it_ships_what_it_started_from_and_says_so(spoiling: AdaptSettings) -> None:
    summary = adapt(spoiling)
    start, trained = spoiling.restorer.start, spoiling.out / "trained.safetensors"
    assert start is not None
    assert summary.verdict is not None
    assert (summary.verdict.word, summary.shipped, written(spoiling)["shipped"]) == ("worse", "start", "start")
    assert holds_the_same(summary.weights, start)
    assert not holds_the_same(trained, start)
    about = read_metadata(summary.weights)
    assert (about["strategy"], about["steps"], about["task"]) == ("start", "0", "denoise")
    assert (read_metadata(trained)["strategy"], read_metadata(trained)["steps"]) == ("synthetic", "3")
    said = "restorer.safetensors holds the network that it started from, and trained.safetensors the trained one"
    assert said in summary.advice
    page = assert_self_contained((spoiling.out / "report.html").read_text(encoding="utf-8"))
    assert said in page.text
    shown = {has["alt"].split(", ")[1]: has["src"] for has in page.all("img") if has["alt"].startswith("0.png")}
    assert shown["before"] != shown["adapted"]  # the page shows what was trained


def test_the_same_run_ships_the_trained_weights_where_that_is_asked_for(spoiling: AdaptSettings) -> None:
    adapt(spoiling)
    trained = load_file(spoiling.out / "trained.safetensors")
    summary = adapt(replace(spoiling, ship_worse=True))
    assert (summary.shipped, written(spoiling)["shipped"], summary.steps) == ("trained", "trained", 3)
    assert summary.advice.startswith("so keep the network that it started from;")
    assert all(torch.equal(weight, trained[name]) for name, weight in load_file(summary.weights).items())
    assert not (spoiling.out / "trained.safetensors").exists()


def test_a_kill_between_the_weights_and_the_summary_changes_nothing(spoiling: AdaptSettings) -> None:
    adapt(spoiling)
    names = ("restorer.safetensors", "trained.safetensors", "summary.json")
    whole = {name: (spoiling.out / name).read_bytes() for name in names}
    for lost in (names, names[:1], names[1:]):
        for name in lost:
            (spoiling.out / name).unlink()
        adapt(spoiling)
        assert {name: (spoiling.out / name).read_bytes() for name in names} == whole


def test_beside_another_baseline_the_trained_weights_are_shipped(spoiling: AdaptSettings) -> None:
    """Whether they are worse than those that the run started from is not known then."""
    summary = adapt(replace(spoiling, baseline=spoiling.restorer.start))
    assert summary.verdict is not None
    assert (summary.verdict.word, summary.shipped) == ("worse", "trained")


def test_a_run_from_random_weights_ships_what_it_trained(spoiling: AdaptSettings) -> None:
    summary = adapt(replace(spoiling, restorer=replace(spoiling.restorer, start=None)))
    assert summary.verdict is not None
    assert (summary.verdict.word, summary.shipped) == ("worse", "trained")
    assert not (spoiling.out / "trained.safetensors").exists()
