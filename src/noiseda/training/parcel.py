"""How steps get from data workers to the run: in shared memory where it has room, else through a pipe."""

from __future__ import annotations

import math
import pickle
import shutil
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from noiseda.data.batches import DomainBatches, generator
from noiseda.errors import UserError
from noiseda.training.steps import Step, Steps

SHARED = Path("/dev/shm")
"""Where Linux keeps shared memory. Containers often have 64 MB of it."""

SPARE = 0.5
"""Share of the free shared memory that the steps of one machine may fill."""


@dataclass(frozen=True)
class Parcel:
    """A step as bytes, for which a pipe needs no shared memory."""

    content: bytes

    def open(self) -> Step:
        """The step."""
        step: Step = pickle.loads(self.content)
        return step


@dataclass(frozen=True)
class Refused:
    """Why a step cannot be had: an exception of a worker would come with its traceback as part of its text."""

    reason: str


class Sent(Dataset[Step | Parcel | Refused]):
    """Steps by number as workers send them; a process without workers gets them as they are.

    Args:
        steps: the steps.
        shared: use shared memory, as long as it has room.
    """

    def __init__(self, steps: Steps, *, shared: bool) -> None:
        self._steps, self._shared = steps, shared

    def __getitem__(self, number: int) -> Step | Parcel | Refused:
        """Step ``number``, or why there is none."""
        try:
            step = self._steps[number]
        except UserError as error:
            return Refused(str(error))
        except MemoryError:
            return Refused("not enough memory for a batch: give a smaller --training.batch or --training.patch")
        except OSError as error:
            return Refused(f"{error.filename or 'a decoded image'} cannot be read: {error.strerror or error}")
        if get_worker_info() is None or (self._shared and _share(step)):
            return step
        return Parcel(pickle.dumps(step, pickle.HIGHEST_PROTOCOL))


def opened(found: Step | Parcel | Refused) -> Step:
    """A step, however it was sent.

    Raises:
        UserError: why there is none.
    """
    if isinstance(found, Refused):
        raise UserError(found.reason)
    return found.open() if isinstance(found, Parcel) else found


def size_of(steps: Steps) -> int:
    """Bytes of a step: of photographs found out from a black image, without reading any."""
    batches = steps.batches
    if not isinstance(batches, DomainBatches):
        return sum(tensor.nbytes for tensor in _tensors(steps[0]))
    side, channels = batches.patch, batches.channels
    domains = batches.domains
    images = 2 + (domains.real is not None) + (domains.reference is not None)
    draws = steps.draw(torch.zeros(1, channels, side, side), generator("size"))
    return batches.size * (images * channels * side * side * 4 + sum(t.nbytes for t in _tensors(draws)))


def free_bytes(folder: Path = SHARED) -> float:
    """Free shared memory in bytes; infinite where the system sets no limit that can be asked for."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return math.inf


def _share(step: Step) -> bool:
    """Move the tensors of a step to shared memory; False where it has no room (or no more files may be open)."""
    try:
        for tensor in _tensors(step):
            if tensor.numel():
                tensor.share_memory_()  # type: ignore[no-untyped-call]
    except (RuntimeError, OSError):  # torch has no class of its own for it
        return False
    return True


def _tensors(value: Any) -> list[Tensor]:  # noqa: ANN401
    """All tensors of a dataclass, or of a tuple of such."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, tuple):
        return [tensor for one in value for tensor in _tensors(one)]
    if is_dataclass(value) and not isinstance(value, type):
        return [tensor for field in fields(value) for tensor in _tensors(getattr(value, field.name))]
    return []
