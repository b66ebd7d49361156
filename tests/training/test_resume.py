"""A run that was stopped, in whatever way, ends with the bits of one that was not."""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from noiseda.config import AdaptSettings, ObjectiveSettings, PredictorSettings, RestorerSettings
from noiseda.errors import Interrupted, UserError
from noiseda.strategies import PseudoTargetsSettings, RedegradationSettings, ScoreDistillationSettings
from noiseda.training import adapt, checkpoints
from noiseda.training.ema import MovingAverage
from noiseda.training.logger import read_log
from noiseda.training.run_directory import check_claim, claim_run_directory
from tests.forks import PROCESSES
from tests.training.photographs import folder, pairs, small


def start(settings: AdaptSettings) -> Any:
    process = PROCESSES.Process(target=_adapt, args=(settings,))
    process.start()
    return process


def _adapt(settings: AdaptSettings) -> None:
    torch.set_num_threads(1)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (until the end of the process)
    adapt(settings)


def assert_same_result(first: Path, second: Path) -> None:
    """The shipped weights are equal bit by bit, and so is all that the last checkpoint holds."""
    for name in ("restorer.safetensors", "best.safetensors"):
        assert (first / name).exists() == (second / name).exists()
        if (first / name).exists():
            one, other = load_file(first / name), load_file(second / name)
            assert one.keys() == other.keys()
            assert all(torch.equal(one[key], other[key]) for key in one)
    one, other = (checkpoints.latest(out / "checkpoints") for out in (first, second))
    assert one is not None
    assert other is not None
    for texts in ("files", "made_by"):
        assert one.pop(texts) == other.pop(texts)
    assert one.pop("seconds") > 0
    assert other.pop("seconds") > 0
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def steps_of(out: Path, kind: str = "loss") -> list[int]:
    return [int(line["step"]) for line in read_log(out / "log.jsonl") if kind in line]


@pytest.mark.slow
def test_a_run_killed_ten_times_at_random_ends_with_the_bits_of_an_unbroken_one(where: Path) -> None:
    pairs(where / "validation")
    whole = small(
        where,
        steps=30,
        gradient_accumulation=2,
        validation=where / "validation",
        predictor=PredictorSettings(width=8, channel_mults=[1, 2], patch_size=2, dropout=0.2),
        out=where / "whole",
        cache=where / "cache",
    )
    broken = replace(whole, out=where / "broken")
    unbroken = start(whole)

    chance = random.Random(20261123)
    log = broken.out / "log.jsonl"
    for step in sorted(chance.sample(range(1, 30), 10)):
        before = log.stat().st_ino if log.exists() else None
        process = start(broken)
        # A run writes its log anew when it begins.
        while not (log.exists() and log.stat().st_ino != before and max(steps_of(broken.out), default=0) >= step):
            assert process.is_alive(), "the run ended by itself"
            time.sleep(0.002)
        time.sleep(chance.random() * 0.02)  # anywhere within a step, or while a checkpoint is written
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert not (broken.out / "summary.json").exists()
    last = start(broken)
    for process in (unbroken, last):
        process.join()
        assert process.exitcode == 0

    assert_same_result(where / "whole", where / "broken")
    assert steps_of(broken.out) == list(range(1, 31))
    assert steps_of(broken.out, "validation_psnr") == [5, 10, 15, 20, 25, 30]
    assert not list(broken.out.rglob("*.part")), "what was cut off while it was written is cleared away"
    assert [path.name for path in sorted((broken.out / "checkpoints").iterdir())] == [
        "step-00000027.pt",
        "step-00000030.pt",
    ]


CASES: dict[str, dict[str, Any]] = {
    "contrast": {},
    "no contrast, all channels shuffled": {"objective": ObjectiveSettings(contrast=False, shuffle="channels")},
    "synthetic only": {"strategy": "synthetic"},
    "real images late": {"strategy": "neighbor2neighbor"},
    "pseudo-targets": {"strategy": "pseudo-targets", "pseudo_targets": PseudoTargetsSettings(start=0.3)},
    "score distillation": {
        "strategy": "score-distillation",
        "score_distillation": ScoreDistillationSettings(start=0.3),
    },
    "re-degradation": {"strategy": "redegradation", "redegradation": RedegradationSettings(start=0.3)},
    "paired": {"clean": None, "pairs": "pairs"},
    "unpaired reference": {"reference": "clean"},
    "grey": {"restorer": RestorerSettings(width=4, depth=2, channels=1)},
    "bf16, constant rate, not clipped": {"precision": "bf16", "lr_schedule": "constant", "max_grad_norm": 0.0},
    "accumulated": {"gradient_accumulation": 3},
    "workers": {"workers": 2},
    "levels by importance": {"objective": ObjectiveSettings(sampling="importance"), "gradient_accumulation": 2},
    "levels as a curriculum": {"objective": ObjectiveSettings(sampling="curriculum", prediction="v"), "workers": 2},
    "a transformer that attends to its conditions": {
        "predictor": PredictorSettings(
            kind="transformer", condition_by="cross-attention", width=8, patch_size=2, dropout=0.2
        )
    },
    "a U-Net modulated by its conditions": {
        "predictor": PredictorSettings(
            width=8, patch_size=2, condition_by="modulation", attention_levels=[0], dropout=0.2
        ),
        "recompute": True,
    },
}


def stop_after(last: int, patch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in a step of a run."""
    update = MovingAverage.update

    def stop(self: MovingAverage, network: torch.nn.Module, step: int) -> None:
        update(self, network, step)
        if step == last - 1:
            os.kill(os.getpid(), signal.SIGINT)

    patch.setattr(MovingAverage, "update", stop)


@pytest.mark.slow
@pytest.mark.usefixtures("thrown_away")
@pytest.mark.parametrize("last", [62, 66, 67, 68])
def test_a_run_stopped_while_it_blows_up_continues_exactly(
    where: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    whole = small(where, steps=80, strategy="synthetic", out=where / "whole", cache=where / "cache")
    assert adapt(whole).blew_up == 66
    broken = replace(whole, out=where / "broken")
    with monkeypatch.context() as patch:
        stop_after(last, patch)
        with pytest.raises(Interrupted):
            adapt(broken)
    assert steps_of(broken.out) == list(range(1, last + 1))
    assert adapt(broken).blew_up == 66
    assert_same_result(where / "whole", where / "broken")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_stopped_run_continues_exactly(where: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    folder(where / "clean")
    pairs(where / "pairs")
    changes = {name: where / value if name in ("pairs", "reference") else value for name, value in CASES[case].items()}
    whole = small(where, out=where / "whole", cache=where / "cache", **changes)
    adapt(whole)
    broken = replace(whole, out=where / "broken")
    with monkeypatch.context() as patch:
        stop_after(4, patch)
        with pytest.raises(Interrupted):
            adapt(broken)
    assert steps_of(broken.out) == [1, 2, 3, 4]
    adapt(broken)
    assert_same_result(where / "whole", where / "broken")
    assert steps_of(broken.out) == [1, 2, 3, 4, 5, 6]


def test_a_finished_run_is_left_as_it_is(where: Path) -> None:
    settings = small(where)
    first = adapt(settings)
    weights = load_file(first.weights)
    again = load_file(adapt(settings).weights)
    assert all(torch.equal(weights[key], again[key]) for key in weights)
    assert steps_of(settings.out) == [1, 2, 3, 4, 5, 6]
    assert json.loads((settings.out / "summary.json").read_text())["terms"] == first.terms


def test_what_a_kill_cut_off_is_cleared_away(where: Path) -> None:
    settings = small(where)
    settings.out.mkdir()
    (settings.out / ".0123.part").write_bytes(b"half of something")
    adapt(settings)
    assert not list(settings.out.rglob("*.part"))


def test_it_may_be_watched_otherwise_when_it_continues(where: Path) -> None:
    settings = small(where)
    adapt(settings)
    adapt(replace(settings, training=replace(settings.training, log_every=2, checkpoint_every=4, workers=1)))


def test_other_settings_are_refused_with_flag_and_both_values(where: Path) -> None:
    settings = small(where)
    adapt(settings)
    longer = replace(settings, seed=5, training=replace(settings.training, steps=9))
    with pytest.raises(UserError) as refused:
        adapt(longer)
    assert "--training.steps was 6, now is 9" in str(refused.value)
    assert "--seed was 0, now is 5" in str(refused.value)
    assert str(settings.out) in str(refused.value)


def test_how_to_train_a_finished_run_for_longer_is_said(where: Path) -> None:
    settings = small(where)
    longer = replace(settings, training=replace(settings.training, steps=9))
    weights = adapt(settings).weights
    with pytest.raises(UserError, match=rf"go on from its finished weights: --weights {weights} --out NEW"):
        adapt(longer)
    weights.unlink()  # as where it was stopped before its end
    with pytest.raises(UserError, match="a run keeps the one it began with"):
        adapt(longer)


def test_the_samples_of_a_step_may_be_cut_otherwise_when_it_continues(where: Path) -> None:
    settings = small(where, batch=4)
    adapt(settings)
    cut = replace(settings, training=replace(settings.training, batch=2, gradient_accumulation=2))
    assert adapt(cut).steps == 6
    with pytest.raises(UserError, match=r"samples a step were 4, now are 5: .* --training.batch 4 would keep 4"):
        adapt(replace(settings, training=replace(settings.training, batch=5)))
    assert "batch: 2" in (settings.out / "settings.yaml").read_text(), "a refused command leaves no trace"


@pytest.mark.parametrize(
    ("batch", "accumulate", "processes", "advice"),
    [
        (2, 1, 1, "--training.batch 12 would keep 12"),
        (2, 2, 2, "--training.batch 3 would keep 12"),
        (2, 2, 4, "--training.batch 3 --training.gradient_accumulation 1 would keep 12"),
        (2, 1, 5, "no --training.batch keeps 12, which cannot be split between 5 processes"),
    ],
)
def test_what_would_keep_the_samples_of_a_step_is_said(
    where: Path, batch: int, accumulate: int, processes: int, advice: str
) -> None:
    settings = small(where, batch=batch, gradient_accumulation=accumulate)
    claim_run_directory(settings)
    checkpoints.save(settings.out / "checkpoints", 1, {"step": 1, "samples": 12})
    with pytest.raises(UserError) as refused:
        check_claim(settings, processes)
    assert advice in str(refused.value)
    check_claim(small(where, batch=12 // (2 * accumulate), gradient_accumulation=accumulate), 2)


def test_before_the_first_checkpoint_settings_may_change(where: Path) -> None:
    wrong = small(where, real=where / "nothing")
    (where / "nothing").mkdir()
    (where / "nothing/a.png").write_bytes(b"")
    with pytest.raises(UserError, match="--real"):
        adapt(wrong)
    assert adapt(small(where)).steps == 6


@pytest.mark.parametrize("change", ["added", "removed", "renamed", "replaced", "mended"])
def test_other_images_are_refused(where: Path, change: str) -> None:
    broken = where / "real/broken.png"
    broken.write_bytes(b"")
    settings = small(where)
    adapt(settings)
    image = where / "real/1.png"
    if change == "added":
        (where / "real/new.png").write_bytes(image.read_bytes())
    elif change == "removed":
        image.unlink()
    elif change == "renamed":
        image.rename(where / "real/other.png")
    elif change == "replaced":
        image.write_bytes((where / "clean/1.png").read_bytes())
    else:
        broken.write_bytes(image.read_bytes())
    with pytest.raises(UserError, match=r"images of the run .* have changed"):
        adapt(settings)


def test_a_checkpoint_of_another_network_is_refused(where: Path) -> None:
    other = small(where, out=where / "other", restorer=RestorerSettings(width=8, depth=2))
    adapt(other)
    settings = small(where)
    adapt(settings)
    path = settings.out / "checkpoints/step-00000006.pt"
    path.write_bytes((other.out / "checkpoints" / path.name).read_bytes())
    with pytest.raises(UserError, match="not of a run with these settings"):
        adapt(settings)


def test_a_damaged_checkpoint_is_passed_over_and_the_end_is_the_same(
    where: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = small(where)
    adapt(settings)
    weights = load_file(settings.out / "restorer.safetensors")
    newest = settings.out / "checkpoints/step-00000006.pt"
    newest.write_bytes(newest.read_bytes()[:5000])
    adapt(settings)
    assert str(newest) in caplog.text
    again = load_file(settings.out / "restorer.safetensors")
    assert all(torch.equal(weights[key], again[key]) for key in weights)
    assert Counter(steps_of(settings.out)) == Counter(range(1, 7))
