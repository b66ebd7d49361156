"""What a file of weights holds, whatever program wrote it: its description of itself, and its tensors, not yet read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from noiseda.errors import WeightsError
from noiseda.restoration.archive import described, is_archive
from noiseda.restoration.kinds import other_kind
from noiseda.restoration.pickles import PickleError
from noiseda.restoration.ready import READY
from noiseda.restoration.stored import Stored
from noiseda.storage import utf8_named
from noiseda.suggestions import nearest

LONGEST = 2**22
"""Bytes of the longest header of a .safetensors file; a network's has some 100 for each tensor."""

_EXPECTED = "expected a .safetensors file written by noiseda, or another network's"
_DTYPES = {
    "C64": "complex64", "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
    "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes:
        path: the file.
        size: its bytes.
        metadata: what a .safetensors file says of itself; empty for others.
        tree: tensors by name, or mappings and lists in which they lie, as a training program saved them.
    """

    path: Path
    size: int
    metadata: dict[str, str]
    tree: object


def metadata_in(path: Path) -> dict[str, str]:
    """What a file says of itself; nothing where it is none of ``.safetensors``.

    Raises:
        WeightsError: It is missing, cannot be read or holds no weights at all.
    """
    start = _start(path)
    return {} if is_archive(start) else _header(path)[0]


def contents(path: Path) -> Contents:
    """Look into a file of weights; no tensor is read yet.

    Raises:
        WeightsError: It is missing, damaged or of another kind, or holds more than weights.
    """
    start = _start(path)
    size = path.stat().st_size
    if not is_archive(start):
        metadata, tensors = _header(path)
        return Contents(path, size, metadata, tensors)
    try:
        return Contents(path, size, {}, described(path))
    except PickleError as error:
        advice = "" if ";" in str(error) else f"; {_EXPECTED}"
        raise WeightsError(f"{path} {error}{advice}") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error


def _start(path: Path) -> bytes:
    """The first bytes of a file.

    Raises:
        WeightsError: There is none, or they are those of something else.
    """
    if not path.is_file():
        inside = path / "restorer.safetensors"
        folder = f"is a folder, whose weights are {inside}" if inside.is_file() else "is a folder"
        run = path if path.is_dir() else path.parent
        begun = (run / "settings.yaml").is_file() and (run / "checkpoints").is_dir()
        if begun and not inside.is_file() and (path.is_dir() or path.name == inside.name):
            raise WeightsError(f"{path}: its run has not ended, so it has no weights yet; its command goes on")
        found = folder if path.is_dir() else "is no regular file" if path.exists() else "does not exist"
        if not path.exists() and (meant := nearest(str(path), READY)):
            raise WeightsError(f"weights file {path} {found}{meant.rstrip('?')}, the ready weights?")
        raise WeightsError(f"weights file {path} {found}; {_EXPECTED}")
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    kind = other_kind(start, path.name)
    if kind is not None:
        raise WeightsError(f"{path} {kind}; {_EXPECTED}")
    return start


def _header(path: Path) -> tuple[dict[str, str], dict[str, Stored]]:
    """Metadata and tensors of a .safetensors file.

    Raises:
        WeightsError: It is none.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, LONGEST):
            raise WeightsError(
                f"{path} is no readable .safetensors file: its header would have {length:,} bytes, of {size:,} in all; "
                "it may be truncated or of another kind"
            )
        with utf8_named(path) as found:
            opened: Any = safe_open(found, framework="pt")  # which stays so until its tensors are read
        metadata = dict(opened.metadata() or {})
        tensors = {}
        for name in opened.keys():  # noqa: SIM118 (cannot be iterated)
            part = opened.get_slice(name)
            dtype = _DTYPES.get(part.get_dtype(), part.get_dtype())
            tensors[name] = Stored(tuple(part.get_shape()), dtype, partial(_tensor, path, opened, name))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except (SafetensorError, ValueError, OverflowError) as error:
        raise WeightsError(
            f"{path} is no readable .safetensors file; it may be truncated or of another kind"
        ) from error
    return metadata, tensors


def _tensor(path: Path, opened: Any, name: str) -> Tensor:  # noqa: ANN401 (safetensors')
    try:
        tensor: Tensor = opened.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read; it may have been changed meanwhile") from error
    return tensor


def json_of(text: str) -> object:
    """What a text in JSON says.

    Raises:
        ValueError: It says nothing in JSON, or its parts lie too deep in one another.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("its arguments are no JSON") from error
