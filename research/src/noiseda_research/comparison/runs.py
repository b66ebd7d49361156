"""Carrying out the runs of a comparison, each in a process of its own: its cost is its own, and so is a failure."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from noiseda import Interrupted, Picture, UserError, find_images, from_uint8, read_image, to_uint8, write_image
from noiseda.data import degradation, generator, paired_folder, spread
from noiseda.settings_file import write_settings
from noiseda.storage import atomic
from noiseda_research.comparison.matrix import CompareSettings, Job, SimulatedSettings, chosen_of

_PAUSE = 0.2  # seconds between two looks at the runs under way


@dataclass(frozen=True)
class Ended:
    """A run that has ended.

    Attributes:
        job: the run.
        failure: why it failed; "" where it did not.
    """

    job: Job
    failure: str = ""


def is_done(job: Job) -> bool:
    """Whether a run has finished."""
    return (job.settings.out / "summary.json").exists()


def carry_out(wanted: Sequence[tuple[Job, Job | None]], settings: CompareSettings) -> Iterator[Ended]:
    """Train what is not trained yet, several runs at a time, each after the one it goes on from; yields as they end.

    Each leaves ``cost.json`` beside its own files: the largest memory (GiB) of its process.

    Args:
        wanted: runs, each with the one it needs (which is among them too).
        settings: how many run at a time, with how many threads each.

    Yields:
        Each run that has ended, well or not. One whose start failed has failed too.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; all runs under way have written a checkpoint.
    """
    waiting, running = dict(wanted), dict[Job, subprocess.Popen[bytes]]()
    ended: dict[Job, Ended] = {}
    with _terminating() as came:
        try:
            while waiting or running:
                for job, needed in list(waiting.items()):
                    before = ended.get(needed) if needed else None
                    if is_done(job):
                        ended[job] = Ended(job)
                    elif before is not None and before.failure:
                        ended[job] = Ended(job, f"it goes on from {before.job.name}, which failed")
                    elif (needed is None or before is not None) and len(running) < settings.parallel:
                        running[job] = _begin(job, settings.threads)
                        del waiting[job]
                        continue
                    else:
                        continue
                    del waiting[job]
                    yield ended[job]
                for job, process in list(running.items()):
                    if (failure := _outcome(job, process)) is not None:
                        del running[job]
                        ended[job] = Ended(job, failure)
                        yield ended[job]
                time.sleep(_PAUSE if running else 0)
        finally:  # also where whoever takes what is yielded goes no further
            for process in running.values():
                with suppress(ProcessLookupError):  # not Popen.send_signal, which would reap it and its cost
                    os.kill(process.pid, came[0] if came else signal.SIGINT)
            for job, process in running.items():
                while _outcome(job, process) is None:
                    time.sleep(_PAUSE)
            if came:
                raise Interrupted(came[0])


def _begin(job: Job, threads: int | None) -> subprocess.Popen[bytes]:
    """Start a run in a process group of its own, so that Ctrl-C reaches it once, from us."""
    out = job.settings.out
    out.mkdir(parents=True, exist_ok=True)
    asked = out / "asked.yaml"
    write_settings(job.settings, asked)
    with (out / "output.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "noiseda", "adapt", "--config", str(asked)],
            stdout=log,
            stderr=log,
            env=os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {}),
            start_new_session=True,
        )


def _outcome(job: Job, process: subprocess.Popen[bytes]) -> str | None:
    """Why a run failed, "" where it did not; None while it goes on."""
    pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    if not pid:
        return None
    process.returncode = os.waitstatus_to_exitcode(status)
    _note_memory(job.settings.out / "cost.json", usage.ru_maxrss)
    if process.returncode == 0:
        return ""
    said = (job.settings.out / "output.txt").read_text(errors="replace").strip().splitlines() or ["no output"]
    return f"{said[-1].removeprefix('noiseda: error: ')} ({job.settings.out / 'output.txt'})"


@contextmanager
def _terminating() -> Iterator[list[int]]:
    """Let the first SIGINT or SIGTERM end what is inside; holds its number once it came. Further ones are ignored."""
    came: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if not came:
            came.append(number)
            raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _note_memory(path: Path, largest: int) -> None:
    """Keep the largest memory over all sittings of a run."""
    unit = 2**30 if sys.platform == "darwin" else 2**20  # bytes there, KiB elsewhere
    before = json.loads(path.read_text())["peak_gib"] if path.exists() else 0.0
    with atomic(path) as file:
        file.write(json.dumps({"peak_gib": max(before, largest / unit)}).encode())


def cost(job: Job) -> dict[str, Any]:
    """Training time (s), steps and largest memory (GiB) of a finished run."""
    summary = json.loads((job.settings.out / "summary.json").read_text())
    path = job.settings.out / "cost.json"
    memory = json.loads(path.read_text())["peak_gib"] if path.exists() else None
    return {
        "seconds": summary["seconds"],
        "steps": summary["steps"],
        "blew_up": summary.get("blew_up"),
        "peak_gib": memory,
        "made_by": summary["made_by"],
    }


def render(settings: CompareSettings, name: str) -> None:
    """Write the simulated images of a name, ``input/`` and ``target/``, where they do not stand already.

    Raises:
        UserError: where its photographs are missing, or the folder holds images simulated with other settings.
    """
    wanted, folder = settings.simulated[name], settings.out / "simulated" / name
    clean = Path(wanted.clean.replace("{data}", str(settings.data)))
    described = json.dumps(
        {"clean": str(clean), "degradation": _described(wanted), "count": wanted.count, "scale": wanted.scale}
    )
    note = folder / "simulated.json"
    if note.exists():
        if note.read_text() != described:
            raise UserError(f"{folder} holds images simulated with other settings: remove it, or give another --out")
        return
    for path, degraded, target in simulated(wanted, name, clean):
        for half, pixels in {"input": degraded, "target": target}.items():
            (folder / half).mkdir(parents=True, exist_ok=True)
            write_image(Picture(pixels), folder / half / f"{path.stem}.png")
    with atomic(note) as file:
        file.write(described.encode())


def simulated(wanted: SimulatedSettings, name: str, clean: Path) -> Iterator[tuple[Path, Tensor, Tensor]]:
    """Simulate images, before they are rounded to what a file holds.

    Args:
        wanted: what they are to go through, and how many.
        name: of the simulated images; other names draw other noise.
        clean: folder of the clean photographs.

    Yields:
        The clean photograph's file, the degraded image and the clean one, (C, H, W).
    """
    degrade = degradation(wanted.task, wanted.degradation.kind, wanted.degradation.strength)
    photographs = find_images(clean)
    count = min(wanted.count or len(photographs), len(photographs))
    for path in (photographs[index * len(photographs) // count] for index in range(count)):
        target = _enlarged(read_image(path).pixels, wanted.scale)
        yield path, degrade(target, generator("simulated", name, path.stem)), target


def choose(settings: CompareSettings, name: str) -> None:
    """Copy the chosen images of a set, ``input/`` and ``target/``, where not all of them are used.

    Raises:
        UserError: where there are fewer, or the folder holds others.
    """
    one, folder = settings.sets[name], chosen_of(settings, name)
    if one.images is None:
        return
    source = Path(one.adapt.replace("{data}", str(settings.data)))
    pairs = paired_folder(source)
    if len(pairs) < one.images:
        raise UserError(f"sets.{name}.images is {one.images}, but {source} holds {len(pairs)}")
    wanted = {
        folder / half / path.name: path
        for index in spread(len(pairs), one.images)
        for half, path in zip(("input", "target"), pairs[index], strict=True)
    }
    if {path for path in folder.glob("*/*") if path.is_file()} - set(wanted):
        raise UserError(f"{folder} holds other images than sets.{name} asks for: remove it, or give another --out")
    for copy, path in wanted.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _enlarged(image: Tensor, times: int) -> Tensor:
    """An image (C, H, W) enlarged by Lanczos' filter, at 8 bits."""
    if times == 1:
        return image
    height, width = image.shape[-2:]
    planes = [Image.fromarray(plane.numpy()) for plane in to_uint8(image)]
    larger = [np.asarray(plane.resize((times * width, times * height), Image.Resampling.LANCZOS)) for plane in planes]
    return from_uint8(torch.from_numpy(np.stack(larger)))


def _described(wanted: SimulatedSettings) -> dict[str, Any]:
    strength = wanted.degradation.strength
    return {"kind": wanted.degradation.kind, "strength": None if strength is None else list(strength)}
