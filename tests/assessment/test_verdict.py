"""Whether to use an adapted network, told without the truth of the photographs it was adapted to."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from noiseda.assessment.sure import Risk
from noiseda.assessment.verdict import Standing, Trial, judge, standing, trial, trial_of, verdict
from noiseda.assessment.witness import Witness, estimate, witness_of
from noiseda.config import AdaptSettings, DegradationSettings, RestorerSettings
from noiseda.errors import UserError
from noiseda.estimation import rain
from noiseda.estimation.blur_kernel import MatchedBlur
from noiseda.estimation.noise import Matched
from noiseda.evaluation.metrics import psnr
from noiseda.inference import restore_tensor
from noiseda.restoration import UNet, save_weights
from noiseda.strategies import MeanTeacherSettings, Neighbor2NeighborSettings
from noiseda.training import adapt
from noiseda.training.cost import describe
from noiseda.training.logger import read_log
from tests.training.photographs import CLEAN, REAL, pairs, save, small

WHITE = DegradationSettings(kind="white")


class Fades(nn.Module):
    """Restores a share of the way from the degraded image to black."""

    channels, multiple_of = 3, 1

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
    [
        (0.5, 0.3, "better"),
        (0.5, 0.0, "not shown to be better"),
        (0.0, 0.0, "not shown to be better"),
        (0.1, 0.9, "worse"),
    ],
)
def test_it_says_whether_the_network_gains_on_the_pairs(dark: float, share: float, word: str) -> None:
    trial_ = tried(dark)
    pairs_, verdict = trial_.judging, judge(Fades(share), trial_, AdaptSettings())
    mean, low, high = verdict.gain
    assert low <= mean <= high
    assert verdict.word == word
    gains = [psnr((x * (1 - share))[None], y[None]) - psnr(x[None].clamp(0, 1), y[None]) for x, y in pairs_]
    if dark:
        assert mean == pytest.approx(float(torch.cat(gains).mean()), abs=1e-3)
    assert str(verdict).startswith(f"{word} than the photographs as they are: by {mean:+.2f} dB (95%: ")
    assert str(verdict).endswith(" on 5 pairs of a test")


def test_a_network_that_gives_no_numbers_is_not_found_to_be_the_best() -> None:
    with pytest.raises(UserError, match=r"cannot be scored: its output holds values that are not numbers \(NaN\)"):
        judge(Fades(math.nan), tried(0.5), AdaptSettings())


@pytest.mark.slow
def test_a_run_is_judged_against_the_network_it_started_from_or_another(noisy: Path) -> None:
    start = adapt(small(noisy, strategy="synthetic", degradation=WHITE, out=noisy / "start"))
    assert start.verdict is None
    assert start.validation is None
    from_it = RestorerSettings(width=4, depth=2, channels=3, start=start.weights)
    summary = adapt(small(noisy, degradation=WHITE, proxy_pairs=4, restorer=from_it))
    assert summary.verdict is not None
    assert summary.verdict.than == "the network that it started from"
    assert " dB on 4 clean photographs degraded as yours look (" in summary.verdict.because
    assert " dB on 2 of yours (an estimated squared error " in summary.verdict.because
    assert summary.validation is not None
    written = json.loads((noisy / "out/summary.json").read_text())["verdict"]
    assert written["word"] == summary.verdict.word
    assert written["gain"] == list(summary.verdict.gain)
    other_settings = small(
        noisy, degradation=WHITE, proxy_pairs=4, baseline=start.weights, out=noisy / "other", cache=noisy / "out/cache"
    )
    other = adapt(other_settings)
    assert other.verdict is not None
    assert other.verdict.than == str(start.weights)
    learnt = adapt(
        small(noisy, strategy="sure", degradation=WHITE, proxy_pairs=4, restorer=from_it, out=noisy / "sure")
    )
    assert learnt.verdict is not None
    assert "estimated" not in learnt.verdict.because  # it learnt from the estimate


def test_pairs_for_choosing_are_others_than_those_for_judging(noisy: Path) -> None:
    settings = small(noisy, proxy_pairs=3)
    like = Matched((("white", 30.0),))
    made = trial(settings, [], like, sorted((noisy / "clean").iterdir()), [])
    assert made is not None
    assert len(made.choosing) == len(made.judging) == 3
    assert not any(torch.equal(x, other) for x, _ in made.choosing for other, _ in made.judging)
    mine = [(torch.zeros(3, 8, 8), torch.ones(3, 8, 8))]
    assert trial(settings, mine, like, [], []) == Trial(mine, mine, "pairs of --validation")
    assert trial(settings, [], None, [], []) is None


def test_validation_pairs_take_the_place_of_look_alikes(noisy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    summary = adapt(small(noisy, degradation=WHITE, validation=pairs(noisy / "validation")))
    assert summary.verdict is not None
    assert summary.verdict.because.endswith(" on 2 pairs of --validation")
    assert "the photographs look like" not in capfd.readouterr().err
    assert not [*(noisy / "out/cache").glob("matched-*")]


def test_nothing_is_reported_where_nothing_is_wanted_or_can_be(noisy: Path) -> None:
    assert adapt(small(noisy, degradation=WHITE, proxy_pairs=0, out=noisy / "none")).verdict is None
    for changes in ({"proxy_pairs": 0}, {"strategy": "synthetic"}, {"real": None}):
        assert not replace(small(noisy, degradation=WHITE), **changes).is_tried
    assert small(noisy, degradation=WHITE).is_tried


def test_a_baseline_that_is_no_network_is_named_before_anything_is_done(noisy: Path) -> None:
    (noisy / "broken.safetensors").write_bytes(b"no")
    for name in ("missing.safetensors", "broken.safetensors"):
        settings = small(noisy, baseline=noisy / name)
        for run in (adapt, describe):
            with pytest.raises(UserError, match=f"--baseline .*{name}"):
                run(settings)
    assert not (noisy / "out").exists()


def test_two_witnesses_count_alike() -> None:
    """The estimated error halved is 3.01 dB; with 1 dB on the pairs, 2.0 in the mean. Noise weighs by its deviation."""
    witness = Witness(lambda restore: Risk((), ()))
    before = Standing([30.0, 32.0], Risk((0.004, 0.001), (0.04, 0.0025)), witness)
    after = Standing([31.0, 33.0], Risk((0.002, 0.0005), (0.04, 0.0025)), witness)
    found = verdict(after, before, "another", "pairs")
    assert found.gain[0] == pytest.approx((1 + 3.0103) / 2, abs=1e-4)
    assert found.word == "better"
    assert "on 2 of yours (an estimated squared error 50% smaller)" in str(found)
    assert verdict(before, after, "another", "pairs").word == "worse"
    assert after.score - before.score == pytest.approx(1 + 3.0103, abs=1e-4)
    hair = verdict(Standing([30.04, 32.04], before.error, witness), before, "another", "pairs")
    assert hair.gain[1] > 0
    assert hair.word == "not shown to be better", "0.02 dB are no gain"
    torn = verdict(Standing([29.0, 31.0], after.error, witness), before, "another", "pairs")
    assert torn.gain[0] == pytest.approx((-1 + 3.0103) / 2, abs=1e-4)
    # An estimate below zero is no error at all, not a gain without end.
    none = verdict(Standing([30.0, 32.0], Risk((-1.0, -1.0), (0.04, 0.0025)), witness), before, "another", "pairs")
    assert none.gain[0] == pytest.approx(5 * math.log10(0.02 / (0.01 * 0.125)), abs=1e-3)
    # Of a witness that counts a quarter, 3.01 dB are worth one on the pairs.
    quarter = Witness(witness.error, "on {count} of them ({change})", weight=0.25)
    few, many = (replace(one, witness=quarter) for one in (before, after))
    weighed = verdict(many, few, "another", "pairs")
    assert weighed.gain[0] == pytest.approx((3 + 3.0103) / 4, abs=1e-4)
    assert weighed.because.endswith("and 25% of +3.01 dB on 2 of them (50% smaller)")
    assert many.score - few.score == pytest.approx(4 * weighed.gain[0] / 3, abs=1e-4)


@pytest.mark.parametrize("weight", [0.5, 0.25])
def test_its_figures_add_up_to_the_gain(weight: float) -> None:
    witness = Witness(lambda restore: Risk((), ()), weight=weight)
    before = Standing([30.0, 32.0], Risk((0.02, 0.005), (0.04, 0.0025)), witness)
    after = Standing([29.9, 32.0], Risk((0.025, 0.005), (0.04, 0.0025)), witness)
    found = verdict(after, before, "another", "pairs")
    gain, pairs_, photographs = (float(each) for each in re.findall(r"([+-][\d.]+) dB(?= on| \()", str(found)))
    assert gain == pytest.approx((1 - weight) * pairs_ + weight * photographs, abs=0.01)
    assert "(30.95 against 31.00)" in found.because
    assert found.because.startswith(
        "the mean of -0.05 dB on 2 pairs" if weight == 0.5 else "75% of -0.05 dB on 2 pairs"
    )


def test_a_scoring_restores_an_image_once_and_a_witness_says_how_many_it_asks_for(noisy: Path) -> None:
    network = UNet(width=4, depth=2)
    seen: list[int] = []
    network.register_forward_pre_hook(lambda _, given: seen.append(given[0].data_ptr()))
    pairs = [(image, image) for image in torch.rand(3, 3, 128, 128)]
    files = sorted((noisy / "real").iterdir())
    alone, witness = (estimate(files, UNet(width=4, depth=2), 0, pairs=known) for known in ([], pairs))
    assert alone is not None
    assert witness is not None
    for one, again in ((alone, 0), (witness, len(pairs))):
        seen.clear()
        found = standing(network, pairs, one, "fp32")
        assert len(seen) == len(pairs) + one.restores - again
        seen.clear()
        error = one.error(lambda x: restore_tensor(network, x, precision="fp32"))
        assert len(seen) == one.restores
        assert found.error == error, "the same as of images that are restored twice"


def test_grey_photographs_among_others_and_small_ones_do_no_harm(noisy: Path) -> None:
    network = UNet(width=4, depth=2)
    files = [save(noisy / "mixed/grey.png", REAL[:160, :160, 0]), *sorted((noisy / "real").iterdir())]
    witness = estimate(files, network, 0)
    assert witness is not None
    assert len(witness.error(lambda x: x).noise) == 3
    image = torch.rand(3, 128, 128)
    pairs = [(image[:1], image[:1]), (image, image), (image[:, :40], image[:, :40])]
    calibrated = estimate(files, network, 0, pairs=pairs)
    assert calibrated is not None
    assert len(calibrated.error(lambda x: x).noise) == 3
    assert calibrated.error(lambda x: x) != witness.error(lambda x: x), "the pairs count"
    tiny = [save(noisy / f"tiny/{side}.png", CLEAN[:side, :side]) for side in (6, 40)]
    like = Matched((("camera", 3000.0),))
    assert trial(small(noisy, proxy_pairs=2), [], like, tiny, []) is None
    some_large = trial_of(like, [*tiny, *sorted((noisy / "clean").iterdir())], 2, 0, None)
    assert all(x.shape == y.shape == (3, 128, 128) for x, y in some_large.judging)


def test_a_run_that_learns_late_is_judged_by_both_witnesses(noisy: Path) -> None:
    """Weights from before have not been asked what they are on the photographs, so that they cannot be the best."""
    late = Neighbor2NeighborSettings(start=0.5)
    settings = small(
        noisy, strategy="neighbor2neighbor", neighbor2neighbor=late, degradation=WHITE, proxy_pairs=4, validate_every=1
    )
    summary = adapt(settings)
    assert summary.verdict is not None
    assert summary.verdict.than == "the photographs as they are"
    assert "an estimated squared error" in summary.verdict.because
    lines = [line for line in read_log(settings.out / "log.jsonl") if "validation_psnr" in line]
    assert [line["step"] for line in lines if "score" not in line] == [1, 2, 3]
    both = {line["step"]: line["score"] for line in lines if "score" in line}
    assert list(both) == [3, 4, 5, 6]
    assert summary.validation is not None
    assert summary.validation["step"] == max(both, key=lambda step: both[step])
    again = adapt(settings)
    assert again.verdict == summary.verdict, "also where the run is looked at again"
    mine = adapt(replace(settings, validation=pairs(noisy / "validation"), out=noisy / "mine"))
    assert mine.verdict is not None
    assert "estimated" not in mine.verdict.because


@pytest.mark.parametrize(("every", "scored"), [(6, []), (7, []), (3, [3, 6])])
def test_weights_that_are_scored_once_are_shown_on_pairs_alone(noisy: Path, every: int, scored: list[int]) -> None:
    network, path = UNet(width=4, depth=2), noisy / "start.safetensors"
    save_weights(path, network.state_dict(), architecture="unet", arguments=network.arguments, task="denoise")
    start = RestorerSettings(width=4, depth=2, channels=3, start=path)
    settings = small(noisy, degradation=WHITE, proxy_pairs=4, restorer=start, validate_every=every)
    summary = adapt(settings)
    lines = [line for line in read_log(settings.out / "log.jsonl") if "validation_psnr" in line]
    assert [line["step"] for line in lines if "score" in line] == scored
    assert lines[-1]["step"] == 6
    assert summary.validation is not None
    assert summary.verdict is not None
    assert "an estimated squared error" in summary.verdict.because, "the photographs judge, all the same"


@pytest.mark.parametrize("kind", ["clean", "pairs"])
def test_rain_is_tried_on_rain_that_is_like_theirs(noisy: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rain, "SIMULATIONS", 20)
    pairs(noisy / "pairs", size=200)
    given = {"clean": None, "pairs": None} | {kind: noisy / kind}
    settings = small(noisy, task="derain", **given)
    assert adapt(replace(settings, proxy_pairs=0, out=noisy / "none")).verdict is None
    summary = adapt(replace(settings, proxy_pairs=2))
    verdict = summary.verdict
    assert verdict is not None
    assert summary.validation is not None, "the best weights are shipped"
    assert "2 clean photographs degraded as yours look" in str(verdict)
    assert settings.matches == (kind == "clean")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["matched", "camera-shake"])
def test_blur_is_tried_on_kernels_and_on_photographs_blurred_again(noisy: Path, kind: str) -> None:
    settings = small(noisy, task="deblur", degradation=DegradationSettings(kind=kind), proxy_pairs=2)
    summary = adapt(settings)
    assert summary.verdict is not None
    assert " dB on 2 clean photographs degraded as yours look (" in summary.verdict.because
    assert " dB on 2 of yours, restored and blurred again (which match with" in summary.verdict.because
    assert summary.validation is not None
    assert "score" in summary.validation


@pytest.mark.slow
def test_weights_from_before_a_teacher_are_not_chosen_for_blur(noisy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the witness says, they would be: it does not see what a teacher takes away."""
    steps = iter(range(100))
    monkeypatch.setattr(Standing, "score", property(lambda self: -next(steps)))  # the earlier, the better
    settings = small(
        noisy, task="deblur", strategy="mean-teacher", degradation=DegradationSettings(kind="camera-shake"),
        mean_teacher=MeanTeacherSettings(start=0.5), proxy_pairs=2, validate_every=1,
    )  # fmt: skip
    summary = adapt(settings)
    assert summary.validation is not None
    assert summary.validation["step"] == 4, "the first after the third of six"


def test_blur_that_cannot_be_found_is_no_witness(noisy: Path) -> None:
    like = MatchedBlur(torch.ones(1, 1, 1))
    tiny = save(noisy / "tiny/a.png", CLEAN[:60, :60])
    assert witness_of(like, [tiny], None, 0) is None
    assert witness_of(like, [*sorted((noisy / "real").iterdir()), tiny], None, 0) is not None
    assert witness_of(Matched((("white", 5.0),)), [tiny], None, 0) is None, "without a network noise tells nothing"
    flat = small(noisy, task="deblur", real=noisy / "tiny", degradation=DegradationSettings(kind="camera-shake"))
    assert adapt(replace(flat, proxy_pairs=2)).verdict is None
