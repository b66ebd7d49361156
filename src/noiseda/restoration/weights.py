"""Restoration networks as files: one ``.safetensors`` whose metadata says how to rebuild the network.

The file needs nothing beside it, holds no pickle, and no key of the noise predictor.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from noiseda.config import Task
from noiseda.errors import UserError, WeightsError
from noiseda.precision import FULL
from noiseda.restoration.base import Restorer
from noiseda.restoration.catalogue import NETWORKS
from noiseda.restoration.contents import Contents, contents, json_of, metadata_in
from noiseda.restoration.found import check_shapes, find
from noiseda.restoration.layout import laid_out
from noiseda.restoration.own import OWN
from noiseda.restoration.ready import located
from noiseda.restoration.spandrel_models import detect, require
from noiseda.restoration.stored import settle, shown
from noiseda.storage import atomic

FORMAT = "noiseda/1"
VALUE_RANGE = "0..1"


def save_weights(
    path: str | Path,
    state: Mapping[str, Tensor],
    *,
    architecture: str,
    arguments: Mapping[str, object],
    task: str,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write a restoration network to a file, whole or not at all.

    Args:
        path: the file; its name ends in ``.safetensors``.
        state: the network's state dict.
        architecture: a name of :data:`noiseda.restoration.own.OWN`, or one that spandrel knows.
        arguments: the keyword arguments that rebuild the network; none for what spandrel knows.
        task: denoise, derain, deblur or dejpeg.
        notes: more text for the metadata (how it was trained, say).

    Raises:
        WeightsError: when the file cannot be written (no room, no right); what stood there before is kept.
    """
    metadata = {**_description(architecture, arguments), "task": task, **(notes or {})}
    tensors = {name: _kept(tensor.detach()).cpu().clone().contiguous() for name, tensor in state.items()}
    try:
        with atomic(Path(path)) as file:
            file.write(laid_out(tensors, metadata))
    except OSError as error:
        raise WeightsError(f"cannot write the weights file {path}: {error.strerror or error}") from error


def _kept(tensor: Tensor) -> Tensor:
    """Floating-point numbers as float32; whole numbers, such as positions in a window, as they are."""
    return tensor.float() if tensor.is_floating_point() else tensor


def _description(architecture: str, arguments: Mapping[str, object]) -> dict[str, str]:
    return {
        "format": FORMAT,
        "architecture": architecture,
        "arguments": json.dumps(dict(arguments), sort_keys=True),
        "value_range": VALUE_RANGE,
    }


def metadata_of(path: Path, *, architecture: str, arguments: Mapping[str, object]) -> dict[str, str]:
    """What a file of ours says of the network in a file, with all that the latter says of itself.

    Args:
        path: a file of any network.
        architecture: the network's.
        arguments: those that rebuild it.
    """
    described = metadata_in(path)
    return (described if described.get("format") == FORMAT else {}) | _description(architecture, arguments)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """What a weights file says of itself: format, architecture, arguments (JSON), task, value_range, ...

    Raises:
        WeightsError: when the file is missing, truncated, or not ours.
    """
    path = _path(path)
    metadata = metadata_in(path)
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} was not written by noiseda: its metadata lacks format = {FORMAT} "
            f"(has {shown(str(sorted(metadata)[:20]), 300)})"
        )
    return metadata


def task_of(path: str | os.PathLike[str]) -> Task:
    """What a network was trained to restore, as its file says; noise where it does not say.

    Raises:
        WeightsError: as :func:`read_metadata`.
    """
    return cast(Task, read_metadata(path).get("task", "denoise"))


def load(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> Restorer:
    """Load a restoration network.

    Weights of others may lie under the usual names (``state_dict``, ``params_ema``, ...) and be wrapped as compilers
    and training programs do (``module._orig_mod.``). Averaged weights are preferred to raw ones, and that is said. A
    pickle is never unpickled: what it holds is read without calling anything that it names.

    Args:
        path: a ``.safetensors`` file written by noiseda; the name of ready weights (denoise); or the weights of any
            network that spandrel knows, as ``.safetensors`` or as torch.save writes them (``.pth``, ``.ckpt``), with
            nothing of danger beside them.
        device: where the network shall live.

    Returns:
        The network in evaluation mode: (B, C, H, W) in [0, 1] -> the same shape, or ``scale`` times as high and wide
        where it is one for super-resolution.

    Raises:
        WeightsError: when the file is missing, truncated, holds more than weights, is of no known network, or does not
            fit its own description; when weights are not finite, or of a type that no network is trained in.
        UserError: when its network needs a package that is not installed; when the path or the device is none.
    """
    place = _device(device)
    held = contents(_path(path))
    written = held.metadata.get("format", "")
    if written != FORMAT and written.startswith("noiseda/"):
        raise WeightsError(
            f"{held.path} is of the format {shown(written)}, and this noiseda reads {FORMAT}: it needs a newer one"
        )
    if written.startswith("noiseda-predictor/"):
        raise WeightsError(
            f"{held.path} holds a noise predictor, which restores nothing; expected a restoration network"
        )
    restorer = find(held) if written != FORMAT else _in_its_range(_own(held), held)
    return restorer.to(place).eval()


def _own(held: Contents) -> Restorer:
    """The network in a file of ours."""
    name = held.metadata.get("architecture", "")
    assert isinstance(held.tree, dict)
    if name not in OWN:
        return _foreign(held, name)
    try:
        arguments = json_of(held.metadata["arguments"])
        if not isinstance(arguments, dict):
            raise ValueError("its arguments are no mapping")
        # Without memory or random draws: a damaged file may ask for any size, but gets its own tensors or none.
        restorer = OWN[name].outline(arguments)
        check_shapes(restorer, held.tree, held.path)
    except (KeyError, ValueError) as error:
        reason = "it lacks the arguments" if isinstance(error, KeyError) else shown(str(error), 300)
        raise WeightsError(f"{held.path} does not fit its own description ({name}): {reason}") from error
    restorer.load_state_dict(settle(held.tree, held.path, held.size), assign=True)
    return restorer


def _in_its_range(restorer: Restorer, held: Contents) -> Restorer:
    """The network with the white level that its file states, if any."""
    stated = held.metadata.get("white_level", str(FULL))
    if not (stated.isascii() and stated.isdecimal() and 1 <= int(stated[:6]) <= FULL):
        raise WeightsError(
            f"{held.path} states a white_level of {stated[:20]!r}, expected a whole number from 1 to {FULL}"
        )
    restorer.white_level = int(stated[:6])
    return restorer


def _foreign(held: Contents, name: str) -> Restorer:
    """A network of another's code in a file of ours."""
    if not name:
        raise WeightsError(
            f"{held.path} holds a network of somebody's own, which noiseda cannot rebuild: make it in Python, and give "
            "it these weights with load_state_dict (safetensors.torch.load_file reads them)"
        )
    if name not in {network.architecture for network in NETWORKS.values()}:
        known = ", ".join(dict.fromkeys(network.architecture for network in NETWORKS.values()))
        raise WeightsError(f"{held.path} holds the unknown architecture {shown(name)!r}; known: {known}")
    require(name)
    assert isinstance(held.tree, dict)
    restorer = detect(settle(held.tree, held.path, held.size), held.path)
    if restorer.architecture != name:
        raise WeightsError(
            f"{held.path} does not fit its own description: {name}, but its weights are {restorer.architecture}'s"
        )
    return restorer


def _path(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise UserError(f"expected the path of a weights file, not a {type(path).__name__}")
    return located(Path(path))


def _device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = shown((str(error).splitlines() or [repr(error)])[0], 200)
        raise UserError(f"the device {device!r} cannot be used: {reason}") from error
    return place
