"""Adam on channels-last weights, and the norm of a gradient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Adam(torch.optim.Adam):
    """torch's fused Adam, shown channels-last tensors in the order in which they lie in memory.

    Every element is updated by itself, so that the order does not matter; but on CPUs the fused kernel copies whatever
    is not contiguous, there and back. Same results, same state.
    """

    def _init_group(self, group: dict[str, Any], *lists: Any) -> bool:  # noqa: ANN401
        complex_ones: bool = super()._init_group(group, *lists)  # type: ignore[no-untyped-call]
        for tensors in lists[:4]:  # parameters, gradients, first and second moments
            tensors[:] = [_as_it_lies(tensor) for tensor in tensors]
        return complex_ones


def _as_it_lies(tensor: Tensor) -> Tensor:
    if tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor.permute(0, 2, 3, 1)
    return tensor


@torch.no_grad()
def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients together, as :func:`torch.nn.utils.clip_grad_norm_` has it; clips nothing."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms: tuple[Tensor, ...] = torch._foreach_norm(gradients)
    norm: Tensor = torch.stack(norms).norm()
    return norm
