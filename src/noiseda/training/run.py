"""The run: adapt a restoration network. Reads top to bottom: prepare, fit, ship."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from noiseda.adaptation import Strategy, Terms
from noiseda.config import AdaptSettings, Precision
from noiseda.data.batches import Batch, DomainBatches, Domains, generator
from noiseda.data.cache import Skipped
from noiseda.errors import Interrupted, UserError
from noiseda.evaluation.metrics import psnr
from noiseda.inference import restore_tensor
from noiseda.restoration import save_weights
from noiseda.storage import atomic
from noiseda.training import checkpoints
from noiseda.training.assemble import (
    Groups,
    build_optimizer,
    build_strategy,
    fingerprint,
    list_images,
    load_domains,
    load_validation,
    restorer_arguments,
    without,
)
from noiseda.training.claim import claim
from noiseda.training.ema import MovingAverage
from noiseda.training.interrupt import StopRequest, leave_signals
from noiseda.training.journal import Journal, read_log, say
from noiseda.training.precision import autocast
from noiseda.training.provenance import provenance

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Summary:
    """What a run made, as written to ``summary.json``.

    Attributes:
        weights: the adapted network.
        task: denoise, derain or deblur.
        strategy: how it was trained.
        steps: number of optimiser steps.
        seed: the run's seed.
        seconds: time spent in training, over all sittings.
        parameters: number of weights of the restorer, and of all that was thrown away.
        images: number of images used, by flag.
        skipped: images that could not be used: path and reason.
        terms: mean of each loss over the last tenth of the run.
        validation: step and mean PSNR (dB) of the shipped weights on the validation pairs, where there are any.
        made_by: version, commit, machine.
    """

    weights: Path
    task: str
    strategy: str
    steps: int
    seed: int
    seconds: float
    parameters: dict[str, int]
    images: dict[str, int]
    skipped: list[dict[str, str]]
    terms: dict[str, float]
    validation: dict[str, float] | None
    made_by: dict[str, str]


def adapt(settings: AdaptSettings) -> Summary:
    """Adapt a restoration network to unlabelled real images; running it again with the same settings continues it.

    Args:
        settings: what to adapt to, and how.

    Returns:
        The summary of the finished run.

    Raises:
        UserError: settings or images that cannot be used, a loss that is no longer finite, a full disk.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    run = prepare(settings)
    with StopRequest() as stop:
        fit(run, stop)
    return ship(run)


@dataclass
class Run:
    """A run in progress: its parts, and how far it is."""

    settings: AdaptSettings
    accelerator: Accelerator
    groups: dict[str, Groups]
    files: str  # digest of the images' names and sizes
    batches: DomainBatches
    skipped: list[Skipped]
    strategy: Strategy[Any]
    model: torch.nn.Module  # the strategy, wrapped for several processes where there are several
    optimizer: torch.optim.Optimizer
    average: MovingAverage
    validation: list[tuple[Tensor, Tensor]]
    done: int = 0
    seconds: float = 0.0
    best: dict[str, float] | None = field(default=None)


# -- prepare -----------------------------------------------------------------------------------------------------------


def prepare(settings: AdaptSettings) -> Run:
    """Check the settings, decode the images, build the networks, and take up the last checkpoint where there is one."""
    settings.check()
    groups = list_images(settings)
    accelerator = _accelerator(settings)
    with accelerator.main_process_first():
        if accelerator.is_main_process:
            claim(settings)
        cache = settings.cache or settings.out / "cache"
        domains, skipped = load_domains(settings, groups, cache)
        validation, unread = load_validation(settings, groups.get("validation", []))
    skipped += unread
    groups = without(groups, skipped)
    if accelerator.is_main_process:
        _warn(settings, domains, skipped)

    strategy = build_strategy(settings)
    if settings.training.channels_last:
        # On CPUs GroupNorm, and so the noise predictor, is several times slower channels-last.
        faster = strategy.restorer if accelerator.device.type == "cpu" else strategy
        faster.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    strategy.to(accelerator.device)
    average = MovingAverage(strategy.restorer, settings.training.ema)
    model, optimizer = accelerator.prepare(strategy, build_optimizer(strategy, settings.training))
    batches = DomainBatches(
        domains,
        size=settings.training.batch,
        patch=settings.training.patch,
        channels=settings.restorer.channels,
        seed=settings.seed,
        rank=accelerator.process_index,
    )
    files = fingerprint(groups)
    run = Run(settings, accelerator, groups, files, batches, skipped, strategy, model, optimizer, average, validation)
    _resume(run)
    return run


def _warn(settings: AdaptSettings, domains: Domains, skipped: list[Skipped]) -> None:
    for image in skipped:
        log.warning("left out: %s", image.reason)
    stores = [store for store in (domains.synthetic, domains.real, domains.reference) if store]
    small = [str(path) for store in stores for path in store.smaller_than(settings.training.patch)]
    if small:
        named = ", ".join(small[:3]) + (f", … ({len(small)} in all)" if len(small) > 3 else "")
        log.warning("smaller than --training.patch %d and continued by reflection: %s", settings.training.patch, named)


def _accelerator(settings: AdaptSettings) -> Accelerator:
    device = settings.training.device
    alone = not torch.cuda.is_available() and not torch.backends.mps.is_available()
    accelerator = Accelerator(
        cpu=device == "cpu" or (device == "auto" and alone),  # else processes on a CPU would not know of one another
        mixed_precision="no",  # precision is ours: one autocast around the forward pass
        gradient_accumulation_steps=settings.training.accumulate,
    )
    if device not in ("auto", accelerator.device.type):
        raise UserError(f"--training.device {device} cannot be had: this machine offers {accelerator.device.type}")
    return accelerator


def _resume(run: Run) -> None:
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


def _save(run: Run) -> None:
    if not all(bool(parameter.isfinite().all()) for parameter in run.strategy.parameters()):
        raise UserError(f"step {run.done}: the weights are no longer finite. {_advice(run)}")
    if run.accelerator.is_main_process:
        state = {
            "step": run.done,
            "seconds": run.seconds,
            "best": run.best,
            "files": run.files,
            "processes": run.accelerator.num_processes,
            "strategy": run.strategy.state_dict(),
            "average": run.average.network.state_dict(),
            "optimizer": run.optimizer.state_dict(),
        }
        checkpoints.save(run.settings.out / "checkpoints", run.done, state)


# -- fit ---------------------------------------------------------------------------------------------------------------


def fit(run: Run, stop: StopRequest) -> None:
    """Train until the stated number of steps is done.

    Raises:
        UserError: naming step, terms and files when a loss or gradient is not finite.
        Interrupted: when asked to stop, after a checkpoint.
    """
    training, accelerator = run.settings.training, run.accelerator
    first = run.done * training.accumulate
    numbers = range(first, training.steps * training.accumulate)
    stream = iter(
        DataLoader(
            run.batches, batch_size=None, sampler=numbers, num_workers=training.workers, worker_init_fn=leave_signals
        )
    )
    samples = training.batch * training.accumulate * accelerator.num_processes
    journal = Journal(
        run.settings.out, steps=training.steps, start=run.done, samples=samples, silent=not accelerator.is_main_process
    )
    began, before = time.perf_counter(), run.seconds
    with journal:
        last_line = run.done
        while run.done < training.steps:
            for group in run.optimizer.param_groups:
                group["lr"] = group["peak"] * _decay(run)
            terms, batch = _step(run, stream, journal)
            run.average.update(run.strategy.restorer, run.done)
            run.done += 1
            run.seconds = before + time.perf_counter() - began

            finished = run.done == training.steps
            if run.done % training.log_every == 0 or finished:
                journal.line(run.done, run.done - last_line, learning_rate=run.optimizer.param_groups[0]["lr"])
                last_line = run.done
            if run.done % training.picture_every == 0 or finished:
                journal.pictures(run.done, "synthetic", [batch.x_syn, terms.restored_syn, batch.y_syn])
                if batch.x_real is not None and terms.restored_real is not None:
                    journal.pictures(run.done, "real", [batch.x_real, terms.restored_real])
            if run.validation and (run.done % training.validate_every == 0 or finished):
                _validate(run, journal)
            signal_number = stop.agreed(accelerator)
            if run.done % training.checkpoint_every == 0 or finished or signal_number:
                _save(run)
            if signal_number and not finished:
                if accelerator.is_main_process:
                    say(f"stopped after step {run.done}; the same command continues from here")
                raise Interrupted(signal_number)
            journal.advance(run.done)


def _step(run: Run, stream: Any, journal: Journal) -> tuple[Terms, Batch]:  # noqa: ANN401 (an iterator of batches)
    """One optimiser step: accumulate the gradients of one or more batches, then move the weights."""
    training, accelerator = run.settings.training, run.accelerator
    for micro in range(training.accumulate):
        number = run.done * training.accumulate + micro
        batch: Batch = next(stream).to(accelerator.device, channels_last=training.channels_last)
        draws = run.strategy.draw(batch.y_syn, generator(run.settings.seed, "noise", accelerator.process_index, number))
        # Dropout draws from the global generator; keyed on the step, it resumes exactly.
        torch.manual_seed(generator(run.settings.seed, "dropout", accelerator.process_index, number).initial_seed())
        with accelerator.accumulate(run.model):
            with autocast(training.precision, accelerator.device):
                terms: Terms = run.model(batch, draws)
            losses = run.strategy.losses(terms, run.done / training.steps)
            values = {name: value.item() for name, value in losses.items()}
            _stop_unless_finite(run, values, batch)
            accelerator.backward(losses["loss"])
            if accelerator.sync_gradients:
                norm = accelerator.clip_grad_norm_(run.model.parameters(), training.clip or math.inf)
                values["gradient_norm"] = float(norm)
                _stop_unless_finite(run, values, batch)
            run.optimizer.step()
            run.optimizer.zero_grad()
        journal.note(values)
    return terms, batch


def _decay(run: Run) -> float:
    """Factor of the learning rate at the step to come."""
    if run.settings.training.decay == "constant":
        return 1.0
    return 0.5 + 0.5 * math.cos(math.pi * run.done / run.settings.training.steps)


def _stop_unless_finite(run: Run, values: dict[str, float], batch: Batch) -> None:
    if all(math.isfinite(value) for value in values.values()):
        return
    terms = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
    files = ", ".join(dict.fromkeys(batch.files))
    raise UserError(
        f"step {run.done + 1}: the loss or its gradient is not finite ({terms}). Its batch was cut from: {files}. "
        f"{_advice(run)}"
    )


def _advice(run: Run) -> str:
    return (
        f"The last good checkpoint in {run.settings.out / 'checkpoints'} is kept; a smaller --training.learning_rate, "
        "--training.clip 1 or --training.precision fp32 may help (in another --out)"
    )


def _validate(run: Run, journal: Journal) -> None:
    """Score the averaged weights on the validation pairs, and keep them where they are the best so far."""
    context = autocast(run.settings.training.precision, run.accelerator.device)
    precision: Precision = "bf16" if isinstance(context, torch.autocast) else "fp32"
    scores = [
        psnr(restore_tensor(run.average.network, x, precision=precision)[None], y[None]) for x, y in run.validation
    ]
    mean = float(torch.cat(scores).mean())
    journal.validation(run.done, mean)
    if run.best is None or mean > run.best["psnr"]:
        run.best = {"step": run.done, "psnr": mean}
        if run.accelerator.is_main_process:
            _write_weights(run, run.settings.out / "best.safetensors")


# -- ship --------------------------------------------------------------------------------------------------------------


def ship(run: Run) -> Summary:
    """Write the averaged weights (the best scored ones where there are validation pairs) and the summary."""
    settings = run.settings
    weights = settings.out / "restorer.safetensors"
    late = [line for line in read_log(settings.out / "log.jsonl") if line["step"] > 0.9 * settings.training.steps]
    lines = [line for line in late if "loss" in line]  # not those of the validation
    others = ("step", "learning_rate", "samples_per_second")
    names = [name for name in (lines[-1] if lines else {}) if name not in others]
    restorer = sum(parameter.numel() for parameter in run.strategy.restorer.parameters())
    everything = sum(parameter.numel() for parameter in run.strategy.parameters())
    summary = Summary(
        weights=weights,
        task=settings.task,
        strategy=settings.strategy,
        steps=run.done,
        seed=settings.seed,
        seconds=round(run.seconds, 1),
        parameters={"restorer": restorer, "thrown_away": everything - restorer},
        images={flag: len(groups) for flag, groups in run.groups.items()},
        skipped=[{"path": str(image.path), "reason": image.reason} for image in run.skipped],
        terms={name: sum(line[name] for line in lines if name in line) / len(lines) for name in names},
        validation=run.best,
        made_by=provenance(),
    )
    if run.accelerator.is_main_process:
        if run.best is None:
            _write_weights(run, weights)
        else:
            _write(weights, (settings.out / "best.safetensors").read_bytes())
        text = json.dumps(dataclasses.asdict(summary), indent=2, default=str)
        _write(settings.out / "summary.json", text.encode())
    run.accelerator.wait_for_everyone()
    return summary


def _write(path: Path, content: bytes) -> None:
    try:
        with atomic(path) as file:
            file.write(content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; the last checkpoint is kept") from error


def _write_weights(run: Run, path: Path) -> None:
    settings = run.settings
    save_weights(
        path,
        run.average.network.state_dict(),
        architecture="unet",
        arguments=restorer_arguments(settings.restorer),
        task=settings.task,
        notes={"strategy": settings.strategy, "steps": str(run.done), "seed": str(settings.seed), **provenance()},
    )
