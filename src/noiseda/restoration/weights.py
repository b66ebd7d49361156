"""Restoration networks as files: one ``.safetensors`` whose metadata says how to rebuild the network.

The file needs nothing beside it, holds no pickle, and no key of the noise predictor.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from noiseda.errors import WeightsError
from noiseda.restoration.contract import Restorer
from noiseda.restoration.unet import UNet
from noiseda.storage import atomic

ARCHITECTURES: dict[str, Callable[..., Restorer]] = {"unet": UNet}
"""Name in the file -> network; the file's ``arguments`` are its keyword arguments."""

FORMAT = "noiseda/1"
VALUE_RANGE = "0..1"


def save_weights(
    path: Path,
    state: Mapping[str, torch.Tensor],
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
        architecture: a name of :data:`ARCHITECTURES`.
        arguments: the keyword arguments that rebuild the network.
        task: denoise, derain or deblur.
        notes: more text for the metadata (how it was trained, say).

    Raises:
        WeightsError: when the file cannot be written (no room, no right); what stood there before is kept.
    """
    metadata = {
        "format": FORMAT,
        "architecture": architecture,
        "arguments": json.dumps(dict(arguments), sort_keys=True),
        "task": task,
        "value_range": VALUE_RANGE,
        **(notes or {}),
    }
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in state.items()}
    try:
        with atomic(path) as file:
            file.write(save(tensors, metadata=metadata))
    except OSError as error:
        raise WeightsError(f"cannot write the weights file {path}: {error.strerror or error}") from error


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """What a weights file says of itself: format, architecture, arguments (JSON), task, value_range, ...

    Raises:
        WeightsError: when the file is missing, is no safetensors file (a pickle, say), is truncated, or is not ours.
    """
    path = Path(path)
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise WeightsError(f"weights file {path} {found}; expected a .safetensors file written by noiseda")
    try:
        if _is_pickle(path):
            raise WeightsError(
                f"{path} is a pickled PyTorch file, which could run any code when opened: refused. "
                "Expected a .safetensors file written by noiseda"
            )
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is no readable .safetensors file; it may be truncated or of another kind ({error})"
        ) from error
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} was not written by noiseda: its metadata lacks format = {FORMAT} (has {sorted(metadata)})"
        )
    return metadata


def load(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> Restorer:
    """Load a restoration network.

    Args:
        path: a ``.safetensors`` file written by noiseda.
        device: where the network shall live.

    Returns:
        The network in evaluation mode: (B, C, H, W) in [0, 1] -> the same shape.

    Raises:
        WeightsError: when the file is missing, truncated, a pickle, not ours, or does not fit its own description.
    """
    metadata = read_metadata(path)
    name = metadata.get("architecture", "")
    if name not in ARCHITECTURES:
        raise WeightsError(f"{path} holds the unknown architecture {name!r}; known: {', '.join(ARCHITECTURES)}")
    try:
        # Built without memory or random draws: a damaged file may ask for any size, but gets its own tensors or none.
        with torch.device("meta"):
            restorer = ARCHITECTURES[name](**json.loads(metadata["arguments"]))
        with safe_open(path, framework="pt") as file:
            keys = list(file.keys())  # safe_open itself cannot be iterated
            state = {key: file.get_tensor(key).float() for key in keys}
        restorer.load_state_dict(state, assign=True)
    except (KeyError, TypeError, ValueError, ArithmeticError, RuntimeError, OSError, SafetensorError) as error:
        raise WeightsError(f"{path} does not fit its own description ({name}): {error}") from error
    return restorer.to(device).eval()


def _is_pickle(path: Path) -> bool:
    """Whether a file is a pickle (of protocol 2 or later), or the zip archive around one that torch.save writes.

    A safetensors file can begin with the same bytes, as the length of its header, but that header, ``{...}``, follows.
    """
    with path.open("rb") as file:
        start = file.read(9)
    return (start[:1] == b"\x80" and start[8:] != b"{") or start[:4] == b"PK\x03\x04"
