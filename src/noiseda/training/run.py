"""The run: settings in, adapted weights out. Four stages: check and look, resolve, build, fit and finish."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from functools import partial
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from noiseda.assessment.verdict import standing
from noiseda.assessment.verdict import trial as trial_of
from noiseda.config import AdaptSettings
from noiseda.data.cache import ImageStore
from noiseda.data.validation import load_validation
from noiseda.errors import Interrupted
from noiseda.precision import FULL
from noiseda.settings_file import write_settings
from noiseda.tasks import TASKS
from noiseda.training.beside import list_others
from noiseda.training.build import (
    build_objective,
    check_baseline,
    depth,
    files_of,
    fingerprint,
    list_images,
    load_domains,
    pairs_of,
    without,
)
from noiseda.training.distributed import main_first
from noiseda.training.finish import Summary
from noiseda.training.fitting import accelerator_of, begin, fit
from noiseda.training.found import Found
from noiseda.training.interrupt import StopRequest
from noiseda.training.logger import say
from noiseda.training.loop import train
from noiseda.training.lr_schedule import LR_SCHEDULES
from noiseda.training.pace import LEAST, SCORED_FEW, TRIED, Fitting, Pace, kept_fitting, pace_of
from noiseda.training.plan import Evidence, Plan, resolve, settled
from noiseda.training.report import report
from noiseda.training.room import check_room
from noiseda.training.run_directory import as_begun, claim_run_directory
from noiseda.training.start import check_predictor, check_start
from noiseda.training.state import Case, Run

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
    plan, found, accelerator = resolved(settings)
    summary = fit(**build(plan, found, accelerator))
    if accelerator.is_main_process:
        report(plan, found, summary, accelerator.device)
    return summary


def prepare(settings: AdaptSettings) -> Run:
    """The same run as :func:`adapt`, ready for its next step.

    Raises:
        UserError: as :func:`adapt`.
    """
    return begin(**build(*resolved(settings)))


def resolved(asked: AdaptSettings) -> tuple[Plan, Found, Accelerator]:
    """Check the settings, look at the images, and settle what will be done; it is written beside what was asked.

    Raises:
        UserError: as :func:`adapt`.
    """
    began = time.perf_counter()
    asked = as_begun(asked, asked.out / "settings.yaml")
    check(asked)
    accelerator = accelerator_of(asked.training)
    found = look_at(asked, accelerator)
    plan = resolve(asked, Evidence(found.like, partial(what_fits, asked, found, accelerator, began)))
    if accelerator.is_main_process:
        write_settings(plan.settings, plan.settings.out / "plan.yaml")
        _say(plan, found)
    return plan, found, accelerator


def what_fits(
    asked: AdaptSettings, found: Found, accelerator: Accelerator, began: float, settings: AdaptSettings
) -> Fitting:
    """What fits into the minutes that are left: the run's own where it goes on, else by a short trial.

    Args:
        asked: what was asked for.
        found: what there is to train on.
        accelerator: the engine.
        began: when the run began, by :func:`time.perf_counter`.
        settings: those of the run, settled but for the steps.
    """
    if (kept := kept_fitting(asked)) is not None:
        return kept
    assert asked.minutes is not None

    def trial(short: AdaptSettings) -> Pace:
        parts = build(Plan(asked, short), found, accelerator)
        tried = parts.pop("validation")
        run = begin(**parts)
        with StopRequest() as stop:
            train(run, stop, trial=True)
        if stop.signal_number is not None:  # to keep what was learnt, and nothing was
            raise Interrupted(stop.signal_number)
        took = 0.0
        if tried is not None and tried.choosing:
            few = tried.choosing[:SCORED_FEW]
            for _ in range(2):  # of the second, since a network may remember what it made of the images
                before = time.perf_counter()
                standing(run.average.network, few, None, short.training.precision)
                took = (time.perf_counter() - before) / len(few)
            took *= len(tried.choosing) + (0 if tried.witness is None else tried.witness.restores)
        return Pace(run.seconds, took)

    if accelerator.is_main_process:
        say(f"measuring this machine: {TRIED} steps, none of which counts")
    pace, looked = pace_of(trial, settings), time.perf_counter() - began
    fitting = [pace.within(60 * asked.minutes - looked)]
    broadcast_object_list(fitting)
    if fitting[0].steps == LEAST and accelerator.is_main_process:
        say(
            f"--minutes {asked.minutes:g} is too short here: {LEAST} steps are the least, and with the look and the "
            f"verdict they take about {math.ceil((looked + pace.seconds_of(LEAST, fitting[0].scores)) / 60)} minutes"
        )
    return fitting[0]


def check(asked: AdaptSettings) -> None:
    """Check settings before any image is read.

    Raises:
        UserError: where they cannot be meant, or the machine has no room.
    """
    asked.check()
    usual = settled(asked)
    usual.check_patch()
    check_room(usual)
    check_baseline(usual)
    check_start(usual.restorer)
    check_predictor(usual)


def look_at(asked: AdaptSettings, accelerator: Accelerator) -> Found:
    """List and decode the images, and find out what the real ones went through.

    Args:
        asked: the settings, which are written to the run's folder.
        accelerator: the engine; its first process goes first.
    """
    usual = settled(asked)
    groups = list_images(usual)
    others = list_others(usual, groups)
    with main_first(accelerator):
        if accelerator.is_main_process:
            claim_run_directory(asked, accelerator.num_processes)
        cache = asked.cache or asked.out / "cache"
        deep = depth(usual, groups)
        domains, skipped, like = load_domains(usual, groups, cache, deep)
        validation, unread = load_validation(asked, groups.get("validation", []), deep.white)
    skipped += unread
    return Found(without(groups, skipped), domains, skipped, validation, like, deep, others)


def build(plan: Plan, found: Found, accelerator: Accelerator) -> dict[str, Any]:
    """The parts of a run, as :func:`noiseda.fit` takes them: networks, objective, data and the rest.

    Args:
        plan: what will be done.
        found: with what.
        accelerator: the engine.
    """
    settings, groups, domains = plan.settings, found.groups, found.domains
    if not settings.adapts:
        domains = dataclasses.replace(domains, real=None, reference=None)
    clean = files_of(groups, "clean") or [target for _, target in pairs_of(groups)]
    objective = build_objective(settings, levels=255.0 if domains.real is None else domains.real.levels)
    return {
        "model": objective.restorer,
        "objective": objective,
        "data": domains,
        "training": settings.training,
        "out": settings.out,
        "seed": settings.seed,
        "lr_schedule": LR_SCHEDULES[settings.training.lr_schedule],
        "validation": trial_of(settings, found.validation, found.like, clean, files_of(groups, "real"), found.deep),
        "accelerator": accelerator,
        "case": Case(
            settings.task, settings.strategy, plan, groups, fingerprint(groups), tuple(found.skipped), found.deep
        ),
    }


def _say(plan: Plan, found: Found) -> None:
    """What the user should know before the first step."""
    settings, domains, deep = plan.settings, found.domains, found.deep
    for line in found.others:
        log.warning("%s", line)
    if deep.white != FULL and settings.white_level is None:
        say(str(deep))
    if deep.deep and TASKS[settings.task].has_depth and domains.degradation is not None:
        say("the photographs have more than 8 bits: what is simulated is neither rounded to 8 nor compressed")
    if found.like is not None:
        say(f"the photographs look like {found.like}")
    for image in found.skipped:
        log.warning("left out: %s", image.reason)
    sources = (domains.synthetic, domains.real, domains.reference)
    stores = [images for images in sources if isinstance(images, ImageStore)]
    small = [str(path) for store in stores for path in store.smaller_than(settings.training.side)]
    if small:
        named = ", ".join(small[:3]) + (f", … ({len(small)} in all)" if len(small) > 3 else "")
        log.warning("smaller than --training.patch %d and continued by reflection: %s", settings.training.side, named)
    for reason in plan.because:
        say(reason)
