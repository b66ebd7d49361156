"""The run: adapt a restoration network. Reads top to bottom: prepare, fit, ship."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import time
from functools import partial
from statistics import fmean

import torch
from accelerate import Accelerator
from torch import Tensor

from noiseda.adaptation import Terms
from noiseda.config import AdaptSettings
from noiseda.data.ahead import Ahead
from noiseda.data.batches import Batch, DomainBatches, Domains, generator
from noiseda.data.cache import ImageStore, Skipped
from noiseda.data.degradations import Degradation
from noiseda.data.depth import Depth
from noiseda.errors import Interrupted, UserError
from noiseda.precision import FULL, autocast, lay_out, memory_format
from noiseda.training.as_trained import load_as_trained
from noiseda.training.assemble import (
    build_objective,
    build_optimizer,
    check_baseline,
    check_start,
    depth,
    files_of,
    fingerprint,
    list_images,
    load_domains,
    load_validation,
    pairs_of,
    without,
)
from noiseda.training.beside import list_others
from noiseda.training.claim import claim, samples_a_step
from noiseda.training.ema import MovingAverage
from noiseda.training.feed import Feed, Starved
from noiseda.training.interrupt import StopRequest
from noiseda.training.journal import Journal, say
from noiseda.training.lr_schedule import lr_factor
from noiseda.training.memory import earlier_weights, first_step
from noiseda.training.optimizer import clip_gradients, gradient_norm
from noiseda.training.room import check_room
from noiseda.training.sharding import shard
from noiseda.training.ship import Summary, ship, snapshot, write_weights
from noiseda.training.state import Run, advice, blown, leave, look_back, resume, save
from noiseda.training.steps import Steps
from noiseda.training.suited import SAID, suited
from noiseda.training.together import as_first, check_same, losing_peers, main_first
from noiseda.training.verdict import Trial, standing, trial, with_estimate

log = logging.getLogger(__name__)


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
    with losing_peers(settings.out):
        with StopRequest() as stop:
            fit(run, stop)
        return ship(run)


# -- prepare -----------------------------------------------------------------------------------------------------------


def prepare(settings: AdaptSettings) -> Run:
    """Check the settings, decode the images, build the networks, and take up the last checkpoint where there is one."""
    settings.check()
    check_room(settings)
    check_baseline(settings)
    check_start(settings.restorer)
    groups = list_images(settings)
    others = list_others(settings, groups)
    accelerator = _accelerator(settings)
    with main_first(accelerator):
        if accelerator.is_main_process:
            claim(settings, accelerator.num_processes)
        cache = settings.cache or settings.out / "cache"
        deep = depth(settings, groups)
        domains, skipped, like = load_domains(settings, groups, cache, deep)
        validation, unread = load_validation(settings, groups.get("validation", []), deep.white)
    asked, settings = settings, suited(settings, like)
    if not settings.adapts:
        domains = dataclasses.replace(domains, real=None, reference=None)
    skipped += unread
    groups = without(groups, skipped)
    clean = files_of(groups, "clean") or [target for _, target in pairs_of(groups)]
    tried = trial(settings, validation, like, clean, files_of(groups, "real"), deep)
    if accelerator.is_main_process:
        for line in others:
            log.warning("%s", line)
        _warn(settings, domains, skipped, like, deep)
        if settings.strategy != asked.strategy:
            say(SAID[settings.strategy])

    objective = build_objective(settings, levels=255.0 if domains.real is None else domains.real.levels)
    layout = memory_format(settings.training.memory_format, settings.training.precision, accelerator.device)
    lay_out(objective, layout)
    if settings.training.shard:  # before it moves to the device, which may not have room for all of it
        shard(objective, accelerator)
    objective.to(accelerator.device)
    average = MovingAverage(objective.restorer, settings.training.ema)
    objective.recompute(settings.training.recompute)
    if settings.training.compile:
        for network in objective.networks():
            network.compile()
    model, optimizer = accelerator.prepare(objective, build_optimizer(objective, settings.training))
    batches = DomainBatches(
        domains,
        size=settings.training.batch,
        patch=settings.training.patch,
        channels=settings.restorer.channels,
        seed=settings.seed,
        rank=accelerator.process_index,
        processes=accelerator.num_processes,
        accumulate=settings.training.accumulate,
    )
    files = fingerprint(groups)
    run = Run(settings, accelerator, groups, files, batches, skipped, objective, model, optimizer, average, tried, deep)
    resume(run)
    late = objective.real_from
    if run.tried and late > 0 and run.done >= first_step(late, settings.training.steps):
        earlier = load_as_trained(earlier_weights(settings.out)).to(accelerator.device)
        run.tried = with_estimate(run.tried, settings, files_of(groups, "real"), earlier)
    check_same(accelerator, settings.out, files=files, done=run.done)
    return run


def _warn(
    settings: AdaptSettings, domains: Domains, skipped: list[Skipped], like: Degradation | None, deep: Depth
) -> None:
    if deep.white != FULL and settings.white_level is None:
        say(str(deep))
    if deep.deep and settings.task == "denoise" and domains.degradation is not None:
        say("the photographs have more than 8 bits: what is simulated is neither rounded to 8 nor compressed")
    if like is not None:
        say(f"the photographs look like {like}")
    for image in skipped:
        log.warning("left out: %s", image.reason)
    sources = (domains.synthetic, domains.real, domains.reference)
    stores = [images for images in sources if isinstance(images, ImageStore)]
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


# -- fit ---------------------------------------------------------------------------------------------------------------


def fit(run: Run, stop: StopRequest) -> None:
    """Train until the stated number of steps is done.

    Raises:
        UserError: naming step, terms and files when a loss or gradient is not finite; a data worker died, or images
            cannot be read any more.
        Interrupted: when asked to stop, after a checkpoint.
    """
    training, accelerator = run.settings.training, run.accelerator
    first = run.done * training.accumulate
    numbers = range(first, training.steps * training.accumulate)
    tell = say if accelerator.is_main_process else lambda text: None
    ahead = Ahead(
        run.batches,
        numbers,
        behind=2 * training.workers + 2,  # as many as a loader prepares, and then some
        say=tell,
    )
    feed = Feed(
        Steps(run.batches, run.objective, training.steps),
        ahead,
        workers=training.workers,
        pinned=accelerator.device.type == "cuda",
        stop=stop,
        processes=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        say=tell,
    )
    began, before = time.perf_counter(), run.seconds
    with ahead, feed, _journal(run) as journal:
        measured = Measured(run, journal)
        last_line = begun = run.done
        while run.done < training.steps:
            look_back(run)
            progress = run.done / training.steps
            for group in run.optimizer.param_groups:
                group["lr"] = group["peak"] * run.rate * lr_factor(run.settings, progress)
            try:
                terms, batch = _step(run, feed, journal, measured)
            except Starved as starved:
                measured.read()
                leave(run, starved, stop.signal_number, begun)
            run.average.update(run.objective.restorer, run.done)
            run.done += 1
            run.seconds = before + time.perf_counter() - began

            finished = run.done == training.steps
            lined, pictured, kept, validated = (
                finished or run.done % every == 0
                for every in (
                    training.log_every,
                    training.picture_every,
                    training.checkpoint_every,
                    training.validate_every,
                )
            )
            if lined or kept:
                measured.read()
            if lined:
                journal.line(run.done, run.done - last_line, learning_rate=run.optimizer.param_groups[0]["lr"])
                last_line = run.done
            if pictured:
                if terms.restored_syn is not None:
                    journal.pictures(run.done, "synthetic", [batch.x_syn, terms.restored_syn, batch.y_syn])
                if batch.x_real is not None and terms.restored_real is not None:
                    journal.pictures(run.done, "real", [batch.x_real, terms.restored_real])
            if run.tried and run.tried.choosing and validated:
                _validate(run, run.tried, journal)
            if training.snapshot_every and run.done % training.snapshot_every == 0 and accelerator.is_main_process:
                write_weights(run, snapshot(run.settings.out, run.done))
            if run.done == first_step(run.objective.real_from, training.steps):
                _turn(run, journal)
            signal_number = stop.agreed(accelerator)
            if kept or signal_number:
                measured.read()
                save(run)
            if signal_number and not finished:
                accelerator.wait_for_everyone()  # a launcher ends the others when the first has gone
                if accelerator.is_main_process:
                    say(f"stopped after step {run.done}; the same command continues from here")
                raise Interrupted(signal_number)
            journal.advance(run.done)


def _turn(run: Run, journal: Journal) -> None:
    """From here on the real images are learnt from: keep what was learnt before, and ask the second witness too."""
    if run.accelerator.is_main_process:
        write_weights(run, earlier_weights(run.settings.out))
    if run.tried:
        tried = with_estimate(run.tried, run.settings, files_of(run.groups, "real"), run.average.network)
        if tried is not run.tried:  # scores with one witness and with two do not compare
            run.tried, run.best = tried, None
            _validate(run, tried, journal)
        elif tried.witness is not None and tried.witness.late:
            run.best = None


def _journal(run: Run) -> Journal:
    training, accelerator = run.settings.training, run.accelerator
    samples = samples_a_step(training, accelerator.num_processes)
    silent = not accelerator.is_main_process
    return Journal(run.settings.out, steps=training.steps, start=run.done, samples=samples, silent=silent)


def _step(run: Run, feed: Feed, journal: Journal, measured: Measured) -> tuple[Terms, Batch]:
    """One optimiser step: accumulate the gradients of one or more batches, then move the weights.

    Raises:
        Starved: a batch does not come.
    """
    training, accelerator = run.settings.training, run.accelerator
    for micro in range(training.accumulate):
        with journal.waiting():
            try:
                prepared = feed.take()
            except Starved as starved:
                starved.between_steps = micro == 0
                raise
        layout = memory_format(training.memory_format, training.precision, accelerator.device)
        step = prepared.to(accelerator.device, layout)
        # Dropout draws from the global generator; keyed on the step, it resumes exactly.
        number = run.done * training.accumulate + micro
        torch.manual_seed(generator(run.settings.seed, "dropout", accelerator.process_index, number).initial_seed())
        with accelerator.accumulate(run.model):
            with autocast(training.precision, accelerator.device):
                terms: Terms = run.model(step.batch, step.draws)
            values = run.objective.losses(terms, run.done / training.steps)
            accelerator.backward(values["loss"])
            if accelerator.sync_gradients:
                parameters = list(run.model.parameters())
                norm = clip_gradients(parameters, training.clip) if training.clip else gradient_norm(parameters)
                values["gradient_norm"] = norm
            run.optimizer.step()
            run.optimizer.zero_grad()
            if accelerator.sync_gradients:
                run.objective.after_step(run.done / training.steps)
        measured.add(values, step.batch.files)
    return terms, step.batch


class Measured:
    """Losses on their way from the device to the journal, one step late: reading them at once would make a GPU wait.

    Args:
        run: the run, for its messages.
        journal: where they go.
    """

    def __init__(self, run: Run, journal: Journal) -> None:
        self._run, self._journal = run, journal
        self._agree = partial(as_first, run.accelerator)
        self._waiting: list[tuple[int, list[str], Tensor, tuple[str, ...]]] = []

    def add(self, values: dict[str, Tensor], files: tuple[str, ...]) -> None:
        """Take the values of the step under way, and read those of the step before.

        Raises:
            UserError: as :meth:`read`.
        """
        stacked = torch.stack([value.detach().float() for value in values.values()])
        before, self._waiting = self._waiting, []
        self._read(before)
        self._waiting = [(self._run.done + 1, list(values), stacked, files)]

    def read(self) -> None:
        """Read what has not been read.

        Raises:
            UserError: naming step, terms and files, where a loss or gradient is not finite.
        """
        before, self._waiting = self._waiting, []
        self._read(before)

    def _read(self, taken: list[tuple[int, list[str], Tensor, tuple[str, ...]]]) -> None:
        for step, names, stacked, files in taken:
            values = dict(zip(names, stacked.tolist(), strict=True))
            if not all(math.isfinite(value) for value in values.values()):
                terms = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
                raise UserError(
                    f"step {step}: the loss or its gradient is not finite ({terms}). Its batch was cut from: "
                    f"{', '.join(dict.fromkeys(files))}. {advice(self._run)}"
                )
            self._journal.note(values)
            norm = values.get("gradient_norm")  # only where micro-batches end a step
            times = None if norm is None else self._run.watch.take(norm, values["loss"], self._agree)
            if times is not None:
                self._journal.tell(blown(self._run, step, times))


def _validate(run: Run, tried: Trial, journal: Journal) -> None:
    """Score the averaged weights, and keep them where they are the best so far."""
    found = standing(run.average.network, tried.choosing, tried.witness, run.settings.training.precision)
    journal.validation(run.done, fmean(found.psnr), found.score)
    if run.best is None or found.score > run.best.get("score", run.best["psnr"]):
        run.best = {"step": run.done, "psnr": fmean(found.psnr), "score": found.score}
        if run.accelerator.is_main_process:
            write_weights(run, run.settings.out / "best.safetensors")
