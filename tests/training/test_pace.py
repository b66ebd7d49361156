"""A run of so many minutes: how many steps fit is measured, once."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from noiseda.config import AdaptSettings, TrainingSettings
from noiseda.errors import Interrupted, UserError
from noiseda.training import StopRequest, adapt, checkpoints, prepare, train
from noiseda.training.cost import describe
from noiseda.training.pace import LEAST, SCORES, TRIED, Fitting, Pace, kept_fitting, pace_of
from noiseda.training.plan import Evidence, resolve
from tests.training.photographs import small


def given_minutes(where: Path, minutes: float) -> AdaptSettings:
    settings = small(where, strategy="synthetic", checkpoint_every=5)
    return replace(settings, minutes=minutes, training=replace(settings.training, steps=TrainingSettings().steps))


def test_a_run_of_minutes_is_one_of_the_steps_that_fit(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = given_minutes(where, 0.01)
    summary = adapt(settings)
    said = capsys.readouterr().err
    assert "measuring this machine" in said
    assert f"step {TRIED}/{TRIED}" not in said
    assert f"{summary.steps} steps, by --minutes 0.01" in said
    # On a fast machine more than the least may fit.
    assert (f"--minutes 0.01 is too short here: {LEAST} steps are the least" in said) == (summary.steps == LEAST)
    assert summary.steps >= LEAST
    plan = yaml.safe_load((settings.out / "plan.yaml").read_text())
    assert (plan["minutes"], plan["training"]["steps"]) == (0.01, summary.steps)
    assert 1 <= -(-summary.steps // plan["training"]["validate_every"]) <= SCORES
    # The trial leaves no trace: the same weights as of a run that is told its steps.
    told = replace(settings.training, steps=summary.steps)
    other = adapt(replace(settings, minutes=None, out=where / "told", training=told))
    one, two = load_file(summary.weights), load_file(other.weights)
    assert all((one[name] == two[name]).all() for name in one)


def test_a_stop_while_the_machine_is_measured_says_so(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = prepare(small(where, strategy="synthetic"))
    with StopRequest() as stop:
        stop.signal_number = signal.SIGINT
        with pytest.raises(Interrupted):
            train(run, stop, trial=True)
    assert "stopped while this machine was measured, before the first step;" in capsys.readouterr().err
    assert not (run.out / "log.jsonl").exists()


@pytest.mark.slow
def test_a_run_that_goes_on_keeps_its_steps(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = given_minutes(where, 0.01)
    first = adapt(settings)
    for path in checkpoints.found(settings.out / "checkpoints")[1:]:
        path.unlink()
    (settings.out / "restorer.safetensors").unlink()
    capsys.readouterr()
    every = yaml.safe_load((settings.out / "plan.yaml").read_text())["training"]["validate_every"]
    scores = -(-first.steps // every)
    again = adapt(settings)
    assert "measuring" not in capsys.readouterr().err
    assert again.steps == first.steps
    assert kept_fitting(settings) == Fitting(first.steps, scores)
    assert kept_fitting(replace(settings, minutes=3.0)) is None
    with pytest.raises(UserError, match="minutes"):
        adapt(replace(settings, minutes=3.0))


def test_minutes_and_steps_are_not_both_given() -> None:
    with pytest.raises(UserError, match=r"either --minutes or --training\.steps"):
        AdaptSettings(real=Path("r"), minutes=5, training=TrainingSettings(steps=10)).check()


def test_scores_and_the_verdict_take_their_share() -> None:
    assert Pace(step=0.1, score=0.0).within(100) == Fitting(900, SCORES)
    assert Pace(step=0.1, score=5.0).within(100) == Fitting(400, 4), "90 s less 10 scorings"
    assert Pace(step=0.1, score=7.0).within(100) == Fitting(340, 2), "four would take more than 20 s"
    assert Pace(step=0.1, score=12.0).within(100) == Fitting(60, 1), "the end is always scored"
    assert Pace(step=0.1, score=50.0).within(100) == Fitting(LEAST, 1)


def test_a_trial_is_short_and_leaves_nothing(tmp_path: Path) -> None:
    tried: list[AdaptSettings] = []

    def trial(short: AdaptSettings) -> Pace:
        tried.append(short)
        assert short.out.is_dir()
        return Pace(TRIED * 2.0, 1.0)

    settings = AdaptSettings(out=tmp_path / "out")
    assert pace_of(trial, settings) == Pace(2.0, 1.0)
    assert tried[0].training.steps == TRIED
    assert tried[0].cache == tmp_path / "out/cache"
    assert not tried[0].out.exists()


def test_a_plan_says_why() -> None:
    asked = AdaptSettings(real=Path("r"), minutes=10)
    plan = resolve(asked, Evidence(fitting=lambda settings: Fitting(400, 2)))
    training = plan.settings.training
    assert (training.steps, training.validate_every, training.picture_every) == (400, 200, 100)
    assert plan.because[-1] == "400 steps, by --minutes 10"
    assert resolve(asked).settings.training.steps == TrainingSettings().steps, "nothing was measured"


def test_a_dry_run_says_that_it_will_be_measured(where: Path) -> None:
    assert "as many steps as fit into 2 minutes" in str(describe(given_minutes(where, 2.0)))
