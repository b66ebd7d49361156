"""The end of a run: the averaged weights as one file, and a summary of how they came about."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from noiseda.assessment.retention import Kept, earlier_files, first_step, keep, known_pairs
from noiseda.assessment.verdict import Verdict, judge
from noiseda.config import AdaptSettings
from noiseda.errors import UserError
from noiseda.precision import FULL
from noiseda.report.logged import read_log
from noiseda.restoration import Restorer, save_weights
from noiseda.restoration.as_trained import like, load_as_trained
from noiseda.storage import atomic
from noiseda.tasks import TASKS
from noiseda.training.build import files_of, pairs_of
from noiseda.training.logger import say
from noiseda.training.state import Run

Shipped = Literal["trained", "start"]
"""Which weights a run ships: those that it trained, or those that it started from."""


@dataclass(frozen=True)
class Summary:
    """What a run made, as written to ``summary.json``.

    Attributes:
        weights: the network to use.
        shipped: ``trained``; or ``start``, where the network that the run started from is the better one by the
            verdict: then the weights are those, and the trained ones lie beside them (:func:`trained_weights`).
        task: denoise, derain, deblur or dejpeg.
        strategy: how it was trained.
        steps: number of optimiser steps.
        seed: the run's seed.
        seconds: time spent in training, over all sittings.
        parameters: number of weights of the restorer, and of all that was thrown away.
        images: number of images used, by flag.
        skipped: images that could not be used: path and reason.
        terms: mean of each loss over the last tenth of the run.
        validation: step and mean PSNR (dB) of the trained weights on the validation pairs, else on look-alikes of the
            user's photographs, where there are any.
        kept: how far the adaptation was followed, and what it cost of what the network knew before: see
            :class:`noiseda.assessment.retention.Kept`; None where there was nothing before.
        blew_up: first step at which gradients had become many times as large as usual, so that what the network knew
            was lost, and the run went back to its averaged weights (:mod:`noiseda.training.divergence`); else None.
        rate: share of the learning rate that the run ended with: halved at each such step.
        verdict: whether to use the trained weights, and why: see :class:`noiseda.assessment.verdict.Verdict`.
        made_by: version, commit, machine of the sitting that finished the run.
    """

    weights: Path
    shipped: Shipped
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

    @property
    def advice(self) -> str:
        """What a verdict of "worse" means for whoever uses the weights; empty where there is none."""
        if self.verdict is None or self.verdict.word != "worse":
            return ""
        if self.shipped == "trained":
            return f"so keep {self.verdict.than}; more steps, or more photographs, may do better"
        return (
            f"so {self.weights.name} holds the network that it started from, and "
            f"{trained_weights(self.weights.parent).name} the trained one (--ship_worse ships that); more steps, or "
            "more photographs, may do better"
        )


def finish(run: Run) -> Summary:
    """Write the averaged weights (the best scored ones where they were scored) and the summary.

    Where the run began with weights that knew something, or came to have such, the weights written lie on the way from
    these as far as ``--training.max_regression_db`` allows. Where these are worse than what the run started from, that
    is what it ships, unless ``--ship_worse`` asks for the trained ones.
    """
    case = run.case
    weights = run.out / "restorer.safetensors"
    late = [line for line in read_log(run.out / "log.jsonl") if line["step"] > 0.9 * run.done]
    lines = [line for line in late if "loss" in line]  # not those of the validation
    others = ("step", "learning_rate", "samples_per_second", "waiting_for_data")
    names = [name for name in (lines[-1] if lines else {}) if name not in others]
    restorer = sum(parameter.numel() for parameter in run.objective.restorer.parameters())
    everything = sum(parameter.numel() for parameter in run.objective.parameters())
    kept, verdict, shipped = (
        _write_restorer(run, weights) if run.accelerator.is_main_process else (None, None, "trained")
    )
    summary = Summary(
        weights=weights,
        shipped=shipped,
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


def trained_weights(out: Path) -> Path:
    """Where the trained weights lie while they are judged, and afterwards where others are shipped.

    >>> trained_weights(Path("runs/adapt")).as_posix()
    'runs/adapt/trained.safetensors'
    """
    return out / "trained.safetensors"


def _write_restorer(run: Run, weights: Path) -> tuple[Kept | None, Verdict | None, Shipped]:
    """Write the weights to ship, once the trained ones are judged: what is decided depends on files alone."""
    plan, trained = run.case.plan, trained_weights(run.out)
    kept, verdict = _write_trained(run, trained), None
    if run.tried is not None and plan is not None:
        say(f"judging the weights on {run.tried}: a minute or two")
        verdict = judge(load_as_trained(trained).to(run.accelerator.device), run.tried, plan.settings)
    origin = None if plan is None or verdict is None else _better_start(plan.settings, verdict)
    if origin is not None:
        write_weights(run, weights, load_as_trained(origin), strategy="start", steps=0)
        return kept, verdict, "start"
    try:
        trained.replace(weights)
    except OSError as error:
        raise _unwritten(weights, error) from error
    return kept, verdict, "trained"


def _better_start(settings: AdaptSettings, verdict: Verdict) -> Path | None:
    """The weights that a run started from, where its own are worse than those."""
    compared = settings.baseline is None  # else the verdict is about others
    return settings.restorer.origin if verdict.word == "worse" and compared and not settings.ship_worse else None


def _write_trained(run: Run, path: Path) -> Kept | None:
    """Write what the run trained, as far as it may be followed, and report what that keeps."""
    best = run.out / "best.safetensors"
    network = run.average.network
    assert isinstance(network, Restorer)
    network = network if run.best is None else like(network, best).to(run.accelerator.device)
    network, kept = _keep(run, network)
    if run.best is None or (kept and kept.share < 1):
        write_weights(run, path, network)
    else:
        _write(path, best.read_bytes())
    return kept


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
    say(f"measuring on {len(pairs)} pairs what the network still knows: a minute or two")
    earlier = [load_as_trained(path).to(run.accelerator.device) for path in files]
    allowed, shifted = math.inf if allowed is None else allowed, TASKS[settings.task].retention.at_best_shift
    return keep(earlier, network, pairs, allowed, settings.training.precision, shifted=shifted)


def _write(path: Path, content: bytes) -> None:
    try:
        with atomic(path) as file:
            file.write(content)
    except OSError as error:
        raise _unwritten(path, error) from error


def _unwritten(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot write {path}: {error.strerror or error}; the last checkpoint is kept")


def snapshot(out: Path, step: int) -> Path:
    """Where ``--training.snapshot_every`` keeps the averaged weights of a step.

    >>> snapshot(Path("runs/adapt"), 500).as_posix()
    'runs/adapt/snapshots/000500.safetensors'
    """
    return out / "snapshots" / f"{step:06}.safetensors"


def write_weights(
    run: Run, path: Path, network: Restorer | None = None, *, strategy: str | None = None, steps: int | None = None
) -> None:
    """Write the averaged weights, or those of another network of the run, with their description.

    Args:
        run: the run.
        path: the file.
        network: by default the averaged one.
        strategy: how it was trained, by default by the run's.
        steps: for how long, by default as long as the run until now.
    """
    case = run.case
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise _unwritten(path, error) from error
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
            "strategy": case.strategy if strategy is None else strategy,
            "steps": str(run.done if steps is None else steps),
            "seed": str(run.seed),
            **white,
            **run.made_by,
        },
    )
