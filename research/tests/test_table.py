"""The table's figures, against sums done by hand."""

import pytest

from noiseda_research.comparison.table import lines, markdown

PARTS = {"ssim": 0.9, "bias": 1e-5, "noise": 2e-5, "texture": 0.0, "other": 3e-5}


def scores(*values):
    return {f"image {index}": {"psnr": value, **PARTS} for index, value in enumerate(values)}


SCORES = {
    "input": {0: scores(20, 22), 1: scores(20, 22)},
    "synthetic": {0: scores(30, 32), 1: scores(31, 33)},
    "oracle": {0: scores(34, 36), 1: scores(35, 37)},
    "ours": {0: scores(32, 33), 1: scores(33, 34)},
}


def by_strategy():
    return {line.strategy: line for line in lines(SCORES, reference="synthetic", ceiling="oracle")}


def test_gains_are_paired_image_by_image_and_the_gap_is_a_share():
    found = by_strategy()
    mean, low, high = found["ours"].gain
    assert mean == pytest.approx(1.5)
    assert 1.0 <= low <= mean <= high <= 2.0
    assert found["ours"].psnr == (32.5, 33.5)
    assert found["ours"].closed == pytest.approx(1.5 / 4)
    assert found["input"].closed == pytest.approx(-10.5 / 4)
    assert found["synthetic"].gain is None
    assert found["oracle"].closed is None
    assert found["ours"].parts["noise"] == pytest.approx(2e-5)


def test_only_seeds_that_both_have_are_compared():
    partial = SCORES | {"ours": {1: scores(33, 34)}}
    found = {line.strategy: line for line in lines(partial, reference="synthetic", ceiling="oracle")}
    assert found["ours"].gain[0] == pytest.approx(1.5)
    alone = {line.strategy: line for line in lines({"ours": SCORES["ours"]}, reference="synthetic", ceiling="oracle")}
    assert alone["ours"].gain is None


def test_seeds_stand_in_order_whichever_ended_first():
    late = {strategy: dict(reversed(of.items())) for strategy, of in SCORES.items()}
    assert lines(late, reference="synthetic", ceiling="oracle") == list(by_strategy().values())
    assert by_strategy()["ours"].seeds == (0, 1)


def test_an_oracle_below_the_reference_leaves_no_gap():
    none = SCORES | {"oracle": {0: scores(29, 30)}}
    assert all(line.closed is None for line in lines(none, reference="synthetic", ceiling="oracle"))


def test_the_markdown_shows_it():
    found = lines(SCORES, reference="synthetic", ceiling="oracle")
    text = markdown(found, {"ours": {"seconds": 60, "steps": 5, "peak_gib": 0.5}}, {"white": found})
    row = next(line for line in text.splitlines() if line.startswith("| ours"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:4] == ["0, 1", "33.00 ± 0.71", "0.9000"]
    assert cells[4].startswith("+1.50 (+1.")
    assert cells[5:8] == ["38%", "1.0 / 2.0 / 0.0 / 3.0", "33.00 ± 0.71"]
    assert cells[8:] == ["5", "60", "0.50"]
    assert len({line.count("|") for line in text.splitlines()}) == 1
