"""Photographs restored by networks that are compared."""

import math

import pytest
import torch

from noiseda.assessment.pictures import SIDE, restored, scores_of, sentence, tone
from noiseda.assessment.verdict import Verdict
from noiseda.restoration import UNet


class Brighter(UNet):
    """Adds a tenth to every value."""

    def __init__(self) -> None:
        super().__init__(width=4, depth=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.1


def test_a_part_is_restored_and_what_was_taken_away_is_measured() -> None:
    x = torch.rand(3, 500, 2500, generator=torch.Generator().manual_seed(0)) * 0.5
    found = restored("a.png", x, None, {"adapted": Brighter()})
    assert found.images["input"].shape == (3, SIDE, SIDE)
    assert torch.allclose(found.images["adapted"], found.images["input"] + 0.1)
    assert found.taken == pytest.approx(25.5, rel=1e-4)
    shown = found.comparison()
    assert shown.note == f"{SIDE} × {SIDE} of 2500 × 500 pixels"
    assert [pane.label for pane in shown.panes] == ["input", "adapted", "taken away × 4"]
    assert shown.opened == (0, 1)


def test_with_a_truth_each_version_has_its_psnr() -> None:
    y = torch.full((3, 40, 40), 0.5)
    photographs = [restored(name, y - 0.05, y, {"before": Brighter(), "adapted": Brighter()}) for name in ("a", "a")]
    table = scores_of(photographs)
    assert table is not None
    assert table.columns == ["input dB", "before dB", "adapted dB", "taken away, of 255"]
    assert [name for name, _ in table.rows] == ["a", "a"], "two photographs of one name are two rows"
    assert table.rows[0][1] == pytest.approx(
        [20 * math.log10(255 / levels) for levels in (13, 12, 12)] + [25.5], abs=0.01
    ), "at 8 bits"
    assert scores_of([]) is None


def test_a_verdict_is_one_sentence() -> None:
    made = Verdict("not shown to be better", "the photographs as they are", (0.012, -0.1, 0.13), "of figures")
    expected = "The adapted network is not shown to be better than the photographs as they are: "
    assert sentence(made) == f"{expected}+0.01 dB (95%: -0.10 to +0.13)."
    assert [tone(word) for word in ("better", "worse", made.word)] == ["good", "bad", "plain"]
