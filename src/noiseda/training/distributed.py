"""What several processes do together before they train: wait for one another, and check that they see the same."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator

from noiseda.errors import UserError

if TYPE_CHECKING:  # not every build of torch has it
    from torch._C._distributed_c10d import Store

NUMBERS = itertools.count()
_PAUSE = 0.1  # seconds between two looks


@contextmanager
def main_first(accelerator: Accelerator) -> Iterator[None]:
    """Let the first process go before the others, then the first of each other machine, then the rest.

    All leave it together. Waiting has no limit, unlike in a collective operation: photographs may take
    longer to decode than the ten minutes after which a GPU's peers give up.
    """
    if accelerator.num_processes == 1:
        yield
        return
    store = common_store()
    mine = accelerator.process_index
    host = mine - accelerator.local_process_index  # the first process of this machine
    number = next(NUMBERS)
    if mine != 0:
        _wait(store, f"noiseda {number} ready {0 if mine == host else host}", 1)
    yield
    store.add(f"noiseda {number} ready {mine}", 1)
    store.add(f"noiseda {number} all", 1)
    _wait(store, f"noiseda {number} all", accelerator.num_processes)


@contextmanager
def losing_peers(out: Path) -> Iterator[None]:
    """Report the loss of another process as what it is.

    Raises:
        UserError: where a collective operation failed; the process that is lost has said why, if it could.
    """
    try:
        yield
    except RuntimeError as error:
        lost = "gloo" in str(error) or (
            torch.distributed.is_available() and isinstance(error, torch.distributed.DistError)
        )
        if not lost:
            raise
        raise UserError(
            f"another process of the run in --out {out} has gone ({str(error).splitlines()[0]}). The last checkpoint "
            "is kept; the same command continues from it"
        ) from error


def as_first(accelerator: Accelerator, answer: bool) -> bool:
    """The first process's answer, on all of them; all must ask."""
    if accelerator.num_processes == 1:
        return answer
    return bool(accelerator.gather(torch.tensor([int(answer)], device=accelerator.device))[0])


def check_same(accelerator: Accelerator, out: Path, *, files: str, done: int) -> None:
    """Check that all processes found the same images and the same checkpoint.

    Args:
        accelerator: the engine.
        out: the run's folder, for the message.
        files: digest of the images' names and sizes.
        done: steps that the checkpoint had done.

    Raises:
        UserError: on all processes, where one differs: some machine does not share the disk.
    """
    if accelerator.num_processes == 1:
        return
    mine = torch.tensor([[int(files[:15], 16), done]], device=accelerator.device)
    digests, steps = accelerator.gather(mine).T.tolist()
    if len(set(steps)) > 1:
        raise UserError(
            f"the processes found different checkpoints in --out {out} (after steps {steps}): all machines must share "
            "that folder"
        )
    if len(set(digests)) > 1:
        others = [rank for rank, digest in enumerate(digests) if digest != digests[0]]
        raise UserError(
            f"processes {others} found other images than process 0: all machines must see the same files in the "
            "folders given"
        )


def common_store() -> Store:
    """The key-value store through which the processes found one another; torch has no public name for it."""
    return torch.distributed.distributed_c10d._get_default_store()


def _wait(store: Store, key: str, count: int) -> None:
    """Wait until a counter has reached ``count``, in small pauses between which signals are heard."""
    while store.add(key, 0) < count:
        time.sleep(_PAUSE)
