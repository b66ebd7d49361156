"""A run in progress: its parts, how far it is, and how it is kept and taken up again."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from noiseda.adaptation import Strategy
from noiseda.config import AdaptSettings
from noiseda.data.batches import DomainBatches
from noiseda.data.cache import Skipped
from noiseda.errors import UserError
from noiseda.training import checkpoints
from noiseda.training.assemble import Listed
from noiseda.training.ema import MovingAverage
from noiseda.training.journal import say
from noiseda.training.provenance import provenance

log = logging.getLogger(__name__)


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
    validation: list[tuple[Tensor, Tensor]]
    done: int = 0
    seconds: float = 0.0
    best: dict[str, float] | None = None
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
        run.strategy.load_state_dict(state["strategy"])
        run.average.network.load_state_dict(state["average"])
        run.optimizer.load_state_dict(state["optimizer"])
        run.done, run.seconds, run.best = state["step"], state["seconds"], state["best"]
        if run.done == run.settings.training.steps:  # what finished it made it, not what looks at it again
            run.made_by = state.get("made_by", run.made_by)
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(
            f"the checkpoints in {folder / 'checkpoints'} are not of a run with these settings ({error}). "
            "Give another --out, or remove that folder to start anew"
        ) from error
    processes = state.get("processes", run.accelerator.num_processes)
    if run.accelerator.is_main_process:
        if processes != run.accelerator.num_processes:
            log.warning("the run began with another number of processes (%d): it sees other images now", processes)
        say(f"continuing {run.settings.out} after step {run.done}")


def save(run: Run) -> None:
    """Write a checkpoint; only the first process does.

    Raises:
        UserError: where the weights are no longer finite, or the disk is full.
    """
    if not all(bool(parameter.isfinite().all()) for parameter in run.strategy.parameters()):
        raise UserError(f"step {run.done}: the weights are no longer finite. {advice(run)}")
    if run.accelerator.is_main_process:
        state = {
            "step": run.done,
            "seconds": run.seconds,
            "best": run.best,
            "made_by": run.made_by,
            "files": run.files,
            "processes": run.accelerator.num_processes,
            "strategy": run.strategy.state_dict(),
            "average": run.average.network.state_dict(),
            "optimizer": run.optimizer.state_dict(),
        }
        checkpoints.save(run.settings.out / "checkpoints", run.done, state)


def advice(run: Run) -> str:
    """What to do when numbers are no longer finite."""
    return (
        f"The last good checkpoint in {run.settings.out / 'checkpoints'} is kept; a smaller --training.learning_rate, "
        "--training.clip 1 or --training.precision fp32 may help (in another --out)"
    )
