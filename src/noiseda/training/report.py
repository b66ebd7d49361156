"""The page at the end of a run: its verdict, some of the user's photographs before and after, curves, settings."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from noiseda import plain_yaml
from noiseda.assessment.pictures import PHOTOGRAPHS, restored, scores_of, sentence, tone
from noiseda.assessment.retention import earlier_weights
from noiseda.assessment.verdict import baseline_of
from noiseda.data.batches import generator
from noiseda.data.depth import shown
from noiseda.data.folders import spread
from noiseda.data.shards import ShardSet
from noiseda.errors import ImageError, UserError
from noiseda.estimation.finding import finding
from noiseda.images import read
from noiseda.report import Finding, Report, write_report
from noiseda.report.logged import charts, measured_once, read_log
from noiseda.restoration import Restorer
from noiseda.restoration.as_trained import load_as_trained
from noiseda.settings_file import flatten, to_tree
from noiseda.training.build import files_of
from noiseda.training.finish import Summary, trained_weights
from noiseda.training.found import Found
from noiseda.training.listening import listening_charts
from noiseda.training.logger import say
from noiseda.training.plan import Plan

_NO_VERDICT = "There was nothing to judge this run by: no pairs of --validation, no look-alikes of your photographs."

log = logging.getLogger(__name__)


def report_of(out: Path) -> Path:
    """Where a run's page lies.

    >>> report_of(Path("runs/adapt")).as_posix()
    'runs/adapt/report.html'
    """
    return out / "report.html"


def report(plan: Plan, found: Found, summary: Summary, device: torch.device) -> None:
    """Write the page of a finished run; where that fails, say so: the weights are there already.

    Args:
        plan: what was done.
        found: with what.
        summary: what came of it.
        device: where photographs are restored.
    """
    path = report_of(plan.settings.out)
    say(f"writing {path}")
    try:
        write_report(path, run_page(plan, found, summary, device))
    except (OSError, UserError, RuntimeError, MemoryError) as error:  # RuntimeError: no memory on the device
        log.warning("%s could not be written; weights and summary are not affected: %s", path, error)


def run_page(plan: Plan, found: Found, summary: Summary, device: torch.device) -> Report:
    """What the page of a run shows.

    Args:
        plan: what was done.
        found: with what.
        summary: what came of it.
        device: where photographs are restored.

    Raises:
        UserError: a file of the run cannot be read.
    """
    settings, verdict = plan.settings, summary.verdict
    networks = {label: load_as_trained(path).to(device) for label, path in _weights(plan, summary)}
    photographs = [restored(*each, networks) for each in _photographs(plan, found)]
    of = "your pairs" if found.validation else "look-alikes"
    lines = read_log(settings.out / "log.jsonl")
    return Report(
        title=f"noiseda adapt: {settings.task}",
        verdict=_NO_VERDICT if verdict is None else sentence(verdict),
        tone="plain" if verdict is None else tone(verdict.word),
        because="" if verdict is None else f"{_capital(verdict.because)}.",
        facts=_facts(summary),
        found=_finding(plan, found),
        comparisons=[each.comparison() for each in photographs],
        looking=_looking(found, networks),
        charts=[*charts(lines, of=of), *listening_charts(settings.out)],
        table=scores_of(photographs, found.deep.levels),
        notes=[*_notes(found, summary), *(f"{_capital(each)}." for each in measured_once(lines, of=of))],
        settings=settings_of(plan),
        made_by=summary.made_by,
    )


def settings_of(plan: Plan) -> str:
    """The settings that a run was carried out with, led by what was asked for where that left something open.

    Args:
        plan: what was done.
    """
    asked, done = (flatten(to_tree(settings)) for settings in (plan.asked, plan.settings))
    settled = {name: value for name, value in done.items() if value != asked[name]}
    lines = [f"#   {name}: asked for {_plain(asked[name])}, done {_plain(value)}" for name, value in settled.items()]
    head = ["# What the run settled by itself:", *lines, ""] if lines else []
    return "\n".join(["# What the run did (plan.yaml)", *head, plain_yaml.dump(to_tree(plan.settings))])


def _plain(value: object) -> str:
    """A value as a settings file has it.

    >>> _plain(None), _plain(True), _plain("auto")
    ('null', 'true', 'auto')
    """
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _weights(plan: Plan, summary: Summary) -> list[tuple[str, Path]]:
    """The trained weights, whether they are shipped or not, and before them those that they are shown beside."""
    earlier = earlier_weights(plan.settings.out)
    before = baseline_of(plan.settings) or (earlier if earlier.exists() else None)
    adapted = summary.weights if summary.shipped == "trained" else trained_weights(plan.settings.out)
    return [*([] if before is None else [("before", before)]), ("adapted", adapted)]


def _photographs(plan: Plan, found: Found) -> Iterator[tuple[str, Tensor, Tensor | None]]:
    """Name, pixels and target of some of the user's pairs; where there are none, of their photographs."""
    pairs = found.groups.get("validation", [])
    if found.validation and not isinstance(pairs, ShardSet):
        for index in spread(len(found.validation), PHOTOGRAPHS):
            yield pairs[index][0].name, *found.validation[index]
        return
    files = files_of(found.groups, "real")
    for index in spread(len(files), PHOTOGRAPHS):
        try:
            picture = read(files[index], max_megapixels=plan.settings.max_megapixels, say=False)
        except ImageError:  # it was there when the run began
            continue
        yield files[index].name, shown([picture], found.deep.white)[0], None


def _finding(plan: Plan, found: Found) -> Finding | None:
    """What the photographs went through, and what was chosen for that."""
    said = finding(found.like, generator(plan.settings.seed, "report"))
    if said is None:
        return None
    return replace(said, words=" ".join([said.words, *(f"{_capital(reason)}." for reason in plan.because)]))


def _facts(summary: Summary) -> dict[str, str]:
    facts = {}
    if summary.verdict is not None:
        facts["gain"] = f"{summary.verdict.gain[0]:+.2f} dB"
    if summary.kept is not None:
        facts["on what it knew before"] = f"{summary.kept.after - summary.kept.before:+.2f} dB"
    if "real" in summary.images:
        facts["photographs"] = str(summary.images["real"])
    return facts | {"steps": str(summary.steps), "training": _time(summary.seconds)}


def _time(seconds: float) -> str:
    """A length of time in one unit.

    >>> _time(42.3), _time(754), _time(9000)
    ('42 s', '13 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _looking(found: Found, networks: Mapping[str, Restorer]) -> str:
    which = "Some pairs of --validation" if found.validation else "Some of your photographs"
    before = " Before is what the run started from, or what it had learnt from clean photographs alone."
    return (
        f"{which}, of large ones the part with the most structure.{before if 'before' in networks else ''} "
        "Drag the line, or show all side by side; + and - zoom."
    )


def _notes(found: Found, summary: Summary) -> list[str]:
    notes = [summary.advice] if summary.advice else []
    notes += [] if summary.kept is None else [str(summary.kept)]
    if summary.blew_up is not None:
        notes.append(
            f"the run blew up at step {summary.blew_up} and ended with {summary.rate:g} of its learning rate: try a "
            "smaller --training.learning_rate"
        )
    left_out = [f"left out: {image.reason}" for image in found.skipped]
    return [f"{_capital(note)}." for note in (*notes, *found.others, *left_out)]


def _capital(text: str) -> str:
    """A sentence that begins with a capital.

    >>> _capital("it ends"), _capital("28.31 dB")
    ('It ends', '28.31 dB')
    """
    return text[:1].upper() + text[1:]
