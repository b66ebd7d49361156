"""``noiseda compare``: carry out every run of a matrix, score it, and draw up the table."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from noiseda import UserError
from noiseda.evaluation import PROTOCOLS
from noiseda.report import write_report
from noiseda.storage import atomic, spelt
from noiseda.training import provenance
from noiseda_research.comparison import knowing, runs
from noiseda_research.comparison.figures import Curves, draw_curves, draw_sheet
from noiseda_research.comparison.knowing import Point, agreement, signals_of
from noiseda_research.comparison.matrix import (
    Cell,
    CompareSettings,
    Job,
    cells,
    clean_of,
    fill,
    protocol_of,
    shown,
    weights_of,
    words_of,
)
from noiseda_research.comparison.page import SetOfImages, comparison_page
from noiseda_research.comparison.scores import Scores, curve, measure_of, name_of, score
from noiseda_research.comparison.table import Line, lines, markdown

PICTURES = 4
"""Images of each test on the picture sheet."""


@dataclass(frozen=True)
class CompareReport:
    """What a comparison found.

    Attributes:
        folder: where report.html, table.md, results.json and the figures lie.
        table: the table in Markdown.
        failed: run -> why it failed; its cells are left out of the table.
    """

    folder: Path
    table: str
    failed: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether all runs went well."""
        return not self.failed

    def __str__(self) -> str:
        """The table, where everything lies, and what failed."""
        files = f"{self.folder}: report.html, table.md, results.json, curves-*.png, sheet-*.png"
        return "\n".join([self.table, "", files, *(f"failed: {name}: {why}" for name, why in self.failed.items())])


@dataclass
class Found:
    """What is known so far.

    Attributes:
        scores: set -> test -> strategy -> seed -> scores; the set's own test is called ``test``.
        curves: set -> strategy -> seed -> points.
        costs: set -> strategy -> seed -> seconds, steps, memory.
        points: set -> label-free signals and PSNR of each snapshot.
    """

    scores: dict[str, dict[str, dict[str, dict[int, Scores]]]] = field(default_factory=dict)
    curves: dict[str, Curves] = field(default_factory=dict)
    costs: dict[str, dict[str, dict[int, dict[str, Any]]]] = field(default_factory=dict)
    points: dict[str, list[Point]] = field(default_factory=dict)


def compare(settings: CompareSettings) -> CompareReport:
    """Compare strategies on sets of real images over seeds; running it again continues it.

    Args:
        settings: the matrix.

    Returns:
        The table; ``results.json`` in the folder has every figure by name, of every image and seed.

    Raises:
        UserError: settings that are wrong, images that are missing.
        Interrupted: Ctrl-C or SIGTERM; the same command continues.
    """
    settings.check()
    plan = list(cells(settings))
    _write(settings.out / "matrix.json", json.dumps(dataclasses.asdict(settings), indent=2, default=str))
    for name in settings.simulated:
        runs.render(settings, name)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    console = Console(stderr=True, highlight=False, markup=False)
    found, failed = Found(), dict[str, str]()
    for name in shown(settings)[0]:
        runs.choose(settings, name)
        _score_input(settings, name, found)
    wanted: dict[Job, Job | None] = {}
    for cell in plan:
        wanted |= ({cell.start: None} if cell.start else {}) | {cell.job: cell.start}

    def settle(number: int, ended: runs.Ended) -> None:
        if ended.failure:
            failed[ended.job.name] = ended.failure
            lines = [f"{ended.job.name} failed: {ended.failure}"]
        else:
            lines = [_take(settings, cell, ended.job, found) for cell in plan if ended.job in (cell.start, cell.job)]
        for line in dict.fromkeys(lines):  # a start is that of many cells
            console.print(f"{number}/{len(wanted)}  {line}")
        _report(settings, plan, found, failed)  # after each run: a stop leaves what is known

    # Networks are scored beside the runs under way, which would otherwise not be followed by others meanwhile.
    with ThreadPoolExecutor(1) as aside:
        settled = []
        try:
            for number, ended in enumerate(runs.carry_out(list(wanted.items()), settings), 1):
                settled.append(aside.submit(settle, number, ended))
        except BaseException:
            aside.shutdown(cancel_futures=True)
            raise
        for future in settled:
            future.result()
    return _report(settings, plan, found, failed)


def plan_of(settings: CompareSettings) -> str:
    """What would be run, a line for each run, and whether it is done.

    Raises:
        UserError: as :func:`compare` before it starts.
    """
    settings.check()
    jobs: dict[str, str] = {}
    for cell in cells(settings):
        for job in filter(None, (cell.start, cell.job)):
            state = "done" if runs.is_done(job) else f"{job.settings.training.steps} steps"
            what = "start" if job is cell.start else cell.strategy
            jobs.setdefault(job.name, f"{cell.set:<16}{what:<32}seed {cell.seed}  {state:<12}{job.name}")
    return "\n".join([*jobs.values(), f"{len(jobs)} runs (dry run: nothing is written)"])


def _tests(settings: CompareSettings, name: str) -> dict[str, Path]:
    """The set's own test, and its further ones."""
    words, one = words_of(settings, name), settings.sets[name]
    also = fill(dict(one.also), words, f"sets.{name}.also")
    return {test: Path(place) for test, place in ({"test": words["test"]} | also).items()}


def _measures(test: str, measure: str) -> list[tuple[str, str]]:
    """What a test is measured by, each with what its name says of it: further tests, at the best shift, also in place.

    >>> _measures("test", "psnr_best_shift"), _measures("shakes", "psnr_best_shift"), _measures("white", "psnr")
    ([('', 'psnr_best_shift')], [('', 'psnr_best_shift'), (' in place', 'psnr')], [('', 'psnr')])
    """
    return [("", measure)] + ([(" in place", "psnr")] if test != "test" and measure != "psnr" else [])


def _score_input(settings: CompareSettings, name: str, found: Found) -> None:
    """Score the degraded images of a set's tests as they are."""
    protocol = protocol_of(settings.sets[name], name)
    for test, place in _tests(settings, name).items():
        kept = settings.out / "scores" / "input" / f"{name_of(place, protocol)}.json"
        raw = score(None, place, protocol, kept, pictures=PICTURES)
        found.scores.setdefault(name, {})[test] = {"input": dict.fromkeys(settings.seeds, raw)}


def _take(settings: CompareSettings, cell: Cell, job: Job, found: Found) -> str:
    """Score a finished run where the table asks for it; returns a line that says what came out."""
    strategy = "start" if job == cell.start else cell.strategy
    protocol = protocol_of(settings.sets[cell.set], cell.set)
    kept = settings.out / "scores" / job.name
    tests = _tests(settings, cell.set)
    for test, place in tests.items():
        of = found.scores[cell.set][test].setdefault(strategy, {})
        if cell.seed not in of:
            file = kept / f"{name_of(place, protocol)}.json"
            of[cell.seed] = score(weights_of(job), place, protocol, file, pictures=PICTURES)
    if settings.curve_images and job == cell.job:
        drawn = kept / f"{cell.set}-curve.json"
        points = curve(job.settings.out, tests["test"], protocol, settings.curve_images, drawn)
        found.curves.setdefault(cell.set, {}).setdefault(strategy, {})[cell.seed] = points
        if settings.signal_images:
            real = Path(words_of(settings, cell.set)["adapt"]) / "input"
            clean = clean_of(settings, cell.set)
            judge = weights_of(job if cell.start is None else cell.start)
            known = signals_of(
                job.settings.out, real, clean, judge, settings.signal_images, kept / f"{cell.set}-signals.json"
            )
            found.points.setdefault(cell.set, []).extend(
                Point(strategy, cell.seed, point["step"], known[point["step"]], point["psnr"]) for point in points
            )
    cost = found.costs.setdefault(cell.set, {}).setdefault(strategy, {})[cell.seed] = runs.cost(job)
    measure = measure_of(protocol)
    mean = statistics.fmean(image[measure] for image in found.scores[cell.set]["test"][strategy][cell.seed].values())
    blown = "" if cost["blew_up"] is None else f"  blew up at step {cost['blew_up']}"
    return f"{cell.set}  {strategy}  seed {cell.seed}  {mean:.2f} dB  {cost['seconds']:.0f} s{blown}"


def _report(settings: CompareSettings, plan: list[Cell], found: Found, failed: Mapping[str, str]) -> CompareReport:
    """Write ``results.json``, ``table.md`` and ``report.html``, and draw the figures of all sets."""
    documents: dict[str, Any] = {}
    pages: list[SetOfImages] = []
    text = []
    for name, of in found.scores.items():
        protocol = PROTOCOLS[protocol_of(settings.sets[name], name)]
        measure = measure_of(protocol.name)
        tables: dict[str, list[Line]] = {
            test + where: lines(
                _ordered(settings, scores), reference=settings.reference, ceiling=settings.ceiling, measure=by
            )
            for test, scores in of.items()
            for where, by in _measures(test, measure)
        }
        costs = {
            strategy: {
                key: statistics.fmean(cost[key] for cost in by_seed.values())
                for key in ("seconds", "steps", "peak_gib")
                if all(cost[key] is not None for cost in by_seed.values())
            }
            for strategy, by_seed in found.costs.get(name, {}).items()
        }
        own = tables.pop("test")
        images = len(of["test"]["input"][settings.seeds[0]])
        text += [f"### {name}", "", f"{images} images. {protocol.sentence} Squared error in 1e-5.", ""]
        text += [markdown(own, costs, tables), ""]
        documents[name] = {
            "images": images,
            "protocol": protocol.name,
            "measure": measure,
            "lines": [line.to_dict() for line in own],
            "also": {test: [line.to_dict() for line in their] for test, their in tables.items()},
            "costs": found.costs.get(name, {}),
            "curves": found.curves.get(name, {}),
            "scores": of,
        }
        if name in found.curves:
            draw_curves(found.curves[name], settings.out / f"curves-{name}.png", title=name)
        scored = settings.out / "scores"
        place = _tests(settings, name)["test"]
        columns = {"input": scored / "input" / name_of(place, protocol.name)} | {
            cell.strategy: scored / cell.job.name / name_of(place, protocol.name)
            for cell in plan
            if cell.set == name and cell.seed == settings.seeds[0]
        }
        draw_sheet(
            columns, place / "target", settings.out / f"sheet-{name}.png", title=f"{name}, seed {settings.seeds[0]}"
        )
        pages.append(SetOfImages(name, own, costs, found.curves.get(name, {}), columns, place / "target"))
    known = {name: agreement(points, settings.reference) for name, points in found.points.items() if len(points) > 2}
    if known:
        text += ["### Signals that need no truth, against PSNR over all snapshots", "", knowing.markdown(known)]
    table = "\n".join(text).strip()
    made_by = provenance()
    document = {
        "made_by": made_by,
        "seeds": settings.seeds,
        "failed": dict(failed),
        "sets": documents,
        "signals": known,
    }
    _write(settings.out / "results.json", json.dumps(document, indent=1))
    _write(settings.out / "table.md", table + "\n")
    page = comparison_page(
        pages,
        reference=settings.reference,
        ceiling=settings.ceiling,
        failed=failed,
        settings=json.dumps(dataclasses.asdict(settings), indent=1, default=str),
        made_by=made_by,
    )
    write_report(settings.out / "report.html", page)
    return CompareReport(settings.out, table, failed)


def _ordered(settings: CompareSettings, scores: dict[str, dict[int, Scores]]) -> dict[str, dict[int, Scores]]:
    """Strategies as the settings list them, whichever came first; the input and the start before them."""
    return {name: scores[name] for name in ("input", "start", *settings.strategies) if name in scores}


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as file:
            file.write(spelt(text))
    except OSError as error:
        raise UserError(f"--out: {path} cannot be written: {error.strerror or error}") from error
