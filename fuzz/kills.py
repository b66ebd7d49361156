"""Runs killed at a moment that nobody chose: the same command again must end as if nothing had happened."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from fuzz.cases import Case, Outcome, Wrong, tried
from fuzz.oracle import digests, judge, no_library_words, unharmed
from fuzz.worker import MEMORY, SPAWNED, peak, total

IMAGES, STEPS = 16, 20
PHOTOGRAPHS = "photographs"
PATIENCE = 240.0
"""Seconds on the clock that a run of a second or two may take."""


@dataclass
class Attempt:
    """How processes are started, and what they took together: seconds of the processor, most memory of one (1e6 bytes)."""

    context: BaseContext
    work: float = 0.0
    megabytes: float = 0.0


@dataclass(frozen=True)
class Job:
    """What is killed.

    Attributes:
        name: of the command.
        words: what is called, given the folders of inputs and outputs.
        progress: how far it has come, by its folder of outputs.
        end: the progress when it is nearly done.
        results: the files that it is run for.
        may_refuse: whether a sentence is as good as going on.
    """

    name: str
    words: Callable[[Path, Path], list[str]]
    progress: Callable[[Path], int]
    end: int
    results: Callable[[Path], Iterable[Path]]
    may_refuse: bool = False


def _restore(inputs: Path, out: Path) -> list[str]:
    return ["restore", str(inputs / "identity.safetensors"), str(inputs / PHOTOGRAPHS), str(out), "--device=cpu"]


def _adapt(inputs: Path, out: Path) -> list[str]:
    settings = {
        "clean": inputs / PHOTOGRAPHS,
        "real": inputs / PHOTOGRAPHS,
        "out": out,
        "strategy": "noise-space",
        "look-alikes": 0,
        "degradation.kind": "white",
        "network": "unet",
        "network.width": 4,
        "network.depth": 2,
        "predictor.width": 8,
        "predictor.patch_size": 2,
        "training.steps": STEPS,
        "training.batch": 2,
        "training.patch": 16,
        "training.checkpoint_every": 5,
        "training.log_every": 1,
        "training.picture_every": 1000,
        "training.device": "cpu",
    }
    return ["adapt", *(f"--{name}={value}" for name, value in settings.items())]


def _pack(inputs: Path, out: Path) -> list[str]:
    return ["data", "pack", str(inputs / PHOTOGRAPHS), str(out), "--shard-megabytes=0.1"]


def _files(out: Path, *suffixes: str) -> list[Path]:
    return sorted(path for path in out.rglob("*") if path.suffix in suffixes and not path.name.startswith("."))


def _steps(out: Path) -> int:
    log = out / "log.jsonl"
    return log.read_bytes().count(b'"loss"') if log.exists() else 0


JOBS = (
    Job(
        "restore",
        _restore,
        lambda out: len(_files(out, ".png", ".jpg", ".tif")),
        IMAGES,
        lambda out: _files(out, ".png", ".jpg", ".tif"),
    ),
    Job("adapt", _adapt, _steps, STEPS, lambda out: _files(out, ".safetensors")),
    Job(
        "data pack",
        _pack,
        lambda out: len(_files(out, ".tar")),
        5,
        lambda out: _files(out, ".tar", ".json"),
        may_refuse=True,
    ),
)
_TURNS = (0, 0, 1, 0, 2, 0, 1, 0, 2, 1)


def try_here(case: Case, place: Path, context: BaseContext = SPAWNED) -> Outcome:
    """Try a case; this process starts those that are killed, and watches them."""
    place.mkdir(parents=True)
    began, attempt = time.monotonic(), Attempt(context)
    outcome = judge(functools.partial(_killed, attempt), case, place, str)
    outcome.seconds, outcome.work, outcome.megabytes = time.monotonic() - began, attempt.work, attempt.megabytes
    if outcome.megabytes > MEMORY and outcome.verdict != "wrong":
        outcome.verdict, outcome.why = "wrong", f"memory: {outcome.megabytes:.0f} MB"
    return outcome


def _killed(attempt: Attempt, case: Case, place: Path) -> str | None:
    chance = case.chance
    job = JOBS[_TURNS[case.number % len(_TURNS)]]
    moment, later = chance.randrange(job.end), 0.08 * chance.random()
    tried(place, f"{job.name}, killed {1000 * later:.0f} ms after {moment} of {job.end}")
    inputs, whole = unbroken(place.parent.parent, job, attempt)
    before, out = digests(inputs / PHOTOGRAPHS), place / "out"
    words = job.words(inputs, out)
    process = _started(attempt, words, place / "first.txt")
    _watched(process, attempt, lambda: job.progress(out) >= moment)
    time.sleep(later)
    process.kill()
    process.join()
    unharmed(inputs / PHOTOGRAPHS, before)
    finished = {path.relative_to(out) for path in job.results(out)} if job.name != "adapt" else set()
    for path in finished:
        if path.name != "index.json" and not _same(out / path, whole / path):
            raise Wrong(f"{path} has its name, but is not as an unbroken run writes it")
    process = _started(attempt, words, place / "again.txt")
    _watched(process, attempt, lambda: False)
    said = (place / "again.txt").read_text(errors="replace")
    no_library_words(said)
    unharmed(inputs / PHOTOGRAPHS, before)
    if job.may_refuse and process.exitcode == 2 and "noiseda: error:" in said:
        return said
    if process.exitcode != 0:
        last = (said.strip().splitlines() or ["nothing was said"])[-1]
        raise Wrong(f"the same command again ends with status {process.exitcode}: {last[:250]}")
    _compare(job, whole, out)
    return None


def unbroken(folder: Path, job: Job, attempt: Attempt) -> tuple[Path, Path]:
    """The inputs, and what an unbroken run makes of them; made once."""
    inputs, whole = folder / "inputs", folder / f"unbroken {job.name}"
    if not inputs.exists():
        _make(inputs)
    if job.name == "restore" and not (inputs / "identity.safetensors").exists():
        _make_weights(inputs, attempt.context)
    if not whole.exists():
        partial = folder / "unfinished"
        shutil.rmtree(partial, ignore_errors=True)
        process = _started(attempt, job.words(inputs, partial), folder / "unbroken.txt")
        _watched(process, attempt, lambda: False)
        if process.exitcode != 0:
            raise Wrong(f"an unbroken run ends with {process.exitcode}: {(folder / 'unbroken.txt').read_text()}")
        partial.rename(whole)
    return inputs, whole


def _make(folder: Path) -> None:
    (folder / PHOTOGRAPHS).mkdir(parents=True)
    for index in range(IMAGES):
        suffix = ("png", "jpg", "tif")[index % 3]
        crop = skimage.data.astronaut()[15 * index : 15 * index + 150, 100 : 100 + 140]
        Image.fromarray(np.ascontiguousarray(crop)).save(folder / PHOTOGRAPHS / f"{index:02}.{suffix}")


def _make_weights(folder: Path, context: BaseContext) -> None:
    process = context.Process(target=_identity, args=(folder / "identity.safetensors",))
    process.start()
    process.join()


def _identity(path: Path) -> None:
    from fuzz.images import identity

    identity(path).rename(path)


def _started(attempt: Attempt, words: list[str], said: Path) -> BaseProcess:
    process = attempt.context.Process(target=_command, args=(words, said), daemon=True)
    process.start()
    return process


def _command(words: list[str], said: Path) -> None:
    with said.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from noiseda.cli import main

    sys.exit(main(words))


def _watched(process: BaseProcess, attempt: Attempt, enough: Callable[[], bool]) -> None:
    """Wait for the end of a process, or until it is enough."""
    until, spent = time.monotonic() + PATIENCE, 0.0
    while process.is_alive() and not enough():
        attempt.megabytes = max(attempt.megabytes, peak(process.pid))
        attempt.work += max(0.0, total(process.pid) - spent)
        spent = max(spent, total(process.pid))
        if time.monotonic() > until:
            process.kill()
            process.join()
            raise Wrong(f"hang: no end in {PATIENCE:.0f} s")
        time.sleep(0.003)


def _compare(job: Job, whole: Path, out: Path) -> None:
    """Hold the results of two runs against each other.

    Raises:
        Wrong: a file is missing, another one, or was left behind unfinished.
    """
    expected = {path.relative_to(whole) for path in job.results(whole)}
    found = {path.relative_to(out) for path in job.results(out)}
    if expected != found:
        raise Wrong(f"lost or new: {sorted(map(str, expected ^ found))}")
    for path in sorted(expected):
        if not _same(whole / path, out / path):
            raise Wrong(f"{path} is another one than that of an unbroken run")
    if left := list(out.rglob("*.part")):
        raise Wrong(f"the second run leaves behind what the first had begun: {left[0].name}")


def _same(one: Path, other: Path) -> bool:
    if one.suffix != ".safetensors":
        return one.read_bytes() == other.read_bytes()
    from safetensors.numpy import load_file

    first, second = load_file(one), load_file(other)
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)
