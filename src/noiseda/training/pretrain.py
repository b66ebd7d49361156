"""``noiseda pretrain-predictor``: a noise predictor that listens to its conditions before any adaptation begins."""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from safetensors.torch import load_file

from noiseda.adaptation.catalogue import build_predictor, predictor_arguments
from noiseda.adaptation.pretraining import Carrier, Pretraining
from noiseda.config import AdaptSettings, DegradationSettings, RestorerSettings, TrainingSettings
from noiseda.data.conditions import ConditionBatches, mixed
from noiseda.diffusion import Denoiser, Schedule
from noiseda.diffusion.prediction import PREDICTIONS
from noiseda.diffusion.sensitivity import Sensitivity, sensitivity
from noiseda.diffusion.stored import Predictor, load_predictor, save_predictor
from noiseda.diffusion_settings import SIDES
from noiseda.errors import Interrupted, UserError, WeightsError
from noiseda.limits import check_limits
from noiseda.numbers import check_numbers
from noiseda.pretrain_settings import PretrainSettings
from noiseda.settings_file import read_settings
from noiseda.training import checkpoints
from noiseda.training.build import fingerprint, list_images, load_domains
from noiseda.training.distributed import main_first
from noiseda.training.fitting import accelerator_of, begin, fit
from noiseda.training.interrupt import StopRequest
from noiseda.training.listening import SHOWN
from noiseda.training.logger import say
from noiseda.training.loop import train
from noiseda.training.lr_schedule import LR_SCHEDULES
from noiseda.training.pace import TRIED, Pace
from noiseda.training.plan import settled
from noiseda.training.run_directory import claim_objects
from noiseda.training.state import Case

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pretrained:
    """What was trained.

    Attributes:
        out: the file of the noise predictor.
        steps: number of optimiser steps.
        parameters: number of its weights.
        error: mean squared error of the predicted noise over the last tenth of the run.
        listens: how much its error rises where a condition is spoilt.
    """

    out: Path
    steps: int
    parameters: int
    error: float
    listens: Sensitivity

    def __str__(self) -> str:
        """A line or two for the command line."""
        size = f"{self.parameters / 1e6:.2f} M weights, {self.steps} steps, error {self.error:.4f}"
        listens = f"how much its error rises where a condition is spoilt, by diffusion step t:\n{self.listens}"
        return f"{listens}\nnoise predictor: {self.out} ({size})\nuse it: noiseda adapt --predictor.start {self.out}"


def pretrain_predictor(settings: PretrainSettings) -> Pretrained:
    """Train a noise predictor on clean photographs and conditions of many corruptions, for --predictor.start.

    The same command run again continues where it stopped.

    Args:
        settings: on what, for how long, of which size.

    Returns:
        What was trained.

    Raises:
        UserError: settings or images that cannot be used, a loss that is no longer finite, a full disk.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    check(settings)
    try:
        return _pretrained(settings)
    except WeightsError:
        raise
    except UserError as error:  # its flags are those of a run without the section
        raise UserError(str(error).replace("--training.", "--")) from error


def _pretrained(settings: PretrainSettings) -> Pretrained:
    began = time.perf_counter()
    usual = as_adaptation(settings)
    accelerator = accelerator_of(training_of(settings))
    groups = list_images(usual)
    with main_first(accelerator):
        domains, skipped, _ = load_domains(usual, groups, settings.cache or settings.folder / "cache")
    for image in skipped:
        log.warning("left out: %s", image.reason)
    batches = ConditionBatches(
        domains.synthetic,
        mixed(untouched=settings.untouched),
        unrelated=settings.unrelated,
        size=settings.batch,
        patch=settings.patch,
        channels=settings.channels,
        seed=settings.seed,
        rank=accelerator.process_index,
        processes=accelerator.num_processes,
    )
    if settings.minutes is not None:
        settings = replace(settings, steps=_steps_that_fit(settings, batches, accelerator, began), minutes=None)
    if accelerator.is_main_process:
        claim_objects(settings.folder, _made_of(settings))
    parts = parts_of(settings, batches, accelerator)
    case = Case("denoise", "pretraining", groups=groups, files=fingerprint(groups), skipped=tuple(skipped))
    summary = fit(out=settings.folder, case=case, **parts)
    carrier: Carrier = parts["model"]
    if accelerator.is_main_process:
        _write(settings, carrier, summary.weights)
    accelerator.wait_for_everyone()
    parameters = sum(weight.numel() for weight in carrier.parameters())
    clean = batches[0].y_syn[:SHOWN].to(accelerator.device)
    alpha_bar = Schedule(settings.schedule).alpha_bar
    listens = sensitivity(carrier.denoiser, clean, alpha_bar, conditions=settings.conditions)
    return Pretrained(settings.out, summary.steps, parameters, summary.terms["noise"], listens)


def check(settings: PretrainSettings) -> None:
    """Check the settings before any image is read.

    Raises:
        UserError: naming the flag, what was given and what was expected.
    """
    check_numbers(settings)
    check_limits(settings)
    out, shrink = settings.out, settings.predictor.multiple_of
    if out.suffix != ".safetensors" or out.is_dir():
        raise UserError(f"--out {out} must be the name of a file that ends in .safetensors")
    if out.exists():
        try:
            load_predictor(out)
        except WeightsError as error:
            raise UserError(f"--out {error}, so it is not written over: give another name") from error
    settings.predictor.check()
    if settings.predictor.start is not None or settings.predictor.training != "joint":
        raise UserError("--predictor.start and --predictor.training are of noiseda adapt: here it starts at random")
    if settings.patch % shrink:
        why = SIDES[settings.predictor.kind].removesuffix(", and ")
        raise UserError(f"--patch must be a multiple of {shrink} ({why}), not {settings.patch}")


def as_adaptation(settings: PretrainSettings) -> AdaptSettings:
    """The settings of a run of ``noiseda adapt`` that has the same clean photographs and the same predictor."""
    return settled(
        AdaptSettings(
            clean=settings.clean,
            strategy="synthetic",
            degradation=DegradationSettings(kind="white"),
            out=settings.folder,
            seed=settings.seed,
            max_megapixels=settings.max_megapixels,
            restorer=RestorerSettings(channels=settings.channels),
            predictor=settings.predictor,
        )
    )


def training_of(settings: PretrainSettings) -> TrainingSettings:
    """How long, how large, how often, as :func:`noiseda.fit` takes it."""
    return TrainingSettings(
        steps=settings.steps,
        batch=settings.batch,
        patch=settings.patch,
        learning_rate=settings.learning_rate,
        ema_decay=settings.ema_decay,
        checkpoint_every=settings.checkpoint_every,
        log_every=settings.log_every,
        workers=settings.workers,
        device=settings.device,
    )


def parts_of(settings: PretrainSettings, batches: ConditionBatches, accelerator: Accelerator) -> dict[str, Any]:
    """The parts of a run, as :func:`noiseda.fit` takes them; weights are drawn from the seed."""
    torch.manual_seed(settings.seed)
    network = build_predictor(as_adaptation(settings), conditions=settings.conditions)
    carrier = Carrier(Denoiser(network, PREDICTIONS[settings.prediction]), channels=settings.channels)
    schedule = Schedule(settings.schedule, settings.levels)
    return {
        "model": carrier,
        "objective": Pretraining(carrier, schedule, conditions=settings.conditions),
        "data": batches,
        "training": training_of(settings),
        "lr_schedule": LR_SCHEDULES["cosine"],
        "seed": settings.seed,
        "accelerator": accelerator,
    }


def _made_of(settings: PretrainSettings) -> dict[str, Any]:
    """What decides what a run computes, beside its images."""
    named = ("seed", "channels", "conditions", "untouched", "unrelated", "schedule", "levels", "prediction")
    tree = {name: getattr(settings, name) for name in named}
    return {"objective": "pretraining", **tree, "training": training_of(settings), "predictor": settings.predictor}


def _write(settings: PretrainSettings, carrier: Carrier, weights: Path) -> None:
    """Write the averaged noise predictor as a file of its own, in place of what the run wrote for a restorer."""
    carrier.load_state_dict(load_file(weights))
    usual = as_adaptation(settings)
    save_predictor(
        settings.out,
        Predictor(
            carrier.denoiser.network,
            settings.predictor.kind,
            predictor_arguments(usual, conditions=settings.conditions),
            settings.schedule,
            settings.prediction,
            {"steps": str(settings.steps), "seed": str(settings.seed)},
        ),
    )
    weights.unlink(missing_ok=True)


def _steps_that_fit(
    settings: PretrainSettings, batches: ConditionBatches, accelerator: Accelerator, began: float
) -> int:
    """How many steps fit into the minutes that are left: the run's own where it goes on, else by a short trial."""
    kept = settings.folder / "fit.yaml"
    if kept.exists() and checkpoints.found(settings.folder / "checkpoints"):
        return int(read_settings(kept)["training"]["steps"])
    if accelerator.is_main_process:
        say(f"measuring this machine: {TRIED} steps, none of which counts")
    never = TRIED + 1
    brief = replace(settings, steps=TRIED, log_every=never, checkpoint_every=never)
    with tempfile.TemporaryDirectory() as folder, StopRequest() as stop:
        run = begin(out=folder, **parts_of(brief, batches, accelerator))
        train(run, stop, trial=True)
    if stop.signal_number is not None:
        raise Interrupted(stop.signal_number)
    assert settings.minutes is not None
    left = 60 * settings.minutes - (time.perf_counter() - began)
    steps = [Pace(run.seconds / TRIED, 0.0).within(left).steps]
    broadcast_object_list(steps)
    return steps[0]
