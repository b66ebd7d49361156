"""Whether a run can fit into memory at all: estimated before anything is built, from below."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from noiseda.adaptation import build
from noiseda.config import AdaptSettings
from noiseda.errors import UserError
from noiseda.restoration.catalogue import NETWORKS
from noiseda.restoration.unet import UNet
from noiseda.restorer_settings import SIZES, RestorerSettings
from noiseda.settings_file import flatten, to_tree

_COPIES = 4
"""Numbers kept for each weight: itself, its gradient, and Adam's two moments."""

_IMAGES = 3
"""Images of a sample that are in memory at once, at least: synthetic, target, restored."""

_SIZES = ("width", "depth", "blocks", "channel_mults", "discriminator")

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def check_room(settings: AdaptSettings) -> None:
    """Check that weights and batches of a run can fit into memory.

    Counted is what every run needs at the very least, so that no run is refused that would go well: many that need more
    are not.

    Args:
        settings: of the run, with no size of its network left open (:func:`noiseda.training.plan.settled`).

    Raises:
        UserError: naming what is needed and what there is, in GB of 1e9 bytes.
    """
    there, place = memory_of(settings.training.device)
    training, restorer = settings.training, settings.restorer
    pixels = training.batch * training.side**2
    maps = _IMAGES * restorer.channels + (restorer.width or 0)
    _compare(
        4 * pixels * maps,
        there,
        f"a batch of {training.batch} patches of {training.side} x {training.side} pixels",
        place,
        "a smaller --training.batch (with a larger --training.gradient_accumulation) or --training.patch needs less",
    )
    if _is_large(settings):
        _compare(
            4 * _COPIES * _weights(settings),
            there,
            "the networks' weights, their gradients and Adam's moments",
            place,
            "smaller --restorer.* and --predictor.* (width, depth, blocks, channel_mults) need less",
        )


def _compare(needed: float, there: float, what: str, place: str, advice: str) -> None:
    if needed > there:
        raise UserError(
            f"{what} need at least {needed / 1e9:,.1f} GB of memory, and {place} has {there / 1e9:,.1f} GB: {advice}"
        )


def _is_large(settings: AdaptSettings) -> bool:
    """Whether a size is more than twice what it usually is: of others, weights are not counted."""
    plain = AdaptSettings(restorer=RestorerSettings(network=settings.restorer.network).settled())
    usual = flatten(to_tree(plain))
    for name, value in flatten(to_tree(settings)).items():
        if name.rpartition(".")[2] in _SIZES and value is not None:
            values, ordinary = (one if isinstance(one, list) else [one] for one in (value, usual[name]))
            if len(values) > 2 * len(ordinary) or max(values, default=0) > 2 * max(ordinary, default=0):
                return True
    return False


def _weights(settings: AdaptSettings) -> int:
    """Number of weights of the run's networks, found without making them; those that cannot be built do not count."""
    restorer, count = settings.restorer, 0
    unbuilt = suppress(UserError, ValueError, RuntimeError, AssertionError, TypeError)
    if restorer.weights is None:  # or it is as large as its file
        size = {name: getattr(restorer, name) for name in SIZES[restorer.network]}
        with unbuilt, torch.device("meta"), _Ranges():
            count += _count(NETWORKS[restorer.network].make(**size, channels=restorer.channels).parameters())
    with unbuilt, torch.random.fork_rng(devices=[]), FakeTensorMode():
        stand_in = UNet(width=8, depth=2, channels=restorer.channels)
        own = build(stand_in, replace(settings, restorer=replace(restorer, start=None)))
        count += _count(own.parameters()) - _count(stand_in.parameters())
    return count


def _count(parameters: Iterable[torch.Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)


class _Ranges(TorchFunctionMode):
    """Rates of dropout are read off a range as numbers, which tensors without memory have not."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        """Give ranges memory; leave all else as it is."""
        more = {"device": "cpu"} if func is torch.linspace else {}
        return func(*args, **{**(kwargs or {}), **more})


def memory_of(device: str) -> tuple[float, str]:
    """Bytes that a run can have at most, and whose they are."""
    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        with suppress(RuntimeError, AssertionError):
            return float(torch.cuda.mem_get_info()[1]), "the GPU"
    found = [float("inf")]
    with suppress(OSError, ValueError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    with suppress(OSError, ValueError, AttributeError):
        found.append(float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    for path in _LIMITS:
        with suppress(OSError, ValueError):
            found.append(float(path.read_text(encoding="ascii")))
    return min(found), "this machine"
