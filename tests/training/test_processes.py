"""Several processes under torchrun: one run, in which each draws its own batches."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from noiseda.config import AdaptSettings, ObjectiveSettings
from noiseda.training import adapt
from noiseda.training.journal import read_log
from tests.training.photographs import as_flags, pairs, small

# The command; each process keeps what it holds at its end, and process 1 can be asked to stop after its third step.
COMMAND = """
import os, signal, sys, torch
from noiseda.cli import main
from noiseda.training import run
from noiseda.training.ema import MovingAverage

update = MovingAverage.update
def stop_at_3(self, network, step):
    update(self, network, step)
    if step == 2:
        os.kill(os.getpid(), signal.SIGTERM)
if os.environ.get("STOP") and os.environ["RANK"] == "1":
    MovingAverage.update = stop_at_3

ship = run.ship
def ship_and_keep(finished):
    torch.save(finished.strategy.state_dict(), finished.settings.out.parent / f"rank{os.environ['RANK']}.pt")
    return ship(finished)
run.ship = ship_and_keep
sys.exit(main(sys.argv[1:]))
"""


def launch(where: Path, settings: AdaptSettings, *, stop: bool = False) -> subprocess.CompletedProcess[str]:
    script = where / "command.py"
    script.write_text(COMMAND)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*torchrun, str(script), *as_flags(settings)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "STOP": "1" if stop else ""},
    )


DEVICE = "cpu" if torch.cuda.is_available() else "auto"


TOLERANCE = 2e-5
"""Largest difference of a weight, of about 0.1, between two processes and one: sums are rounded in another order."""


@pytest.mark.parametrize("margin", [0.1, 0.0], ids=["the hinge is active", "at times"])
def test_two_processes_train_what_one_of_twice_the_batch_trains(where: Path, margin: float) -> None:
    """The hinge compares means over all processes; each alone would decide otherwise."""
    objective = ObjectiveSettings(margin=margin)
    common = {"steps": 8, "precision": "fp32", "device": DEVICE, "objective": objective}
    settings = small(where, batch=2, out=where / "two", **common)
    done = launch(where, settings)
    assert done.returncode == 0, done.stderr
    adapt(small(where, batch=4, out=where / "one", **common))
    two, one = (load_file(where / out / "restorer.safetensors") for out in ("two", "one"))
    start = adapt(small(where, batch=4, out=where / "start", **{**common, "steps": 1}))
    moved = max(float((one[key] - tensor).abs().max()) for key, tensor in load_file(start.weights).items())
    assert moved > 100 * TOLERANCE, "the runs must have gone somewhere to be compared"
    for key in one:
        torch.testing.assert_close(two[key], one[key], rtol=0, atol=TOLERANCE)


def test_a_run_goes_on_with_another_number_of_processes(where: Path) -> None:
    settings = small(where, steps=6, device=DEVICE)
    launch(where, settings, stop=True)
    summary = adapt(settings)
    assert summary.steps == 6
    lines = [line for line in read_log(settings.out / "log.jsonl") if "loss" in line]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    done = launch(where, replace(settings, out=where / "out"))  # finished: two processes have nothing left to do
    assert done.returncode == 0, done.stderr


def test_two_processes_make_one_run_and_stop_and_continue_as_one(where: Path) -> None:
    settings = small(where, device=DEVICE, steps=5, accumulate=2, validation=pairs(where / "validation"))
    whole = replace(settings, out=where / "whole")
    done = launch(where, whole)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("adapted network") == 1
    assert [line["step"] for line in read_log(whole.out / "log.jsonl") if "loss" in line] == [1, 2, 3, 4, 5]
    assert json.loads((whole.out / "summary.json").read_text())["steps"] == 5
    first, second = (torch.load(where / f"rank{rank}.pt") for rank in (0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)

    alone = load_file(adapt(small(where, steps=5, accumulate=2, out=where / "alone")).weights)
    shipped = load_file(whole.out / "restorer.safetensors")
    assert not all(torch.equal(alone[key], shipped[key]) for key in alone), "the second process brought its own images"

    stopped = launch(where, settings, stop=True)
    assert stopped.returncode != 0
    assert stopped.stderr.count("stopped after step 3; the same command continues from here") == 1
    done = launch(where, settings)
    assert done.returncode == 0, done.stderr
    assert "after step 3" in done.stderr
    again = load_file(settings.out / "restorer.safetensors")
    assert all(torch.equal(shipped[key], again[key]) for key in shipped)
