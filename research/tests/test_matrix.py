"""The matrix: which runs its cells stand for, what they share, and what is said of a wrong setting."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from noiseda import UserError, cli
from noiseda.extensions import presets_of
from noiseda_research.comparison.harness import plan_of
from noiseda_research.comparison.matrix import CompareSettings, SetSettings, cells, fill, shown

PRESETS = presets_of(CompareSettings)


def by_name(settings):
    return {(cell.set, cell.strategy, cell.seed): cell for cell in cells(settings)}


def test_every_strategy_goes_on_from_the_start_of_its_seed(matrix):
    found = by_name(replace(matrix, seeds=[0, 1]))
    for (_, _, seed), cell in found.items():
        assert cell.job.settings.restorer.start == cell.start.settings.out / "restorer.safetensors"
        assert cell.job.settings.seed == cell.start.settings.seed == seed
        assert cell.start.settings.training.steps == 3
        assert cell.job.settings.training.steps == 4
    assert found["dark", "synthetic", 0].start != found["dark", "synthetic", 1].start
    without = by_name(replace(matrix, start=None))
    assert all(cell.start is None and cell.job.settings.restorer.start is None for cell in without.values())


def test_the_same_computation_is_one_run(matrix):
    found = by_name(matrix)
    assert found["dark", "synthetic", 0].job == found["simulated", "synthetic", 0].job  # no real image is used
    assert found["dark", "noise-space", 0].job != found["simulated", "noise-space", 0].job
    assert found["dark", "oracle", 0].job != found["simulated", "oracle", 0].job
    assert found["dark", "oracle", 0].job.settings.pairs == matrix.data / "pairs"
    again = by_name(replace(matrix, out=Path("elsewhere"), data=matrix.data))
    assert again["dark", "synthetic", 0].job.settings.out.parent == Path("elsewhere/runs")


def test_a_strategy_that_names_what_a_set_lacks_is_left_out_there(matrix):
    found = by_name(matrix)
    assert ("dark", "true-noise", 0) not in found
    assert found["simulated", "true-noise", 0].job.settings.degradation.kind == "camera"


def test_only_what_is_asked_for(matrix):
    settings = replace(matrix, only=["noise-space"], only_sets=["simulated"])
    assert shown(settings) == (["simulated"], ["synthetic", "oracle", "noise-space"])


def test_words_are_filled_in_everywhere():
    words = {"data": "d", "truth": {"kind": "camera"}}
    assert fill({"a": ["{data}/x", 1], "b": "{truth}"}, words, "") == {"a": ["d/x", 1], "b": {"kind": "camera"}}
    with pytest.raises(UserError, match=r"sets\.x: \{lost\} in '\{lost\}/y' is none of data, truth"):
        fill("{lost}/y", words, "sets.x")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"settings": {"training": {"steeps": 3}}}, r"unknown setting 'training.steeps'; did you mean training.steps"),
        ({"settings": {"training": {"steps": "many"}}}, r"sets\.dark, .*--training.steps must be a whole number"),
        ({"strategies": {"synthetic": {"training": {"patch": 17}}}}, r"strategies.synthetic: --training.patch"),
        ({"strategies": {"synthetic": {"strategy": "magic"}}}, r"strategies.synthetic: --strategy must be one of"),
        ({"only": ["noise-spce"]}, r"--only: 'noise-spce' is none of .*; did you mean noise-space\?"),
        ({"only_sets": ["x"]}, r"--only-sets: 'x' is none of dark, simulated"),
        ({"reference": "x"}, r"--reference: 'x'"),
        ({"seeds": []}, r"sets, strategies and seeds"),
        ({"sets": {"x": SetSettings(adapt="a")}}, r"sets\.x needs adapt and test"),
        ({"parallel": 0}, r"--parallel must be at least 1"),
    ],
)
def test_what_is_wrong_is_said(matrix, change, said):
    settings = replace(matrix, **change)
    with pytest.raises(UserError, match=said):
        plan_of(settings)


def test_a_set_may_use_fewer_images_and_another_start(matrix):
    dark = replace(matrix.sets["dark"], images=1, start={"training": {"steps": 1}})
    settings = replace(matrix, sets={"dark": dark, "all": matrix.sets["dark"]})
    found = by_name(settings)
    few, every = (found[name, "noise-space", 0] for name in ("dark", "all"))
    assert few.job.settings.real == matrix.out / "chosen/dark/input"
    assert every.job.settings.real == matrix.data / "pairs/input"
    assert (few.start.settings.training.steps, every.start.settings.training.steps) == (1, 3)
    assert found["dark", "oracle", 0].job.settings.pairs == matrix.out / "chosen/dark"
    for change, said in (
        ({"sets": {"dark": replace(dark, images=0)}}, r"sets\.dark\.images must be at least 1, not 0"),
        ({"sets": {"dark": dark}, "start": None}, r"sets\.dark\.start differs from a first run"),
    ):
        with pytest.raises(UserError, match=said):
            replace(settings, **change).check()


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.slow
def test_shipped_matrices_hold_up(name, tmp_path):
    """Every cell's settings parse and pass their own check, and a set's oracle exists."""
    command, given = cli.parse(["compare", "--config", name, "--data", str(tmp_path)])
    assert command == "compare"
    settings = replace(CompareSettings(**given), seeds=[0])
    settings.check()
    found = by_name(settings)
    assert {(one, settings.ceiling, 0) for one in settings.sets} <= set(found)
    assert set(yaml.safe_load(PRESETS[name].read_text())["strategies"]) == {key[1] for key in found}
