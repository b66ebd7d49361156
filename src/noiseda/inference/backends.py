"""What computes a network when it restores: torch as it is, torch compiled, or ONNX Runtime."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, TypeAlias

import torch

from noiseda.config import Precision
from noiseda.errors import UserError
from noiseda.inference import onnx_runtime
from noiseda.precision import in_bf16, to_memory_format
from noiseda.restoration import Restorer
from noiseda.restoration.spandrel_models import Foreign

Backend: TypeAlias = Literal["auto", "eager", "compiled", "onnxruntime"]

log = logging.getLogger(__name__)
WORTH_PREPARING = 16.0
"""Megapixels from which on ``auto`` prepares a network: translating takes as long as torch takes for some 2 to 6."""


def choose(wanted: Backend, device: torch.device, precision: Precision, megapixels: float) -> Backend:
    """The backend of a job, by what was measured (docs/explanation/performance.md).

    ``auto`` is ONNX Runtime for large jobs on CPUs that compute in float32, and eager otherwise. It depends on nothing
    that differs from run to run, so that equal commands give equal bytes.

    Args:
        wanted: what was asked for.
        device: where to compute.
        precision: in what numbers.
        megapixels: size of the whole job.

    Raises:
        UserError: where ONNX Runtime is asked for with a GPU or bf16.
    """
    on_cpu, in_fp32 = device.type == "cpu", not in_bf16(precision, device)
    if wanted == "auto":
        return "onnxruntime" if on_cpu and in_fp32 and megapixels >= WORTH_PREPARING else "eager"
    if wanted == "onnxruntime" and not on_cpu:
        raise UserError(f"--backend onnxruntime computes on the CPU alone, not on --device {device}")
    if wanted == "onnxruntime" and precision == "bf16":
        raise UserError("--backend onnxruntime computes in fp32, not in --precision bf16")
    return wanted


def prepare(
    model: Restorer,
    weights: Path,
    wanted: Backend,
    *,
    device: torch.device,
    precision: Precision,
    megapixels: float,
) -> Restorer:
    """Make a network ready to restore a job; ``auto`` takes networks of others, and those that choose, as they are.

    Args:
        model: the network, in evaluation mode.
        weights: the file it was loaded from.
        wanted: what shall compute it.
        device: where it is.
        precision: in what numbers.
        megapixels: size of the whole job.

    Returns:
        A network that gives the same images, but for rounding.

    Raises:
        UserError: as :func:`choose`, and where ONNX Runtime was asked for and cannot have this network.
    """
    backend = choose(wanted, device, precision, megapixels)
    if wanted == "auto" and (isinstance(model, Foreign) or model.chooses):
        backend = "eager"  # others were not measured, and may take minutes to translate; one that chooses is slower
    if backend == "onnxruntime":
        try:
            return onnx_runtime.with_onnxruntime(model, weights)
        except UserError as error:
            if wanted != "auto":
                raise
            log.warning("%s", error)
    to_memory_format(model, torch.channels_last)
    if backend == "compiled":
        model.compile()
    return model
