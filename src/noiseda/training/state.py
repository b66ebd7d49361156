"""A run in progress: its parts, how far it is, and how it is kept and taken up again."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch
from accelerate import Accelerator
from torch import Tensor

from noiseda.adaptation import Objective
from noiseda.assessment.verdict import Trial
from noiseda.config import TrainingSettings
from noiseda.data.batches import Batches
from noiseda.data.cache import Skipped
from noiseda.data.depth import EIGHT_BITS, Depth
from noiseda.errors import Interrupted, UserError
from noiseda.old_names import optimizer_by_todays_names, renamed
from noiseda.provenance import provenance
from noiseda.training import checkpoints
from noiseda.training.build import Listed
from noiseda.training.divergence import WITHIN, BlowUp
from noiseda.training.ema import MovingAverage
from noiseda.training.feed import Starved
from noiseda.training.logger import say
from noiseda.training.lr_schedule import LrSchedule
from noiseda.training.plan import Plan
from noiseda.training.run_directory import samples_a_step
from noiseda.training.sharding import gather, load_module, load_optimizer, local


@dataclass(frozen=True)
class Case:
    """What a run is about, beyond its objective and its batches.

    Attributes:
        task: what the network restores.
        strategy: how it is trained, in a word.
        plan: of a run that was asked for by settings; None where objects were handed in.
        groups: the images by flag.
        files: digest of their names and sizes.
        skipped: images that could not be used.
        deep: how deep the real photographs are.
    """

    task: str = "denoise"
    strategy: str = ""
    plan: Plan | None = None
    groups: Listed = field(default_factory=dict)
    files: str = ""
    skipped: tuple[Skipped, ...] = ()
    deep: Depth = EIGHT_BITS


@dataclass
class Run:
    """A run in progress: its parts, and how far it is."""

    training: TrainingSettings
    out: Path
    seed: int
    accelerator: Accelerator
    batches: Batches
    objective: Objective[Any]
    model: torch.nn.Module  # the objective, wrapped for several processes where there are several
    optimizer: torch.optim.Optimizer
    average: MovingAverage
    lr_schedule: LrSchedule
    case: Case = field(default_factory=Case)
    tried: Trial | None = None  # by which the best weights are chosen
    done: int = 0
    seconds: float = 0.0
    best: dict[str, float] | None = None
    watch: BlowUp = field(default_factory=BlowUp)
    blew_up: int | None = None  # the first step at which it had
    back_after: int | None = None  # the step after which the averaged weights are gone on with
    rate: float = 1.0  # share of the learning rate, halved each time
    earlier: list[list[Tensor]] = field(default_factory=list)  # averaged weights, the last two kept
    made_by: dict[str, str] = field(default_factory=provenance)


def resume(run: Run) -> None:
    """Take up the last checkpoint, where there is one.

    Raises:
        UserError: where it is of other images or of other networks.
    """
    state = checkpoints.latest(run.out / "checkpoints")
    if state is None:
        return
    folder = run.out
    if state.get("files", run.case.files) != run.case.files:
        raise UserError(
            f"the images of the run in --out {folder} have changed since it began: files were added, removed, renamed "
            "or replaced. Give another --out, or remove that folder to start anew"
        )
    try:
        load_module(run.objective, renamed(state["strategy"], run.objective.state_dict()))
        run.average.network.load_state_dict(state["average"])
        load_optimizer(run.optimizer, optimizer_by_todays_names(state["optimizer"]))
        run.done, run.seconds, run.best = state["step"], state["seconds"], state["best"]
        if "watch" in state:
            run.watch.load_state_dict(state["watch"])
            run.blew_up, run.back_after, run.rate = state["blew_up"], state["back_after"], state["rate"]
            run.earlier = [[weight.to(run.accelerator.device) for weight in weights] for weights in state["earlier"]]
        if run.done == run.training.steps:  # what finished it made it, not what looks at it again
            run.made_by = state.get("made_by", run.made_by)
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(
            f"the checkpoints in {folder / 'checkpoints'} are not of a run with these settings ({error}). "
            "Give another --out, or remove that folder to start anew"
        ) from error
    if run.accelerator.is_main_process:
        say(f"continuing {run.out} after step {run.done}")


def save(run: Run) -> None:
    """Write a checkpoint; only the first process does, but all must come here for their parts of sharded weights.

    Raises:
        UserError: where the weights are no longer finite, or the disk is full.
    """
    finite = torch.stack([local(parameter).isfinite().all() for parameter in run.objective.parameters()]).all()
    if not bool(run.accelerator.gather(finite[None]).all()):
        raise UserError(f"step {run.done}: the weights are no longer finite. {advice(run)}")
    main = run.accelerator.is_main_process
    objective = gather(run.objective.state_dict(), keep=main)
    optimizer = gather(run.optimizer.state_dict(), keep=main)
    if main:
        state = {
            "step": run.done,
            "seconds": run.seconds,
            "best": run.best,
            "watch": run.watch.state_dict(),
            "blew_up": run.blew_up,
            "back_after": run.back_after,
            "rate": run.rate,
            "earlier": run.earlier,
            "made_by": run.made_by,
            "files": run.case.files,
            "samples": samples_a_step(run.training, run.accelerator.num_processes),
            "strategy": objective,
            "average": run.average.network.state_dict(),
            "optimizer": optimizer,
        }
        checkpoints.save(run.out / "checkpoints", run.done, state)


def leave(run: Run, starved: Starved, signal_number: int | None, begun: int) -> NoReturn:
    """End a run that gets no more batches; a process that trains alone keeps what it has learnt.

    Args:
        run: the run.
        starved: why there are none.
        signal_number: of the signal that asked it to stop, where one did.
        begun: number of steps that were done when it was taken up.

    Raises:
        UserError: why there are none.
        Interrupted: it was asked to stop.
    """
    # Of several processes, each would wait for the others before it writes.
    if run.accelerator.num_processes == 1 and starved.between_steps and run.done > begun:
        save(run)
    kept = checkpoints.found(run.out / "checkpoints")
    after = f"the same command continues after step {int(kept[-1].stem.removeprefix('step-'))}" if kept else ""
    if starved.error is not None:
        raise UserError(f"{starved.error}. {after.capitalize()}" if kept else str(starved.error)) from starved
    if run.accelerator.is_main_process:
        say(f"stopped while waiting for data; {after or 'no step was done'}")
    raise Interrupted(signal_number or signal.SIGTERM) from starved


def advice(run: Run) -> str:
    """What to do when numbers are no longer finite."""
    return (
        f"The last good checkpoint in {run.out / 'checkpoints'} is kept; a smaller --training.learning_rate, "
        "--training.max_grad_norm 1 or --training.precision fp32 may help (in another --out)"
    )


def blown(run: Run, step: int, times: float) -> str:
    """Take note that the run has blown up; say what is done about it, and what else to do.

    Args:
        run: the run.
        step: whose gradient showed it.
        times: how many times as large as usual that is.
    """
    run.blew_up = run.blew_up or step
    run.back_after = step + 1  # read one step late
    rate = run.rate * run.training.rate
    return (
        f"step {step}: the gradient stays {times:.0f} times as large as usual, and the loss has grown with it: the run "
        f"has blown up, a learning rate of {rate:g} is too large for this network. It goes on at half the rate, with "
        "the averaged weights from before; another run with a smaller --training.learning_rate may end better"
    )


def look_back(run: Run) -> None:
    """Go back where the run has blown up; else keep the averaged weights every :data:`WITHIN` steps."""
    if run.done == run.back_after:
        _go_back(run)
    elif run.done % WITHIN == 0:
        weights = [weight.detach().clone() for weight in run.average.network.parameters()]
        run.earlier = [*run.earlier[-1:], weights]


@torch.no_grad()
def _go_back(run: Run) -> None:
    """Go on with the restorer's averaged weights from before the run blew up, at half the rate.

    Of Adam's moments the first, which points where the weights went, is forgotten; the second stays, so that the next
    steps are no larger than usual.
    """
    run.earlier = run.earlier[:1]
    averages = list(run.average.network.parameters())
    for kept, average, weight in zip(*run.earlier, averages, run.objective.restorer.parameters(), strict=True):
        average.copy_(kept)
        weight.copy_(kept)
        if weight in run.optimizer.state:  # a frozen one is not
            run.optimizer.state[weight]["exp_avg"].zero_()
    run.rate /= 2
    run.back_after = None
