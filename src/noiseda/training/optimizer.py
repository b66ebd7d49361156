"""Adam on channels-last and on sharded weights, and the norm of a gradient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from noiseda.training.sharding import is_sharded, local, mesh_of


class Adam(torch.optim.Adam):
    """torch's fused Adam, shown channels-last tensors in the order in which they lie in memory.

    Every element is updated by itself, so that the order does not matter; but on CPUs the fused kernel copies whatever
    is not contiguous, there and back. Of a sharded tensor it is shown this process's part. Same results, same
    state.
    """

    def _init_group(self, group: dict[str, Any], *lists: Any) -> bool:  # noqa: ANN401
        complex_ones: bool = super()._init_group(group, *lists)  # type: ignore[no-untyped-call]
        for tensors in lists[:4]:  # parameters, gradients, first and second moments
            tensors[:] = [_as_it_lies(local(tensor)) for tensor in tensors]
        return complex_ones


def _as_it_lies(tensor: Tensor) -> Tensor:
    if tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor.permute(0, 2, 3, 1)
    return tensor


@torch.no_grad()
def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients together, the parts of all processes included; clips nothing."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    parts = [gradient for gradient in gradients if is_sharded(gradient)]
    whole = _norm([gradient for gradient in gradients if not is_sharded(gradient)])
    if not parts:
        return whole
    square = _norm([local(part) for part in parts]).square()
    torch.distributed.all_reduce(square, group=mesh_of(parts[0]).get_group())
    return (whole.square() + square).sqrt()


@torch.no_grad()
def clip_gradients(parameters: Iterable[Tensor], largest: float) -> Tensor:
    """Scale all gradients so that their norm is ``largest`` at most, as :func:`torch.nn.utils.clip_grad_norm_` does.

    Returns:
        The norm before.
    """
    parameters = list(parameters)
    norm = gradient_norm(parameters)
    gradients = [local(parameter.grad) for parameter in parameters if parameter.grad is not None]
    torch._foreach_mul_(gradients, (largest / (norm + 1e-6)).clamp(max=1.0))
    return norm


def _norm(tensors: list[Tensor]) -> Tensor:
    norms: tuple[Tensor, ...] = torch._foreach_norm(tensors)
    norm: Tensor = torch.stack(norms).norm()
    return norm
