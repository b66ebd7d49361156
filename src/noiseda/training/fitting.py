"""Train objects that were handed in: a network, an objective, data. Settings and folders are one way to get these."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from noiseda.adaptation import Objective
from noiseda.assessment.retention import earlier_weights, first_step
from noiseda.assessment.verdict import Trial, with_estimate
from noiseda.config import TrainingSettings
from noiseda.data.batches import Batches, DomainBatches, Domains
from noiseda.data.drawn import DrawnBatches, Sample
from noiseda.errors import UserError
from noiseda.precision import lay_out, memory_format
from noiseda.restoration import Restorer
from noiseda.restoration.as_trained import check_keeps_size, load_as_trained
from noiseda.training.build import build_optimizer, files_of
from noiseda.training.distributed import check_same, losing_peers
from noiseda.training.ema import MovingAverage
from noiseda.training.finish import Summary, ship
from noiseda.training.interrupt import StopRequest
from noiseda.training.loop import train
from noiseda.training.lr_schedule import LR_SCHEDULES, LrSchedule
from noiseda.training.run_directory import claim_objects
from noiseda.training.sharding import shard
from noiseda.training.state import Case, Run, resume

Data = Domains | Batches | Callable[[torch.Generator], Sample]
"""Photographs of both domains; or batches by number; or what draws one sample."""


def fit(
    model: Restorer,
    objective: Objective[Any],
    data: Data,
    *,
    out: str | Path,
    training: TrainingSettings | None = None,
    lr_schedule: LrSchedule | None = None,
    seed: int = 0,
    task: str = "denoise",
) -> Summary:
    """Train a network by an objective; running it again with the same objects continues where it stopped.

    The weights written are the moving average. A run is exact: the same seed and objects give the same weights, also
    where it was stopped and continued.

    Args:
        model: the network that is trained.
        objective: how; its ``restorer`` is ``model``.
        data: what it learns from: :func:`noiseda.photographs`; or a function that draws one
            :class:`noiseda.Sample` from a generator; or :class:`noiseda.Batches` of one's own.
        out: folder of the run: weights, log, checkpoints, summary.
        training: how long, how large, how often; of photographs, ``patch`` is the side of what is cut out.
        lr_schedule: share of the run that is done -> factor of the learning rate; by default that of
            ``training.decay``, where ``auto`` is a cosine.
        seed: of every draw that the run makes.
        task: what the network restores, noted beside its weights.

    Returns:
        The summary, which names the weights.

    Raises:
        ValueError: the objective trains another network.
        UserError: a network that enlarges images, a loss that is no longer finite, a full disk, a folder that holds
            another run.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    if objective.restorer is not model:
        raise ValueError("the objective trains another network: build it around the model that is handed in")
    check_keeps_size(model, f"the network {type(model).__name__}")
    training, folder = training or TrainingSettings(), Path(out)
    name = type(objective).__name__
    claim_objects(folder, {"objective": name, "seed": seed, "training": training})
    schedule = lr_schedule or LR_SCHEDULES["cosine" if training.decay == "auto" else training.decay]
    case = Case(task, name)
    run = begin(objective, data, training=training, out=folder, seed=seed, lr_schedule=schedule, case=case)
    return finish(run)


def begin(
    objective: Objective[Any],
    data: Data,
    *,
    training: TrainingSettings,
    out: Path,
    seed: int,
    lr_schedule: LrSchedule,
    case: Case,
    tried: Trial | None = None,
    accelerator: Accelerator | None = None,
) -> Run:
    """A run that is ready for its next step: networks in their place, the last checkpoint taken up.

    Args:
        objective: as in :func:`fit`.
        data: as in :func:`fit`.
        training: as in :func:`fit`.
        out: as in :func:`fit`.
        seed: as in :func:`fit`.
        lr_schedule: as in :func:`fit`.
        case: what the run is about.
        tried: by what the best weights are chosen; None: the last ones are taken.
        accelerator: the engine, where there is one already.
    """
    accelerator = accelerator or accelerator_of(training)
    lay_out(objective, memory_format(training.memory_format, training.precision, accelerator.device))
    if training.shard:  # before it moves to the device, which may not have room for all of it
        shard(objective, accelerator)
    objective.to(accelerator.device)
    average = MovingAverage(objective.restorer, training.ema)
    objective.recompute(training.recompute)
    if training.compile:
        for network in objective.networks():
            network.compile()
    model, optimizer = accelerator.prepare(objective, build_optimizer(objective, training))
    batches = batches_of(data, training, seed, objective.restorer.channels, accelerator)
    run = Run(training, out, seed, accelerator, batches, objective, model, optimizer, average, lr_schedule, case, tried)
    resume(run)
    late = objective.real_from
    if tried and case.plan is not None and late > 0 and run.done >= first_step(late, training.steps):
        earlier = load_as_trained(earlier_weights(out)).to(accelerator.device)
        run.tried = with_estimate(tried, case.plan.settings, files_of(case.groups, "real"), earlier)
    check_same(accelerator, out, files=case.files, done=run.done)
    return run


def finish(run: Run) -> Summary:
    """Train to the end and write the weights."""
    with losing_peers(run.out):
        with StopRequest() as stop:
            train(run, stop)
        return ship(run)


def batches_of(data: Data, training: TrainingSettings, seed: int, channels: int, accelerator: Accelerator) -> Batches:
    """The batches of this process."""
    share: dict[str, int] = {
        "size": training.batch,
        "seed": seed,
        "rank": accelerator.process_index,
        "processes": accelerator.num_processes,
        "accumulate": training.accumulate,
    }
    if isinstance(data, Domains):
        return DomainBatches(data, patch=training.patch, channels=channels, **share)
    return DrawnBatches(data, **share) if callable(data) else data


def accelerator_of(training: TrainingSettings) -> Accelerator:
    """The engine.

    Raises:
        UserError: the machine has no such device.
    """
    device = training.device
    alone = not torch.cuda.is_available() and not torch.backends.mps.is_available()
    accelerator = Accelerator(
        cpu=device == "cpu" or (device == "auto" and alone),  # else processes on a CPU would not know of one another
        mixed_precision="no",  # precision is ours: one autocast around the forward pass
        gradient_accumulation_steps=training.accumulate,
    )
    if device not in ("auto", accelerator.device.type):
        raise UserError(f"--training.device {device} cannot be had: this machine offers {accelerator.device.type}")
    return accelerator
