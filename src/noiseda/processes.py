"""Several processes that train together."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["mean_of_all", "sum_of_all"]


def mean_of_all(value: Tensor) -> Tensor:
    """The mean of a value over all processes that train together; the value itself where there is one alone."""
    if not _several():
        return value
    return sum_of_all(value) / torch.distributed.get_world_size()


def sum_of_all(value: Tensor) -> Tensor:
    """The sum of a value over all processes that train together; the value itself where there is one alone."""
    if not _several():
        return value
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total


def _several() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
