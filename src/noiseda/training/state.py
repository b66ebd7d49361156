"""A run in progress: its parts, how far it is, and how it is kept and taken up again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator

from noiseda.adaptation import Strategy
from noiseda.config import AdaptSettings
from noiseda.data.batches import DomainBatches
from noiseda.data.cache import Skipped
from noiseda.errors import UserError
from noiseda.training import checkpoints
from noiseda.training.assemble import Listed
from noiseda.training.claim import samples_a_step
from noiseda.training.ema import MovingAverage
from noiseda.training.journal import say
from noiseda.training.provenance import provenance
from noiseda.training.sharding import gather, load_module, load_optimizer, local
from noiseda.training.verdict import Trial


@dataclass
class Run:
    """A run in progress: its parts, and how far it is."""

    settings: AdaptSettings
    accelerator: Accelerator
    groups: Listed
    files: str  # the images' fingerprint
    batches: DomainBatches
    skipped: list[Skipped]
    strategy: Strategy[Any]
    model: torch.nn.Module  # the strategy, wrapped for several processes where there are several
    optimizer: torch.optim.Optimizer
    average: MovingAverage
    tried: Trial | None  # by which the best weights are chosen
    done: int = 0
    seconds: float = 0.0
    best: dict[str, float] | None = None
    blew_up: int | None = None  # step
    made_by: dict[str, str] = field(default_factory=provenance)


def resume(run: Run) -> None:
    """Take up the last checkpoint, where there is one.

    Raises:
        UserError: where it is of other images or of other networks.
    """
    state = checkpoints.latest(run.settings.out / "checkpoints")
    if state is None:
        return
    folder = run.settings.out
    if state.get("files", run.files) != run.files:
        raise UserError(
            f"the images of the run in --out {folder} have changed since it began: files were added, removed, renamed "
            "or replaced. Give another --out, or remove that folder to start anew"
        )
    try:
        load_module(run.strategy, state["strategy"])
        run.average.network.load_state_dict(state["average"])
        load_optimizer(run.optimizer, state["optimizer"])
        run.done, run.seconds, run.best = state["step"], state["seconds"], state["best"]
        run.blew_up = state.get("blew_up")
        if run.done == run.settings.training.steps:  # what finished it made it, not what looks at it again
            run.made_by = state.get("made_by", run.made_by)
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(
            f"the checkpoints in {folder / 'checkpoints'} are not of a run with these settings ({error}). "
            "Give another --out, or remove that folder to start anew"
        ) from error
    if run.accelerator.is_main_process:
        say(f"continuing {run.settings.out} after step {run.done}")


def save(run: Run) -> None:
    """Write a checkpoint; only the first process does, but all must come here for their parts of sharded weights.

    Raises:
        UserError: where the weights are no longer finite, or the disk is full.
    """
    finite = torch.stack([local(parameter).isfinite().all() for parameter in run.strategy.parameters()]).all()
    if not bool(run.accelerator.gather(finite[None]).all()):
        raise UserError(f"step {run.done}: the weights are no longer finite. {advice(run)}")
    main = run.accelerator.is_main_process
    strategy = gather(run.strategy.state_dict(), keep=main)
    optimizer = gather(run.optimizer.state_dict(), keep=main)
    if main:
        state = {
            "step": run.done,
            "seconds": run.seconds,
            "best": run.best,
            "blew_up": run.blew_up,
            "made_by": run.made_by,
            "files": run.files,
            "samples": samples_a_step(run.settings.training, run.accelerator.num_processes),
            "strategy": strategy,
            "average": run.average.network.state_dict(),
            "optimizer": optimizer,
        }
        checkpoints.save(run.settings.out / "checkpoints", run.done, state)


def advice(run: Run) -> str:
    """What to do when numbers are no longer finite."""
    return (
        f"The last good checkpoint in {run.settings.out / 'checkpoints'} is kept; a smaller --training.learning_rate, "
        "--training.clip 1 or --training.precision fp32 may help (in another --out)"
    )


def blown(run: Run) -> str:
    """What to do about a run that has blown up."""
    return (
        f"The run has blown up: --training.learning_rate {run.settings.training.learning_rate:g} is too large for this "
        "network. Try a third of it, in another --out"
    )
