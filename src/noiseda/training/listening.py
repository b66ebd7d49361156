"""What the judge of a run listens to: measured while it trains, shown in TensorBoard and on the run's page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from noiseda.adaptation import NoiseSpace, Objective
from noiseda.adaptation.pretraining import Pretraining
from noiseda.diffusion import Denoiser, Schedule
from noiseda.diffusion.sensitivity import Sensitivity, sensitivity
from noiseda.errors import UserError
from noiseda.report.parts import Chart, Line
from noiseda.storage import put
from noiseda.training.logger import Journal
from noiseda.training.state import Run

SHOWN = 4
"""Images that it is measured on."""


def table_of(out: Path) -> Path:
    """Where a run keeps what its judge last listened to.

    >>> table_of(Path("runs/adapt")).as_posix()
    'runs/adapt/sensitivity.json'
    """
    return out / "sensitivity.json"


def judge_of(objective: Objective[Any]) -> tuple[Denoiser, Schedule, int] | None:
    """The noise predictor of an objective, its schedule, and how many conditions it takes; None where it has none."""
    for part in objective.modules():
        if isinstance(part, NoiseSpace):
            return part.denoiser, Schedule(part.settings.schedule), 2 if part.paired else 1
        if isinstance(part, Pretraining):
            return part.restorer.denoiser, part.schedule, part.conditions
    return None


def listen(run: Run, clean: Tensor, journal: Journal) -> None:
    """Measure what the judge of a run listens to, where it has one, and note it.

    Nothing is drawn that the run draws from. Of several processes none does, since weights may be spread over them.

    Args:
        run: the run.
        clean: (B, C, *spatial) clean signals in [0, 1] of the batch.
        journal: where it is noted.

    Raises:
        UserError: the disk is full.
    """
    judge = judge_of(run.objective)
    if journal.silent or judge is None or run.accelerator.num_processes > 1:
        return
    denoiser, schedule, conditions = judge
    found = sensitivity(denoiser, clean[:SHOWN], schedule.alpha_bar, conditions=conditions)
    journal.table(run.done, "judge", found.markdown(), found.means())
    try:
        put(table_of(run.out), _written(found, run.done))
    except OSError as error:
        raise UserError(f"{table_of(run.out)} cannot be written: {error.strerror or error}") from error


def listening_charts(out: Path) -> list[Chart]:
    """What the judge of a run last listened to: a drawing for each way of spoiling a condition; none without a judge.

    Args:
        out: folder of the run.
    """
    if not table_of(out).exists():
        return []
    done, found = _read(table_of(out))
    charts = []
    for corruption in dict.fromkeys(corruption for corruption, _ in found.rises):
        shown = {f"in condition {place}": rises for (name, place), rises in found.rises.items() if name == corruption}
        note = f"How much larger it is than with clean conditions, after step {done}. At 0 the judge does not listen."
        if corruption in found.beside:
            shown["in another image"] = found.beside[corruption]
            note += " Another image is what the real one is to it: below 0 it teaches to spoil that."
        lines = [Line(name, list(zip(map(float, found.steps), rises, strict=True))) for name, rises in shown.items()]
        charts.append(Chart(f"the judge's error with {corruption}", lines, x="diffusion step t", note=note))
    return charts


def _written(found: Sensitivity, done: int) -> bytes:
    rises = [[*key, list(rise)] for key, rise in found.rises.items()]
    tree = {"step": done, "t": found.steps, "error": found.error, "rises": rises, "beside": dict(found.beside)}
    return json.dumps(tree, indent=1).encode()


def _read(path: Path) -> tuple[int, Sensitivity]:
    tree = json.loads(path.read_text(encoding="utf-8"))
    rises = {(name, place): tuple(rise) for name, place, rise in tree["rises"]}
    beside = {name: tuple(rise) for name, rise in tree.get("beside", {}).items()}
    return tree["step"], Sensitivity(tuple(tree["t"]), tuple(tree["error"]), rises, beside)
