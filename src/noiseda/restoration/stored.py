"""A tensor in a weights file: what the file says of it, before any of its numbers are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from noiseda.errors import WeightsError

FLOATS = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
WHOLE = {"int64": 8, "int32": 4, "int16": 2, "uint8": 1, "bool": 1}  # positions in a window, say, and counts
SLACK = 65536
"""Bytes that a file may need beyond twice its own size: small files are no danger."""


@dataclass(frozen=True)
class Stored:
    """A tensor in a file.

    Attributes:
        shape: its sides, none negative.
        dtype: the type of its numbers, as float32.
        read: reads it.
        odd: what keeps it from being read as a plain tensor; empty where nothing does.
        span: over how many numbers of the file it reaches, where it is a view that skips some.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Tensor]
    odd: str = ""
    span: int = 0

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    def outline(self) -> Tensor:
        """A tensor of its shape without numbers, which takes no memory; where it is absurdly large, of no shape."""
        return torch.empty(self.shape if self.count < 2**40 else (), device="meta")


def settle(state: Mapping[str, Stored], path: object, size: int) -> dict[str, Tensor]:
    """Read some tensors of a file: floating-point numbers as float32, whole ones as they are.

    All are judged by what the file says of them before any is read.

    Args:
        state: by name.
        path: the file, for the errors.
        size: how many bytes it has.

    Raises:
        WeightsError: One is of another type or empty, or holds NaN or infinite values; together they would take much
            more memory than the file has bytes.
    """
    total = 0
    for name, stored in state.items():
        sizes = FLOATS | WHOLE
        odd = stored.odd or ("" if stored.dtype in sizes else f"of {stored.dtype}")
        odd = odd or ("" if stored.count else f"empty, of shape {stored.shape}"[:100])
        if odd:
            raise WeightsError(f"{path}: {shown(name)} is {odd}; expected plain tensors of {', '.join(FLOATS)}")
        total += max(stored.count, stored.span) * sizes[stored.dtype]
        if total > 2 * size + SLACK:
            raise WeightsError(
                f"{path}: its weights would take more than {total:.3g} bytes, out of proportion to the file, which has "
                f"{size:,}"
            )
    return {name: _finite(name, stored, path) for name, stored in state.items()}


def _finite(name: str, stored: Stored, path: object) -> Tensor:
    tensor = stored.read()
    if not tensor.is_floating_point():
        return tensor.contiguous()
    tensor = tensor.float().contiguous()
    if not all(math.isfinite(end) for end in tensor.aminmax()):  # NaN passes on, and no mask is made
        raise WeightsError(f"{path}: {shown(name)} holds values that are not numbers (NaN) or infinite")
    return tensor


def shown(name: str, most: int = 100) -> str:
    """A name out of a file, such that any terminal can show it in a line."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:most])
