"""Train objects that were handed in: a network, an objective, data. Settings and folders are one way to get these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from noiseda.adaptation import Objective
from noiseda.assessment.retention import earlier_weights, first_step
from noiseda.assessment.verdict import Trial, with_estimate
from noiseda.assessment.witness import Pairs
from noiseda.config import TrainingSettings
from noiseda.data.batches import Batches, DomainBatches, Domains
from noiseda.data.drawn import DrawnBatches, Sample
from noiseda.errors import UserError
from noiseda.limits import check_limits
from noiseda.numbers import check_numbers
from noiseda.precision import memory_format, to_memory_format
from noiseda.restoration import Restorer
from noiseda.restoration.as_trained import check_keeps_size, check_shape, load_as_trained
from noiseda.training.build import build_optimizer, files_of
from noiseda.training.distributed import check_same, losing_peers
from noiseda.training.ema import MovingAverage
from noiseda.training.finish import Summary, finish
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
    validation: Pairs | Trial | None = None,
    task: str = "denoise",
    case: Case | None = None,
    accelerator: Accelerator | None = None,
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
            ``training.lr_schedule``, where ``auto`` is a cosine.
        seed: of every draw that the run makes.
        validation: pairs (degraded, clean) of images (C, H, W) in [0, 1], scored every ``training.validate_every``
            steps; the weights written are then the best scored ones.
        task: what the network restores, noted beside its weights.
        case: what the run is about, where settings asked for it; ``noiseda adapt`` gives it.
        accelerator: the engine, where there is one already.

    Returns:
        The summary, which names the weights.

    Raises:
        ValueError: the objective trains another network.
        UserError: a network that enlarges images, a loss that is no longer finite, a full disk, a folder that holds
            another run.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    run = begin(
        model,
        objective,
        data,
        out=out,
        training=training,
        lr_schedule=lr_schedule,
        seed=seed,
        validation=validation,
        task=task,
        case=case,
        accelerator=accelerator,
    )
    with losing_peers(run.out):
        with StopRequest() as stop:
            train(run, stop)
        return finish(run)


def begin(
    model: Restorer,
    objective: Objective[Any],
    data: Data,
    *,
    out: str | Path,
    training: TrainingSettings | None = None,
    lr_schedule: LrSchedule | None = None,
    seed: int = 0,
    validation: Pairs | Trial | None = None,
    task: str = "denoise",
    case: Case | None = None,
    accelerator: Accelerator | None = None,
) -> Run:
    """A run that is ready for its next step: networks in their place, the last checkpoint taken up.

    Args:
        model: as in :func:`fit`, and so are the others.
        objective: how it is trained.
        data: what it learns from.
        out: folder of the run.
        training: how long, how large, how often.
        lr_schedule: course of the learning rate.
        seed: of every draw.
        validation: by what the best weights are chosen; None: the last ones are taken.
        task: what the network restores.
        case: what the run is about.
        accelerator: the engine.

    Raises:
        ValueError: as :func:`fit`.
        UserError: as :func:`fit`.
    """
    training, out = training or TrainingSettings(), Path(out)
    check_parts(model, objective, training)
    training = replace(training, learning_rate=training.rate)
    if case is None:
        check_shape(model, f"the network {type(model).__name__}")
        case = Case(task, type(objective).__name__)
        claim_objects(out, {"objective": case.strategy, "seed": seed, "training": training})
    schedule = lr_schedule or LR_SCHEDULES["cosine" if training.lr_schedule == "auto" else training.lr_schedule]
    tried = validation if isinstance(validation, Trial | None) else trial_on(validation)
    accelerator = accelerator or accelerator_of(training)
    to_memory_format(objective, memory_format(training.memory_format, training.precision, accelerator.device))
    if training.shard:  # before it moves to the device, which may not have room for all of it
        shard(objective, accelerator)
    objective.to(accelerator.device)
    average = MovingAverage(model, training.ema_decay)
    objective.recompute(training.recompute)
    if training.compile:
        for network in objective.networks():
            network.compile()
    wrapped, optimizer = accelerator.prepare(objective, build_optimizer(objective, training))
    batches = batches_of(data, training, seed, model.channels, accelerator)
    run = Run(training, out, seed, accelerator, batches, objective, wrapped, optimizer, average, schedule, case, tried)
    resume(run)
    late = objective.real_from
    if tried and case.plan is not None and late > 0 and run.done >= first_step(late, training.steps):
        earlier = load_as_trained(earlier_weights(out)).to(accelerator.device)
        run.tried = with_estimate(tried, case.plan.settings, files_of(case.groups, "real"), earlier)
    check_same(accelerator, out, files=case.files, done=run.done)
    return run


def check_parts(model: object, objective: object, training: object) -> None:
    """Check that what was handed in can be trained.

    Raises:
        ValueError: the objective trains another network.
        UserError: an object of another kind, a number out of its limits, a network that enlarges images.
    """
    wanted = (("model", model, Restorer), ("objective", objective, Objective), ("training", training, TrainingSettings))
    for name, given, kind in wanted:
        if not isinstance(given, kind):
            raise UserError(f"{name} must be a noiseda.{kind.__name__}, not {type(given).__name__}")
    assert isinstance(model, Restorer)
    assert isinstance(objective, Objective)
    if getattr(objective, "restorer", None) is None:
        raise UserError(f"the objective {type(objective).__name__} must keep the network it trains as self.restorer")
    if objective.restorer is not model:
        raise ValueError("the objective trains another network: build it around the model that is handed in")
    check_numbers(training)
    check_limits(training)
    check_keeps_size(model, f"the network {type(model).__name__}")


def trial_on(pairs: Pairs) -> Trial:
    """Pairs by which a run's weights are chosen.

    Raises:
        UserError: there is none, or one is not of one size.
    """
    if not pairs:
        raise UserError("validation needs pairs (degraded, clean), and there is none")
    for pair in pairs:
        if isinstance(pair, str) or len(pair) != 2 or not all(torch.is_tensor(image) for image in pair):
            raise UserError("validation needs pairs (degraded, clean) of tensors (C, H, W)")
        degraded, clean = pair
        if not (degraded.is_floating_point() and clean.is_floating_point()):
            raise UserError(f"validation needs images in [0, 1], not {degraded.dtype} and {clean.dtype}")
        if degraded.shape != clean.shape or degraded.ndim != 3:
            raise UserError(
                f"validation needs pairs of images (C, H, W) of one size, not {tuple(degraded.shape)} and "
                f"{tuple(clean.shape)}"
            )
    return Trial(pairs, pairs, "pairs of validation")


def batches_of(data: Data, training: TrainingSettings, seed: int, channels: int, accelerator: Accelerator) -> Batches:
    """The batches of this process."""
    share: dict[str, int] = {
        "size": training.batch,
        "seed": seed,
        "rank": accelerator.process_index,
        "processes": accelerator.num_processes,
        "gradient_accumulation": training.gradient_accumulation,
    }
    if isinstance(data, Domains):
        return DomainBatches(data, patch=training.side, channels=channels, **share)
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
        gradient_accumulation_steps=training.gradient_accumulation,
    )
    if device not in ("auto", accelerator.device.type):
        raise UserError(f"--training.device {device} cannot be had: this machine offers {accelerator.device.type}")
    return accelerator
