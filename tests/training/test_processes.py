"""Several processes under torchrun: one run, which is the same however it is carried out.

Launches cost seconds: one pair of processes carries out all runs of :func:`together`, which most tests then look at.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from noiseda.config import AdaptSettings, ObjectiveSettings
from noiseda.errors import UserError
from noiseda.settings_file import write_settings
from noiseda.training import adapt, checkpoints
from noiseda.training.logger import read_log
from tests.training.photographs import REAL, as_flags, folder, pairs, small

pytestmark = pytest.mark.slow

# Each process keeps what it holds when its run ends; process 1 can be asked to stop after its third step; a run can be
# made to blow up: at step 61 of 80 its weights become ten times as large, and process 0 alone sees it in its loss.
PATCHES = """
import os, signal, sys, torch
from noiseda.adaptation import SyntheticOnly
from noiseda.training import adapt, fitting
from noiseda.training.ema import MovingAverage
from noiseda.training.sharding import local

RANK = os.environ["RANK"]
update = MovingAverage.update
def stop_at_3(self, network, step):
    update(self, network, step)
    if step == 2 and os.environ.get("STOP") and RANK == "1":
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # as from a scheduler and a launcher
MovingAverage.update = stop_at_3

losses, after_step = SyntheticOnly.losses, SyntheticOnly.after_step
def blown_losses(self, terms, progress):
    values, blown = losses(self, terms, progress), os.environ.get("BLOW")
    self.blown = blown and progress == 0.75
    if blown and progress > 0.75 and RANK == "1":
        values["loss"] = values["loss"] * 1e-9  # of the gradient, process 0's part is left
    return values
def after_blown_step(self, progress):
    after_step(self, progress)
    if getattr(self, "blown", False):
        with torch.no_grad():
            for weight in self.restorer.parameters():
                weight.mul_(10.0)
SyntheticOnly.losses, SyntheticOnly.after_step = blown_losses, after_blown_step

finish = fitting.finish
def finish_and_keep(finished):
    folder, state = finished.out.parent, finished.optimizer.state_dict()["state"]
    name = f"{finished.out.name}.rank{RANK}.pt"
    weights = {key: local(value) for key, value in finished.objective.state_dict().items()}
    moments = [local(values[key]) for values in state.values() for key in ("exp_avg", "exp_avg_sq")]
    torch.save({"weights": weights, "moments": sum(moment.numel() for moment in moments)}, folder / name)
    return finish(finished)
fitting.finish = finish_and_keep
"""

COMMAND = "from noiseda.cli import main\nsys.exit(main(sys.argv[1:]))\n"

# Words: stop, go or blow, and a file of settings; one run after another.
SERIES = """
from noiseda.cli import parse
from noiseda.config import AdaptSettings
from noiseda.errors import Interrupted
torch.set_num_threads(1)
for word, path in zip(sys.argv[1::2], sys.argv[2::2]):
    os.environ["STOP"] = "1" if word == "stop" else ""
    os.environ["BLOW"] = "1" if word == "blow" else ""
    try:
        adapt(AdaptSettings(**parse(["adapt", "--config", path])[1]))
        assert word != "stop"
    except Interrupted:
        assert word == "stop"
"""

DEVICE = "cpu" if torch.cuda.is_available() else "auto"
TOLERANCE = 2e-6
"""Largest difference of a restorer's weight, of about 0.1, between one run and another that carries out the same on
other processes: sums are rounded in another order."""
PREDICTOR_TOLERANCE = 1e-4
"""The same for the noise predictor's, of up to 1: Adam divides by the size of a gradient, which may be almost 0."""


def launch(where: Path, body: str, *words: str, stop: bool = False) -> subprocess.CompletedProcess[str]:
    script = where / "command.py"
    script.write_text(PATCHES + body)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*torchrun, str(script), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "STOP": "1" if stop else ""},
    )


HINGES = {"active": 0.1, "at-times": 0.0}


def run_of(where: Path, name: str, hinge: str = "at-times", **changes: Any) -> AdaptSettings:
    objective = ObjectiveSettings(margin=HINGES[hinge])
    common = {"steps": 8, "precision": "fp32", "device": DEVICE, "objective": objective, "cache": where / "cache"}
    common = {"learning_rate": 1e-3, **common}  # rounding grows with it
    return small(where, out=where / name, **{**common, **changes})


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Runs of two processes, whole and in parts, sharded and not; beside them those of one process with all samples."""
    where = tmp_path_factory.mktemp("together")
    folder(where / "clean")
    folder(where / "real", REAL)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for hinge in HINGES:
        adapt(run_of(where, f"one-{hinge}", hinge, batch=4))
    half = run_of(where, "one-then-two", batch=4, steps=8)
    stopped_at(half, 3)

    orders: list[tuple[str, AdaptSettings]] = []
    for hinge in HINGES:
        orders.append(("go", run_of(where, f"two-{hinge}", hinge)))
        orders.append(("go", run_of(where, f"sharded-{hinge}", hinge, shard=True)))
    orders += [
        ("go", replace(half, training=replace(half.training, batch=2))),
        ("stop", run_of(where, "two-then-one")),
        ("stop", run_of(where, "sharded-then-one", shard=True)),
        ("stop", run_of(where, "sharded-twice", shard=True)),
        ("go", run_of(where, "sharded-twice", shard=True)),
        ("stop", run_of(where, "sharded-then-not", shard=True)),
        ("go", run_of(where, "sharded-then-not")),
        ("go", run_of(where, "sharded-twice")),  # finished: nothing is left to do
        ("blow", run_of(where, "two-blown", strategy="synthetic", steps=80)),
        (
            "go",
            run_of(
                where, "sharded-accumulated", "active", batch=1, gradient_accumulation=2, shard=True, recompute=True
            ),
        ),
    ]
    words = []
    for number, (word, settings) in enumerate(orders):
        words += [word, str(where / f"{number}.yaml")]
        write_settings(settings, Path(words[-1]))
    done = launch(where, SERIES, *words)
    assert done.returncode == 0, done.stderr
    for name in ("two-then-one", "sharded-then-one"):
        adapt(run_of(where, name, batch=4))
    yield where
    torch.set_num_threads(threads)


def stopped_at(settings: AdaptSettings, step: int) -> None:
    """A run of one process, cut off after a checkpoint at ``step``."""
    adapt(replace(settings, training=replace(settings.training, checkpoint_every=step)))
    for path in checkpoints.found(settings.out / "checkpoints"):
        if path.name != f"step-{step:08d}.pt":
            path.unlink()


def last(where: Path, name: str) -> dict[str, Any]:
    state = checkpoints.latest(where / name / "checkpoints")
    assert state is not None
    assert state["step"] == 8
    return state


def assert_same_run(where: Path, name: str, other: str) -> None:
    """All that the last checkpoints hold, and the shipped weights, are equal within the stated tolerances."""
    one, two = last(where, name), last(where, other)
    assert one["samples"] == two["samples"] == 4
    assert one["strategy"].keys() == two["strategy"].keys()
    for key, tensor in one["strategy"].items():
        tolerance = TOLERANCE if key.startswith("restorer.") else PREDICTOR_TOLERANCE
        torch.testing.assert_close(
            two["strategy"][key], tensor, rtol=0, atol=tolerance, msg=lambda m, k=key: f"{k}: {m}"
        )
    torch.testing.assert_close(two["optimizer"], one["optimizer"], rtol=0, atol=1e-7)
    shipped, expected = (load_file(where / run / "restorer.safetensors") for run in (other, name))
    torch.testing.assert_close(shipped, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("hinge", HINGES)
@pytest.mark.parametrize("name", ["two", "sharded"])
def test_two_processes_train_what_one_of_twice_the_batch_trains(together: Path, name: str, hinge: str) -> None:
    """The hinge compares means over all processes; each alone would decide otherwise."""
    assert_same_run(together, f"one-{hinge}", f"{name}-{hinge}")


def test_the_runs_went_somewhere_to_be_compared(together: Path) -> None:
    from noiseda.training.build import build_objective

    start = build_objective(run_of(together, "start", batch=4)).state_dict()
    end = last(together, "one-at-times")["strategy"]
    moved: dict[str, Tensor] = {key: (end[key] - start[key]).abs().max() for key in start}
    assert max(moved.values()) > 100 * TOLERANCE
    assert max(value for key, value in moved.items() if key.startswith("denoiser.")) > 10 * PREDICTOR_TOLERANCE
    contrast = [line["contrast"] for line in read_log(together / "one-at-times/log.jsonl")]
    assert min(map(abs, contrast)) == 0 < max(contrast), "the hinge is to be active in some steps only"


@pytest.mark.parametrize(
    "name",
    ["one-then-two", "two-then-one", "sharded-then-one", "sharded-then-not", "sharded-twice"],
)
def test_a_run_goes_on_with_other_processes_as_if_nothing_had_changed(together: Path, name: str) -> None:
    """The samples and draws after the change are those of the unbroken run, as the weights show."""
    assert_same_run(together, "one-at-times", name)
    lines = [int(line["step"]) for line in read_log(together / name / "log.jsonl") if "loss" in line]
    assert lines == list(range(1, 9))


def test_sharded_gradients_accumulate_and_activations_are_recomputed(together: Path) -> None:
    """A step of two batches has the samples of one; a hinge that is active in all of them decides the same."""
    assert_same_run(together, "one-active", "sharded-accumulated")


def test_processes_agree_that_a_run_has_blown_up(together: Path) -> None:
    """The loss grows in process 0 alone; were each to decide by itself, process 1 would go on with the lost weights."""
    summary = json.loads((together / "two-blown/summary.json").read_text())
    assert (summary["blew_up"], summary["rate"]) == (66, 0.5)
    first, second = (torch.load(together / f"two-blown.rank{rank}.pt")["weights"] for rank in (0, 1))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_a_sharded_run_resumes_bit_by_bit(together: Path) -> None:
    once, twice = last(together, "sharded-at-times"), last(together, "sharded-twice")
    for part in ("strategy", "average", "optimizer"):
        torch.testing.assert_close(once[part], twice[part], rtol=0, atol=0)


def test_each_process_keeps_half_of_a_sharded_predictor_and_all_of_the_restorer(together: Path) -> None:
    def held(name: str, rank: int, part: str) -> int:
        kept = torch.load(together / f"{name}.rank{rank}.pt")
        if part == "moments":
            return int(kept["moments"])
        return sum(tensor.numel() for key, tensor in kept["weights"].items() if key.startswith(part))

    whole = held("two-active", 0, "denoiser.")
    halves = [held("sharded-active", rank, "denoiser.") for rank in (0, 1)]
    assert sum(halves) == whole
    assert max(halves) < 0.51 * whole
    restorer = held("two-active", 0, "restorer.")
    assert held("sharded-active", 1, "restorer.") == restorer
    assert held("two-active", 0, "moments") == 2 * (restorer + whole)
    assert held("sharded-active", 0, "moments") == 2 * (restorer + halves[0])


def test_another_number_of_samples_a_step_is_refused_with_what_would_keep_it(together: Path) -> None:
    with pytest.raises(UserError, match=r"samples a step were 4, now are 2: 1 process x --training.batch 2 .*batch 4 "):
        adapt(run_of(together, "two-active", "active", batch=2))


def test_two_processes_make_one_run_and_stop_and_continue_as_one(where: Path) -> None:
    settings = small(where, device=DEVICE, steps=5, gradient_accumulation=2, validation=pairs(where / "validation"))
    whole = replace(settings, out=where / "whole")
    done = launch(where, COMMAND, *as_flags(whole))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("adapted network") == 1
    assert [line["step"] for line in read_log(whole.out / "log.jsonl") if "loss" in line] == [1, 2, 3, 4, 5]
    assert json.loads((whole.out / "summary.json").read_text())["steps"] == 5
    first, second = (torch.load(where / f"whole.rank{rank}.pt")["weights"] for rank in (0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)

    alone = load_file(adapt(small(where, steps=5, gradient_accumulation=2, out=where / "alone")).weights)
    shipped = load_file(whole.out / "restorer.safetensors")
    assert not all(torch.equal(alone[key], shipped[key]) for key in alone), "the second process brought its own images"

    stopped = launch(where, COMMAND, *as_flags(settings), stop=True)
    assert stopped.returncode != 0
    assert stopped.stderr.count("stopped after step 3; the same command continues from here") == 1
    done = launch(where, COMMAND, *as_flags(settings))
    assert done.returncode == 0, done.stderr
    assert "after step 3" in done.stderr
    again = load_file(settings.out / "restorer.safetensors")
    assert all(torch.equal(shipped[key], again[key]) for key in shipped)
