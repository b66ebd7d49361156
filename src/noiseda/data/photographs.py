"""Folders of photographs as the data of a run, for objects that are handed in by hand."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from pathlib import Path

from noiseda.config import Task
from noiseda.data.batches import Domains
from noiseda.data.cache import ImageStore, decode
from noiseda.data.degradations import Degradation, Degrade, kinds
from noiseda.data.degradations import degradation as degradation_of
from noiseda.errors import UserError
from noiseda.images import SUFFIXES, find_images
from noiseda.tasks import MATCHED, TASKS

log = logging.getLogger(__name__)


def photographs(
    clean: str | Path,
    real: str | Path | None = None,
    *,
    degradation: str | Degrade | None = None,
    reference: str | Path | None = None,
    task: Task = "denoise",
    cache: str | Path | None = None,
    max_megapixels: float = 200.0,
) -> Domains:
    """Photographs to train on, for :func:`noiseda.fit`.

    Args:
        clean: folder of clean photographs, which are degraded on the fly into synthetic pairs.
        real: folder of real degraded photographs.
        degradation: what they go through: a name of ``--degradation.kind`` but ``matched``, which
            :func:`noiseda.adapt` finds from the photographs; or a function of one's own; by default the task's.
        reference: folder of unpaired clean photographs, for objectives that ask for them.
        task: what is restored; it decides which names there are.
        cache: folder of the decoded images; by default a temporary one, gone with the process.
        max_megapixels: larger photographs are left out.

    Raises:
        UserError: a folder without images, or a degradation that the task does not have.
    """
    folder = Path(cache) if cache is not None else _temporary()

    def decoded(flag: str, place: str | Path | None) -> ImageStore | None:
        if place is None:
            return None
        files = find_images(Path(place))
        if not files:
            raise UserError(f"{flag} {place} holds no image ({', '.join(sorted(SUFFIXES))})")
        store, skipped = decode([(file,) for file in files], folder, flag=flag, max_megapixels=max_megapixels)
        for image in skipped:
            log.warning("left out: %s", image.reason)
        return store

    degrade = _named(task, degradation) if degradation is None or isinstance(degradation, str) else degradation
    synthetic = decoded("clean", clean)
    assert synthetic is not None
    return Domains(synthetic, degrade, decoded("real", real), decoded("reference", reference))


def _named(task: Task, name: str | None) -> Degradation:
    """The degradation of a name; ``matched`` is none here, where nothing is found out from the photographs.

    Raises:
        UserError: the task does not have it.
    """
    if MATCHED in kinds(task, name):
        others = ", ".join(one for one in TASKS[task].degradations if one != MATCHED)
        raise UserError(
            f"degradation {name!r}: matched is found from your photographs by noiseda.adapt, and not by photographs(). "
            f"Give one of {others} here, or a function of your own"
        )
    return degradation_of(task, name)


def _temporary() -> Path:
    folder = tempfile.mkdtemp(prefix="noiseda-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
