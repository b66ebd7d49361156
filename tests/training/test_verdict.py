"""Whether to use an adapted network, told without the truth of the photographs it was adapted to."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from noiseda.config import AdaptSettings, DegradationSettings, RestorerSettings
from noiseda.errors import UserError
from noiseda.training import adapt
from noiseda.training.cost import describe
from noiseda.training.verdict import Trial, judge, trial
from tests.training.photographs import pairs, small
from tests.training.test_matched import noisy  # noqa: F401 (a fixture)

WHITE = DegradationSettings(kind="white")


class Fades(nn.Module):
    """Restores a share of the way from the degraded image to black."""

    channels, stride = 3, 1

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor(share))

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 - self.share)


def tried(dark: float) -> Trial:
    """Pairs whose degraded images are too bright by a share."""
    made = [(y * (1 + dark), y) for y in (0.3 + 0.2 * torch.rand(5, 3, 24, 24)).unbind()]
    return Trial([], made, "pairs of a test")


@pytest.mark.parametrize(
    ("dark", "share", "word"),
    [(0.5, 0.3, "better"), (0.5, 0.0, "no better"), (0.0, 0.0, "no better"), (0.1, 0.9, "worse")],
)
def test_it_says_whether_the_network_gains_on_the_pairs(dark: float, share: float, word: str) -> None:
    verdict = judge(Fades(share), tried(dark), AdaptSettings())
    mean, low, high = verdict.gain
    assert low <= mean <= high
    assert verdict.psnr - verdict.baseline == pytest.approx(mean)
    assert verdict.word == word
    assert str(verdict).startswith(f"{word} than the photographs as they are. On 5 pairs of a test: ")


def test_a_run_is_judged_against_the_network_it_started_from_or_another(noisy: Path) -> None:  # noqa: F811
    start = adapt(small(noisy, strategy="synthetic", degradation=WHITE, out=noisy / "start"))
    assert start.verdict is None
    assert start.validation is None
    from_it = RestorerSettings(width=4, depth=2, channels=3, start=start.weights)
    summary = adapt(small(noisy, degradation=WHITE, look_alikes=4, restorer=from_it))
    assert summary.verdict is not None
    assert summary.verdict.than == "the network that it started from"
    assert summary.verdict.pairs == "4 clean photographs degraded as yours look"
    assert summary.validation is not None
    written = json.loads((noisy / "out/summary.json").read_text())["verdict"]
    assert written["word"] == summary.verdict.word
    assert written["gain"] == list(summary.verdict.gain)
    other = adapt(small(noisy, degradation=WHITE, look_alikes=4, baseline=start.weights, out=noisy / "other"))
    assert other.verdict is not None
    assert other.verdict.than == f"{start.weights}, which it is compared with"
    assert other.verdict.baseline == pytest.approx(summary.verdict.baseline)


def test_pairs_for_choosing_are_others_than_those_for_judging(noisy: Path) -> None:  # noqa: F811
    from noiseda.data.matching import Matched

    settings = small(noisy, look_alikes=3)
    like = Matched((("white", 30.0),))
    made = trial(settings, [], like, sorted((noisy / "clean").iterdir()))
    assert made is not None
    assert len(made.choosing) == len(made.judging) == 3
    assert not any(torch.equal(x, other) for x, _ in made.choosing for other, _ in made.judging)
    mine = [(torch.zeros(3, 8, 8), torch.ones(3, 8, 8))]
    assert trial(settings, mine, like, []) == Trial(mine, mine, "pairs of --validation")
    assert trial(settings, [], None, []) is None


def test_validation_pairs_take_the_place_of_look_alikes(noisy: Path, capfd: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    summary = adapt(small(noisy, degradation=WHITE, validation=pairs(noisy / "validation")))
    assert summary.verdict is not None
    assert summary.verdict.pairs == "2 pairs of --validation"
    assert "the photographs look like" not in capfd.readouterr().err
    assert not [*(noisy / "out/cache").glob("matched-*")]


def test_nothing_is_told_where_nothing_is_wanted_or_can_be(noisy: Path) -> None:  # noqa: F811
    assert adapt(small(noisy, degradation=WHITE, look_alikes=0, out=noisy / "none")).verdict is None
    for changes in ({"task": "deblur"}, {"look_alikes": 0}, {"strategy": "synthetic"}, {"real": None}):
        assert not replace(small(noisy, degradation=WHITE), **changes).is_tried
    assert small(noisy, degradation=WHITE).is_tried


def test_a_baseline_that_is_no_network_is_named_before_anything_is_done(noisy: Path) -> None:  # noqa: F811
    (noisy / "broken.safetensors").write_bytes(b"no")
    for name in ("missing.safetensors", "broken.safetensors"):
        settings = small(noisy, baseline=noisy / name)
        for run in (adapt, describe):
            with pytest.raises(UserError, match=f"--baseline .*{name}"):
                run(settings)
    assert not (noisy / "out").exists()
