"""The arithmetic of the networks."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from noiseda.config import Precision


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context of a forward pass: bfloat16 where it is asked for, or ``auto`` and the device is fast at it."""
    if precision == "bf16" or (precision == "auto" and computes_bf16(device)):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def computes_bf16(device: torch.device) -> bool:
    """Whether a device multiplies matrices of bfloat16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False
