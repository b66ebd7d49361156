"""Restoration networks as files: one ``.safetensors`` whose metadata says how to rebuild the network.

The file needs nothing beside it, holds no pickle, and no key of the noise predictor.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from noiseda.errors import WeightsError
from noiseda.restoration.catalogue import NETWORKS
from noiseda.restoration.contract import Restorer
from noiseda.restoration.foreign import recognise, require
from noiseda.restoration.unet import UNet
from noiseda.storage import atomic, utf8_named

ARCHITECTURES: dict[str, Callable[..., Restorer]] = {"unet": UNet}
"""Our own networks: name in the file -> network; the file's ``arguments`` are its keyword arguments. Those of others
are told from their weights."""

WRAPPERS = ("params_ema", "params", "state_dict", "model", "model_state_dict", "net")
"""Under what training programs keep the weights, the best first."""

FORMAT = "noiseda/1"
VALUE_RANGE = "0..1"


def save_weights(
    path: Path,
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
        architecture: a name of :data:`ARCHITECTURES`, or one that spandrel knows.
        arguments: the keyword arguments that rebuild the network; none for what spandrel knows.
        task: denoise, derain or deblur.
        notes: more text for the metadata (how it was trained, say).

    Raises:
        WeightsError: when the file cannot be written (no room, no right); what stood there before is kept.
    """
    metadata = {**_description(architecture, arguments), "task": task, **(notes or {})}
    tensors = {name: _kept(tensor.detach()).cpu().clone().contiguous() for name, tensor in state.items()}
    try:
        with atomic(path) as file:
            file.write(save(tensors, metadata=metadata))
    except OSError as error:
        raise WeightsError(f"cannot write the weights file {path}: {error.strerror or error}") from error


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
    told = _metadata(path)
    return (told if told.get("format") == FORMAT else {}) | _description(architecture, arguments)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """What a weights file says of itself: format, architecture, arguments (JSON), task, value_range, ...

    Raises:
        WeightsError: when the file is missing, truncated, or not ours.
    """
    path = Path(path)
    metadata = _metadata(path)
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} was not written by noiseda: its metadata lacks format = {FORMAT} (has {sorted(metadata)})"
        )
    return metadata


def load(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> Restorer:
    """Load a restoration network.

    Args:
        path: a ``.safetensors`` file written by noiseda, or the weights of any network that spandrel knows, as
            ``.safetensors`` or as a pickle (``.pth``) of tensors and nothing else.
        device: where the network shall live.

    Returns:
        The network in evaluation mode: (B, C, H, W) in [0, 1] -> the same shape.

    Raises:
        WeightsError: when the file is missing, truncated, holds more than tensors, is of no known network, or does not
            fit its own description.
        UserError: when its network needs a package that is not installed.
    """
    path = Path(path)
    metadata = _metadata(path)
    written = metadata.get("format", "")
    if written != FORMAT and written.startswith("noiseda/"):
        raise WeightsError(f"{path} is of the format {written}, and this noiseda reads {FORMAT}: it needs a newer one")
    if written != FORMAT:
        state = _tensors(path)
        own = UNet.detect(state)
        return (recognise(state, path) if own is None else own).to(device).eval()
    name = metadata.get("architecture", "")
    if name not in ARCHITECTURES:
        return _foreign(path, name).to(device).eval()
    try:
        # Built without memory or random draws: a damaged file may ask for any size, but gets its own tensors or none.
        with torch.device("meta"):
            restorer = ARCHITECTURES[name](**json.loads(metadata["arguments"]))
        restorer.load_state_dict(_tensors(path), assign=True)
    except (KeyError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise WeightsError(f"{path} does not fit its own description ({name}): {error}") from error
    return restorer.to(device).eval()


def _foreign(path: Path, name: str) -> Restorer:
    """A network of another's code in a file of ours."""
    if name not in {network.architecture for network in NETWORKS.values()}:
        known = ", ".join(dict.fromkeys(network.architecture for network in NETWORKS.values()))
        raise WeightsError(f"{path} holds the unknown architecture {name!r}; known: {known}")
    require(name)
    restorer = recognise(_tensors(path), path)
    if restorer.architecture != name:
        raise WeightsError(
            f"{path} does not fit its own description: {name}, but its weights are {restorer.architecture}'s"
        )
    return restorer


def _metadata(path: Path) -> dict[str, str]:
    """The metadata of a file of weights, which may be none of ours; none where it is a pickle."""
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise WeightsError(
            f"weights file {path} {found}; expected a .safetensors file written by noiseda, or another network's"
        )
    try:
        if _is_pickle(path):
            return {}
        with utf8_named(path) as name, safe_open(name, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is no readable .safetensors file; it may be truncated or of another kind ({error})"
        ) from error


def _tensors(path: Path) -> dict[str, Tensor]:
    """The weights in a file, floating-point ones as float32; a pickle is only taken where it holds nothing else."""
    try:
        if not _is_pickle(path):
            with utf8_named(path) as name, safe_open(name, framework="pt") as file:
                return {key: _kept(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118 (cannot be iterated)
        with path.open("rb") as file:  # by its content, whatever its name is
            return _weights_of(torch.load(file, map_location="cpu", weights_only=True), path)
    except (SafetensorError, OSError, EOFError) as error:
        raise WeightsError(f"{path} cannot be read: {error}; it may be truncated") from error
    except (pickle.UnpicklingError, RuntimeError, AttributeError, ValueError, KeyError, IndexError) as error:
        raise WeightsError(
            f"{path} is a pickle of more than weights, or a broken one: refused, since it could run any code when "
            f"opened. Expected a .safetensors file, or a .pth file of tensors ({' '.join(str(error).split())[:200]})"
        ) from error


def _weights_of(content: object, path: Path) -> dict[str, Tensor]:
    """The weights among what a training program saved."""
    while isinstance(content, Mapping):
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    found = {str(key): value for key, value in content.items()} if isinstance(content, Mapping) else {}
    if not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise WeightsError(f"{path} holds no weights by name; expected tensors, plain or under {', '.join(WRAPPERS)}")
    return {key: _kept(value) for key, value in found.items()}


def _kept(tensor: Tensor) -> Tensor:
    """Floating-point numbers as float32; whole numbers, such as positions in a window, as they are."""
    return tensor.float() if tensor.is_floating_point() else tensor


def _is_pickle(path: Path) -> bool:
    """Whether a file is a pickle (of protocol 2 or later), or the zip archive around one that torch.save writes.

    A safetensors file can begin with the same bytes, as the length of its header, but that header, ``{...}``, follows.
    """
    with path.open("rb") as file:
        start = file.read(9)
    return (start[:1] == b"\x80" and start[8:] != b"{") or start[:4] == b"PK\x03\x04"
