"""Checkpoints: everything a run needs to go on, written whole or not at all, the last two kept."""

from __future__ import annotations

import logging
import pickle
import re
from pathlib import Path
from typing import Any

import torch

from noiseda.errors import UserError
from noiseda.storage import atomic, utf8_named

log = logging.getLogger(__name__)
KEPT = 2


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write a checkpoint and remove all but the last two.

    Args:
        folder: where checkpoints lie.
        step: number of steps done.
        state: tensors, numbers and texts, nested in dictionaries and lists.

    Raises:
        UserError: when it cannot be written; the checkpoints that stood there are kept.
    """
    path = folder / f"step-{step:08d}.pt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(path) as file:
            torch.save(state, file)
        kept = [other for other in found(folder) if other <= path][-KEPT:]  # one beyond this step was unreadable
        for other in {*found(folder), *folder.glob(".*.part")}.difference(kept):  # .part: left by a kill
            other.unlink()
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"cannot write the checkpoint {path}: {_reason(error)}; the checkpoints before it are kept"
        ) from error
    return path


def _reason(error: OSError | RuntimeError) -> str:
    """Why a file cannot be written; torch hides a full disk in a RuntimeError.

    Raises:
        RuntimeError: it has nothing to do with files.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, OSError):
        return cause.strerror or str(cause)
    if not re.search("inline_container|PytorchStreamWriter|PyTorchFileWriter", str(error)):
        raise error
    return "it could not be written whole, as on a full disk"


def latest(folder: Path, *, mapped: bool = False) -> dict[str, Any] | None:
    """The newest checkpoint that can be read, or None where there is none; unreadable ones are named in a warning.

    Args:
        folder: where checkpoints lie.
        mapped: leave the tensors in the file until they are looked at.
    """
    for path in reversed(found(folder)):
        try:
            with utf8_named(path) as name:
                return torch.load(name, map_location="cpu", weights_only=True, mmap=mapped)  # type: ignore[no-any-return]
        except OSError as error:
            log.warning("checkpoint %s cannot be read and is passed over: %s", path, error.strerror or error)
        except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError, AttributeError):
            log.warning("checkpoint %s cannot be read and is passed over: it is damaged or was cut off", path)
    return None


def found(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first, without opening them."""
    return sorted(path for path in folder.glob("step-*.pt") if re.fullmatch(r"step-\d{8}\.pt", path.name))
