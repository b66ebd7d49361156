"""Whose folder ``--out`` is: a run's, with its settings beside it, or nobody's yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from noiseda.config import AdaptSettings, LrScheduleName, TrainingSettings
from noiseda.errors import UserError
from noiseda.restorer_settings import NetworkChoice
from noiseda.settings_file import (
    computed,
    differences,
    from_tree,
    read_settings,
    to_tree,
    write_settings,
    write_tree,
)
from noiseda.training import checkpoints
from noiseda.training.plan import settled


def check_claim(settings: AdaptSettings, processes: int = 1) -> None:
    """Check that a run may begin in ``--out``, or continue there.

    A run that has no checkpoint yet may be begun anew with other settings.

    Args:
        settings: those of the run to come.
        processes: how many will train together.

    Raises:
        UserError: where it is a file; or the folder holds a run with other settings, or other samples a step; each is
            named with its old and new value.
    """
    if settings.out.exists() and not settings.out.is_dir():
        raise UserError(f"--out {settings.out} is a file: give a folder, new or of a run that goes on")
    path, folder = settings.out / "settings.yaml", settings.out / "checkpoints"
    if not path.exists() or not checkpoints.found(folder):
        return
    changed = differences(earlier_settings(path), settled(settings))
    before = (checkpoints.latest(folder, mapped=True) or {}).get("samples")
    if before not in (None, samples_a_step(settings.training, processes)):
        changed.append(_other_samples(before, settings.training, processes))
    if changed:
        raise UserError(
            f"--out {settings.out} holds a run with other settings ({'; '.join(changed)}). "
            f"Give another --out, or remove that folder to start anew{_further(settings, changed)}"
        )


def earlier_settings(path: Path) -> AdaptSettings:
    """What a run's settings file asked for, settled as far as it can be without the images.

    Raises:
        UserError: where they are not those of a run.
    """
    try:
        return settled(as_begun(from_tree(read_settings(path)), path))
    except (TypeError, KeyError) as error:
        raise UserError(f"{path} is no settings file of a run ({error}): give another --out") from error


def as_begun(asked: AdaptSettings, path: Path) -> AdaptSettings:
    """What is asked for, as it was meant when a run began that goes on.

    Runs began with a U-Net whose layers learnt alike, later with another network, now with ready weights. From those
    the learning rate fell in the last fifth alone, and now along a cosine; and white pairs kept what they know.

    Args:
        asked: the settings.
        path: the settings file of the run in its folder, where there is one.
    """
    if not path.exists():
        return asked
    restorer, training = asked.restorer, asked.training
    old = "lr_scaling" not in (read_settings(path).get("training") or {})
    if old and restorer.network == "auto" and restorer.weights is None:
        restorer = replace(restorer, network="unet")
    elif restorer.says_nothing:
        restorer = replace(restorer, network=_planned(path.with_name("plan.yaml")))
    if old:
        training = replace(training, lr_scaling="none", learning_rate=training.rate)
    meant = _reminded(replace(asked, restorer=restorer, training=training), path.with_name("plan.yaml"))
    if old or training.lr_schedule != "auto" or not checkpoints.found(path.with_name("checkpoints")):
        return meant
    begun = _schedule(path.with_name("plan.yaml"))
    if begun == settled(meant).training.lr_schedule:
        return meant  # what was asked for stays open, as it was
    return replace(meant, training=replace(training, lr_schedule=begun))


def _reminded(asked: AdaptSettings, plan: Path) -> AdaptSettings:
    """With white pairs beside matched ones, where a run began so that would be reminded by example today."""
    degradation = read_settings(plan).get("degradation") if plan.exists() else None
    if degradation is None or "remembered" in degradation or not checkpoints.found(plan.with_name("checkpoints")):
        return asked
    if asked.degradation.remembered is not None or not settled(asked).degradation.remembered:
        return asked
    return replace(asked, degradation=replace(asked.degradation, kind="white+3*matched", remembered=0.0))


def _planned(plan: Path) -> NetworkChoice:
    """The network that a run began with from random weights; auto where it began with ready ones, or not at all."""
    restorer = read_settings(plan).get("restorer") if plan.exists() else None
    return "auto" if restorer is None or restorer.get("weights") else restorer.get("network", "auto")


def _schedule(plan: Path) -> LrScheduleName:
    """The course of the learning rate that a run began with; auto where no plan says it."""
    training = read_settings(plan).get("training") if plan.exists() else None
    schedule: LrScheduleName = (training or {}).get("lr_schedule", "auto")
    return schedule


def claim_objects(out: Path, made_of: Mapping[str, object]) -> None:
    """Make a folder that of a run of objects that were handed in.

    Args:
        out: the folder.
        made_of: what decides what the run computes, as far as it can be written down; ``training`` among it.

    Raises:
        UserError: where it belongs to another run, or cannot be written.
    """
    path, tree = out / "fit.yaml", to_tree(made_of)
    try:
        if (out / "settings.yaml").exists():
            raise UserError(f"{out} holds a run of noiseda adapt: give another folder")
        if path.exists() and checkpoints.found(out / "checkpoints"):
            old, new = {"training.lr_scaling": "none"} | computed(read_settings(path)), computed(tree)
            changed = [
                f"{name} was {old.get(name)}, now is {value}" for name, value in new.items() if old.get(name) != value
            ]
            if changed:
                raise UserError(f"{out} holds a run with other settings ({'; '.join(changed)}): give another folder")
        out.mkdir(parents=True, exist_ok=True)
        write_tree(tree, path)
    except OSError as error:
        raise UserError(f"the folder {out} cannot be written: {error.strerror or error}") from error


def _further(settings: AdaptSettings, changed: list[str]) -> str:
    """How to train a finished run for longer, where that is what was asked for."""
    if len(changed) != 1 or not changed[0].startswith("--training.steps "):
        return ""
    weights = settings.out / "restorer.safetensors"
    if not weights.exists():
        return ". The number of steps decides the learning rate of each, so that a run keeps the one it began with"
    return (
        f". To train longer, go on from its finished weights: --weights {weights} --out NEW, with --training.steps for "
        "the further steps alone (a run of its own, with its own learning rate from the first step to the last)"
    )


def samples_a_step(training: TrainingSettings, processes: int) -> int:
    """Samples of each domain in an optimiser step, over all processes and accumulated batches."""
    return training.batch * training.gradient_accumulation * processes


def _other_samples(before: int, training: TrainingSettings, processes: int) -> str:
    """Say that a step would have another number of samples than it had, and which settings would keep it."""
    now = samples_a_step(training, processes)
    noun = "process" if processes == 1 else "processes"
    share, rest = divmod(before, processes)
    if rest:
        keep = f"no --training.batch keeps {before}, which cannot be split between {processes} {noun}"
    elif share % training.gradient_accumulation:
        keep = f"--training.batch {share} --training.gradient_accumulation 1 would keep {before}"
    else:
        keep = f"--training.batch {share // training.gradient_accumulation} would keep {before}"
    return (
        f"samples a step were {before}, now are {now}: {processes} {noun} x --training.batch {training.batch} x "
        f"--training.gradient_accumulation {training.gradient_accumulation}; {keep}"
    )


def claim_run_directory(settings: AdaptSettings, processes: int = 1) -> None:
    """Make the run's folder ours, and clear away what a kill cut off while it was written.

    Args:
        settings: those of the run to come.
        processes: how many will train together.

    Raises:
        UserError: where it belongs to another run (see :func:`check_claim`) or cannot be written.
    """
    try:
        check_claim(settings, processes)
        settings.out.mkdir(parents=True, exist_ok=True)
        for partial in settings.out.glob(".*.part"):
            partial.unlink()
        write_settings(settings, settings.out / "settings.yaml")
    except OSError as error:
        raise UserError(f"--out {settings.out} cannot be written: {error.strerror or error}") from error
