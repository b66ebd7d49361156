"""The end of a run: the averaged weights as one file, and a summary of how they came about."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path

from noiseda.assessment.retention import Kept, earlier_files, first_step, keep, known_pairs
from noiseda.assessment.verdict import Verdict, judge
from noiseda.errors import UserError
from noiseda.precision import FULL
from noiseda.report.logged import read_log
from noiseda.restoration import Restorer, save_weights
from noiseda.restoration.as_trained import like, load_as_trained
from noiseda.storage import atomic
from noiseda.tasks import TASKS
from noiseda.training.build import files_of, pairs_of
from noiseda.training.state import Run


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
        validation: step and mean PSNR (dB) of the shipped weights on the validation pairs, else on look-alikes of the
            user's photographs, where there are any.
        kept: how far the adaptation was followed, and what it cost of what the network knew before: see
            :class:`noiseda.assessment.retention.Kept`; None where there was nothing before.
        blew_up: first step at which gradients had become many times as large as usual, so that what the network knew
            was lost, and the run went back to its averaged weights (:mod:`noiseda.training.divergence`); else None.
        rate: share of the learning rate that the run ended with: halved at each such step.
        verdict: whether to use the weights, and why: see :class:`noiseda.assessment.verdict.Verdict`.
        made_by: version, commit, machine of the sitting that finished the run.
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
    kept: Kept | None
    blew_up: int | None
    rate: float
    verdict: Verdict | None
    made_by: dict[str, str]


def finish(run: Run) -> Summary:
    """Write the averaged weights (the best scored ones where they were scored) and the summary.

    Where the run began with weights that knew something, or came to have such, the weights written lie on the way from
    these as far as ``--training.max_regression_db`` allows.
    """
    case, plan = run.case, run.case.plan
    weights = run.out / "restorer.safetensors"
    late = [line for line in read_log(run.out / "log.jsonl") if line["step"] > 0.9 * run.done]
    lines = [line for line in late if "loss" in line]  # not those of the validation
    others = ("step", "learning_rate", "samples_per_second", "waiting_for_data")
    names = [name for name in (lines[-1] if lines else {}) if name not in others]
    restorer = sum(parameter.numel() for parameter in run.objective.restorer.parameters())
    everything = sum(parameter.numel() for parameter in run.objective.parameters())
    kept = verdict = None
    if run.accelerator.is_main_process:
        best = run.out / "best.safetensors"
        network = run.average.network
        assert isinstance(network, Restorer)
        network = network if run.best is None else like(network, best).to(run.accelerator.device)
        network, kept = _keep(run, network)
        if run.best is None or (kept and kept.share < 1):
            write_weights(run, weights, network)
        else:
            _write(weights, best.read_bytes())
        if run.tried is not None and plan is not None:
            verdict = judge(load_as_trained(weights).to(run.accelerator.device), run.tried, plan.settings)
    summary = Summary(
        weights=weights,
        task=case.task,
        strategy=case.strategy,
        steps=run.done,
        seed=run.seed,
        seconds=round(run.seconds, 1),
        parameters={"restorer": restorer, "thrown_away": everything - restorer},
        images={flag: len(groups) for flag, groups in case.groups.items()},
        skipped=[{"path": str(image.path), "reason": image.reason} for image in case.skipped],
        terms={name: sum(line[name] for line in lines if name in line) / len(lines) for name in names},
        validation=run.best,
        kept=kept,
        blew_up=run.blew_up,
        rate=run.rate,
        verdict=verdict,
        made_by=run.made_by,
    )
    if run.accelerator.is_main_process:
        text = json.dumps(dataclasses.asdict(summary), indent=2, default=str)
        _write(run.out / "summary.json", text.encode())
    run.accelerator.wait_for_everyone()
    return summary


def _keep(run: Run, network: Restorer) -> tuple[Restorer, Kept | None]:
    """Take the network back towards what it was before, as far as what it knew then asks for, and report both."""
    if run.case.plan is None:
        return network, None
    settings, begins = run.case.plan.settings, run.objective.real_from
    allowed, files = settings.training.max_regression_db, earlier_files(settings, begins)
    step = run.done if run.best is None else int(run.best["step"])
    if not files or step <= first_step(begins, settings.training.steps):
        return network, None
    pairs = known_pairs(settings, files_of(run.case.groups, "clean"), pairs_of(run.case.groups), run.case.deep.white)
    if not pairs:  # in shards
        return network, None
    earlier = [load_as_trained(path).to(run.accelerator.device) for path in files]
    allowed, shifted = math.inf if allowed is None else allowed, TASKS[settings.task].retention.at_best_shift
    return keep(earlier, network, pairs, allowed, settings.training.precision, shifted=shifted)


def _write(path: Path, content: bytes) -> None:
    try:
        with atomic(path) as file:
            file.write(content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; the last checkpoint is kept") from error


def snapshot(out: Path, step: int) -> Path:
    """Where ``--training.snapshot_every`` keeps the averaged weights of a step.

    >>> snapshot(Path("runs/adapt"), 500).as_posix()
    'runs/adapt/snapshots/000500.safetensors'
    """
    return out / "snapshots" / f"{step:06}.safetensors"


def write_weights(run: Run, path: Path, network: Restorer | None = None) -> None:
    """Write the averaged weights, or those of another network of the run, with their description."""
    case = run.case
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; the last checkpoint is kept") from error
    restorer = network or run.average.network
    white = {} if case.deep.white == FULL else {"white_level": str(case.deep.white)}
    assert isinstance(restorer, Restorer)
    save_weights(
        path,
        restorer.tensors(),
        architecture=restorer.architecture,
        arguments=restorer.arguments,
        task=case.task,
        notes={
            "strategy": case.strategy,
            "steps": str(run.done),
            "seed": str(run.seed),
            **white,
            **run.made_by,
        },
    )
