"""The arithmetic of the networks: where it is done, the type of their numbers, and how these lie in memory."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import chain

import torch
from torch import nn

from noiseda.config import MemoryFormat, Precision

__all__ = ["FULL", "fastest"]

FULL = 65535
"""The white level of files that use all of their 16 bits."""


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context of a forward pass: bfloat16 where it is asked for, or ``auto`` and the device is fast at it."""
    return torch.autocast(device.type, torch.bfloat16) if in_bf16(precision, device) else nullcontext()


def in_bf16(precision: Precision, device: torch.device) -> bool:
    """Whether a forward pass on a device multiplies in bfloat16."""
    return precision == "bf16" or (precision == "auto" and computes_bf16(device))


def computes_bf16(device: torch.device) -> bool:
    """Whether a device multiplies matrices of bfloat16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def fastest() -> torch.device:
    """Where a network computes fastest: a GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def memory_format(wanted: MemoryFormat, precision: Precision, device: torch.device) -> torch.memory_format:
    """The order of a training run's tensors in memory.

    ``auto`` is channels-last, which convolutions prefer, but for float32 on CPUs without AVX-512: there the backward
    pass of wide convolutions is slower channels-last (a step of the paper's networks by a third). With AVX-512 it is
    faster at every width (docs/explanation/performance.md).
    """
    if wanted == "auto":
        plain = device.type == "cpu" and not in_bf16(precision, device)
        wanted = "channels_first" if plain and not _has_avx512() else "channels_last"
    return torch.channels_last if wanted == "channels_last" else torch.contiguous_format


def _has_avx512() -> bool:
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def to_memory_format(network: nn.Module, order: torch.memory_format) -> None:
    """Put the weights of a network that have four dimensions into an order in memory; others have but one."""
    for tensor in chain(network.parameters(), network.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.to(memory_format=order)
