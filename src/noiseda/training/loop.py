"""The training loop: step after step, with what is logged, tried and kept between them."""

from __future__ import annotations

import math
import os
import time
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from statistics import fmean

import torch
from torch import Tensor

from noiseda.adaptation import Terms
from noiseda.assessment.retention import earlier_weights, first_step
from noiseda.assessment.verdict import Trial, standing, with_estimate
from noiseda.data.batches import Batch, generator
from noiseda.data.prefetch import Ahead
from noiseda.errors import Interrupted, UserError
from noiseda.precision import autocast, memory_format
from noiseda.training.build import files_of
from noiseda.training.distributed import as_first
from noiseda.training.feed import Feed, Starved
from noiseda.training.finish import snapshot, write_weights
from noiseda.training.interrupt import END, StopRequest
from noiseda.training.listening import listen
from noiseda.training.logger import Journal, say
from noiseda.training.optimizer import clip_gradients, gradient_norm
from noiseda.training.pieces import Pieces, places, suits
from noiseda.training.preview import Preview
from noiseda.training.run_directory import samples_a_step
from noiseda.training.state import Run, advice, blown, leave, look_back, save
from noiseda.training.steps import Steps


def train(run: Run, stop: StopRequest, *, trial: bool = False) -> None:
    """Train until the stated number of steps is done, or until the run is asked to end.

    Args:
        run: the run.
        stop: the signal that ends it early.
        trial: it measures the machine alone: it keeps no log, and says nothing of its steps.

    Raises:
        UserError: naming step, terms and files when a loss or gradient is not finite; a data worker died, or images
            cannot be read any more.
        Interrupted: when asked to stop, after a checkpoint.
    """
    training, accelerator = run.training, run.accelerator
    first = run.done * training.gradient_accumulation
    numbers = range(first, training.steps * training.gradient_accumulation)
    report = say if accelerator.is_main_process and not trial else lambda text: None
    ahead = Ahead(
        run.batches,
        numbers,
        behind=2 * training.workers + 2,  # as many as a loader prepares, and then some
        say=report,
    )
    feed = Feed(
        Steps(run.batches, run.objective, training.steps),
        ahead,
        workers=training.workers,
        pinned=accelerator.device.type == "cuda",
        stop=stop,
        processes=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        say=report,
    )
    began, before = time.perf_counter(), run.seconds
    with ahead, feed, _pieces(run) as pieces, _journal(run, silent=trial) as journal:
        measured = Measured(run, journal)
        preview = None if trial else _preview(run)
        last_line = begun = run.done
        while run.done < training.steps:
            look_back(run)
            progress = run.done / training.steps
            for group in run.optimizer.param_groups:
                group["lr"] = group["base_lr"] * run.rate * run.lr_schedule(progress)
            try:
                terms, batch = _step(run, feed, journal, measured, pieces)
            except Starved as starved:
                measured.read()
                leave(run, starved, stop.signal_number, begun)
            run.average.update(run.objective.restorer, run.done)
            run.done += 1
            run.seconds = before + time.perf_counter() - began

            signal_number = stop.agreed(accelerator)
            finished = run.done == training.steps or signal_number == END
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
                listen(run, batch.y_syn, journal)
            if run.tried and run.tried.choosing and validated:
                _validate(run, run.tried, journal)
            if training.snapshot_every and run.done % training.snapshot_every == 0 and accelerator.is_main_process:
                write_weights(run, snapshot(run.out, run.done))
            if run.done == first_step(run.objective.real_from, training.steps):
                _turn(run, journal)
            if kept or signal_number:
                measured.read()
                save(run)
            if signal_number and not finished:
                accelerator.wait_for_everyone()  # a launcher ends the others when the first has gone
                if accelerator.is_main_process:
                    say(_stopped(run, trial=trial))
                raise Interrupted(signal_number)
            journal.advance(run.done)
            if preview is not None:
                preview.show(run.average.network)
            if finished:
                break
        if run.done < training.steps:
            report(f"ended after step {run.done} of {training.steps}, as asked; the best so far is kept")


def _turn(run: Run, journal: Journal) -> None:
    """From here on the real images are learnt from: keep what was learnt before, and ask the second witness too."""
    if run.accelerator.is_main_process:
        write_weights(run, earlier_weights(run.out))
    plan = run.case.plan
    if run.tried and plan is not None:
        tried = with_estimate(run.tried, plan.settings, files_of(run.case.groups, "real"), run.average.network)
        if tried is not run.tried:  # scores with one witness and with two do not compare
            run.tried, run.best = tried, None
            _validate(run, tried, journal)
        elif tried.witness is not None and tried.witness.late:
            run.best = None


def _pieces(run: Run) -> AbstractContextManager[Pieces | None]:
    """What measures batches in pieces, where that can be done."""
    training, accelerator = run.training, run.accelerator
    whole = training.compile or training.recompute or accelerator.num_processes > 1
    if whole or not suits(run.objective, accelerator.device):
        return nullcontext()
    return Pieces(run.objective, partial(autocast, training.precision, accelerator.device))


def _preview(run: Run) -> Preview | None:
    """What shows the user a photograph of theirs while the run goes on; None where there is none."""
    files, plan = files_of(run.case.groups, "real"), run.case.plan
    if not files or plan is None or not run.accelerator.is_main_process:
        return None
    return Preview(
        run.out / "preview.png",
        files[0],
        channels=run.objective.restorer.channels,
        white=run.case.deep.white,
        max_megapixels=plan.settings.max_megapixels,
        say=say,
    )


def _stopped(run: Run, *, trial: bool) -> str:
    if trial:
        return "stopped while this machine was measured, before the first step; the same command measures it again"
    return f"stopped after step {run.done}; the same command continues from here"


def _journal(run: Run, *, silent: bool) -> Journal:
    training, accelerator = run.training, run.accelerator
    samples = samples_a_step(training, accelerator.num_processes)
    silent = silent or not accelerator.is_main_process
    return Journal(run.out, steps=training.steps, start=run.done, samples=samples, silent=silent)


def _step(run: Run, feed: Feed, journal: Journal, measured: Measured, pieces: Pieces | None) -> tuple[Terms, Batch]:
    """One optimiser step: accumulate the gradients of one or more batches, then move the weights.

    Raises:
        Starved: a batch does not come.
    """
    training, accelerator = run.training, run.accelerator
    for micro in range(training.gradient_accumulation):
        with journal.waiting():
            try:
                prepared = feed.take()
            except Starved as starved:
                starved.between_steps = micro == 0
                raise
        layout = memory_format(training.memory_format, training.precision, accelerator.device)
        step = prepared.to(accelerator.device, layout)
        # Dropout draws from the global generator; keyed on the step, it resumes exactly.
        number = run.done * training.gradient_accumulation + micro
        torch.manual_seed(generator(run.seed, "dropout", accelerator.process_index, number).initial_seed())
        with accelerator.accumulate(run.model):
            if pieces is not None and len(places(step)) > 1:
                terms, values = pieces.backward(step, run.done / training.steps, 1 / training.gradient_accumulation)
            else:
                with autocast(training.precision, accelerator.device):
                    terms = run.model(step.batch, step.draws)
                values = run.objective.losses(terms, run.done / training.steps)
                accelerator.backward(values["loss"])
            if accelerator.sync_gradients:
                parameters = list(run.model.parameters())
                norm = (
                    clip_gradients(parameters, training.max_grad_norm)
                    if training.max_grad_norm
                    else gradient_norm(parameters)
                )
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
                self._journal.say(blown(self._run, step, times))


def _validate(run: Run, tried: Trial, journal: Journal) -> None:
    """Score the averaged weights, and keep them where they are the best so far.

    At the end of a run that scored none before, there is nothing to choose: the pairs alone are shown.
    """
    witness = None if run.best is None and run.done == run.training.steps else tried.witness
    found = standing(run.average.network, tried.choosing, witness, run.training.precision)
    journal.validation(run.done, fmean(found.psnr), found.score)
    if run.best is None or found.score > run.best.get("score", run.best["psnr"]):
        run.best = {"step": run.done, "psnr": fmean(found.psnr), "score": found.score}
        if run.accelerator.is_main_process:
            write_weights(run, run.out / "best.safetensors")
