"""What a run has to do where an earlier one has been: finish what is missing, leave what is done and unchanged."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from os.path import exists  # of what is in a locked folder it says no, where pathlib raises
from pathlib import Path
from typing import BinaryIO

import torch

from noiseda.config import Precision
from noiseda.errors import UserError
from noiseda.inference.backends import Backend, choose
from noiseda.inference.ledger import Entry, Ledger, Mark, is_same, mark
from noiseda.inference.pipeline import Account, Job
from noiseda.precision import in_bf16
from noiseda.storage import PARTIAL

_SHOWN = ("tile", "overlap", "precision", "backend", "self_ensemble", "strength")
_ONCE = {"self_ensemble": False, "strength": 1.0}
"""What was done before there was a choice: older accounts do not name it."""


def way_of(
    weights: str | None,
    *,
    tile: int | None,
    overlap: int,
    precision: Precision,
    backend: Backend,
    self_ensemble: bool,
    strength: float,
    device: torch.device,
    megapixels: float,
) -> dict[str, object]:
    """All that decides how the pixels of an input become those of its output.

    The device is left out: it alters no more than the last bit.

    Args:
        weights: from :func:`digest_of`; None is any.
        tile: as asked for.
        overlap: as asked for.
        precision: as asked for; ``auto`` is resolved, and differs from bf16 for 16-bit images.
        backend: as asked for; ``auto`` is resolved.
        self_ensemble: as asked for.
        strength: as asked for.
        device: where to compute.
        megapixels: size of the whole job, as often as it is computed.
    """
    numbers = "fp32" if not in_bf16(precision, device) else "auto (bf16)" if precision == "auto" else "bf16"
    chosen = choose(backend, device, precision, megapixels)
    return {
        "weights": weights,
        "tile": tile,
        "overlap": overlap,
        "precision": numbers,
        "backend": chosen,
        "self_ensemble": self_ensemble,
        "strength": float(strength),
        "auto": backend == "auto",
    }


class Resumed(Account):
    """The jobs of a run, parted into those to do and those done before; and the notes on what is done now.

    Args:
        jobs: inputs and outputs.
        ledger: of the output folder.
        root: the folder of the inputs.
        way: from :func:`way_of`.
        overwrite: do all of them again.
        skip_existing: leave every output that is there, whatever it is.

    Raises:
        UserError: an output is there that the ledger does not know, that was changed since, or that was made of another
            input, with other weights or other settings; unless one of the two flags says what is to become of it.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        ledger: Ledger,
        root: Path,
        way: Mapping[str, object],
        *,
        overwrite: bool,
        skip_existing: bool,
    ) -> None:
        self.ledger, self.root, self.way = ledger, root, way
        self.todo: list[Job] = []
        self.done: list[Job] = []
        self._before = {path: _state(path) for path, _ in jobs}
        refused: list[tuple[Path, str]] = []
        for path, target in jobs:
            if overwrite or not exists(target) or (self._output(target) in ledger.pending and not skip_existing):
                self.todo.append((path, target))
            elif skip_existing or (objection := self._objection(path, target)) is None:
                self.done.append((path, target))
            else:
                refused.append((target, objection))
        if refused:
            (target, objection), more = refused[0], len(refused) - 1
            raise UserError(
                f"{target}{f' (and {more} more outputs)' if more else ''} {objection}; give --overwrite to replace it, "
                "--skip-existing to leave what exists, or another output"
            )

    def begin(self) -> None:
        """Make ready to note down what is done; clear away what a kill cut off while it was written."""
        if not self.ledger.alone:
            return
        self.ledger.begin()
        for folder in {target.parent for _, target in self.todo}:
            _clear(folder)

    def begun(self, job: Job) -> None:
        """Note down that an output will be written.

        Raises:
            UserError: no room, no right.
        """
        if self.ledger.alone:
            self.ledger.begun(self._output(job[1]))

    def sealed(self, job: Job, file: BinaryIO) -> None:
        """Note down an output that is about to take its name.

        Raises:
            OSError: no room, no right.
        """
        if not self.ledger.alone:
            return
        path, target = job
        before = self._before[path] or (0, 0)
        of = Mark(*before, "")
        with suppress(OSError), path.open("rb") as source:
            found = mark(source)
            if found[:2] == before:  # else it changed under our hands, and what was restored is not known
                of = found
        output = self._output(target)
        self.ledger.note(Entry(output, mark(file), path.relative_to(self.root).as_posix(), _place(path), of, self.way))

    def _output(self, target: Path) -> str:
        return target.relative_to(self.ledger.folder).as_posix()

    def _objection(self, path: Path, target: Path) -> str | None:
        """Why an output that is there cannot be left as it is; None where it is what this run would make."""
        known = self.ledger.entries.get(self._output(target))
        if not known:
            return "exists already"
        entry = next((entry for entry in reversed(known) if is_same(target, entry.made)), None)
        if entry is None:
            return "exists already and was changed after it was restored"
        if not is_same(path, entry.of, quick=entry.place == _place(path)):
            return f"exists already, but {path} has changed since"
        if self.way["weights"] not in (None, entry.way.get("weights")):
            return "exists already, restored with other weights"
        way = {**_ONCE, **entry.way}
        changed = [name for name in _SHOWN if way.get(name, "") != self.way[name]]
        if entry.way.get("auto") is True and self.way["auto"]:
            changed = [name for name in changed if name != "backend"]  # chosen by the size of the job, which may grow
        if changed:
            named = ", ".join(
                f"{name.replace('_', '-')} {_shown(way.get(name))}, now {_shown(self.way[name])}" for name in changed
            )
            return f"exists already, restored with other settings ({named})"
        return None


def digest_of(weights: Path) -> str | None:
    """SHA-256 of a weights file; None where it cannot be read, which loading it will say."""
    try:
        with weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _clear(folder: Path) -> None:
    with suppress(OSError):  # who writes there will say so
        for path in folder.iterdir():
            if PARTIAL.fullmatch(path.name):
                path.unlink()


def _state(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _place(path: Path) -> str:
    """Where a file lies, as a digest: whoever gets the outputs need not know your folders."""
    return hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:16]


def _shown(value: object) -> str:
    return "null" if value is None else str(value)
