"""Look-alikes: clean photographs degraded as the user's own look, so that a restorer can be scored without their truth.

How well a score on them goes along with the truth is measured by ``noiseda compare`` (docs/results.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from noiseda.config import Precision, Task
from noiseda.data.degradations import Degradation, degradation, prepared
from noiseda.data.depth import EIGHT_BITS, Depth
from noiseda.data.sampling import integer
from noiseda.errors import UserError
from noiseda.estimation.blur_kernel import matched_blur
from noiseda.estimation.jpeg_quality import matched_jpeg
from noiseda.estimation.noise import matched
from noiseda.estimation.rain import matched_rain
from noiseda.inference import restore_tensor
from noiseda.restoration.as_trained import load_as_trained
from noiseda.restoration.ready import READY
from noiseda.tasks import TASKS

SIDE = 128
"""Side of the pairs, in pixels, where the photographs are as large."""


SIMULATED = ("noise", "rain")
"""What is found by degrading clean photographs, and holding them against the user's."""


def look_of(
    task: Task, real: Sequence[Path], clean: Sequence[Path], kept: Path, seed: int, depth: Depth = EIGHT_BITS
) -> Degradation:
    """What the user's photographs went through: noise, rain, blur or JPEG as they have; else what is usual.

    Args:
        task: what is to be restored.
        real: files of the user's photographs.
        clean: files of clean ones; asked for what is :data:`SIMULATED` alone.
        kept: file for what is found.
        seed: seed of what is simulated to find it.
        depth: of the user's photographs.

    Raises:
        UserError: where nothing can be found.
    """
    estimator = TASKS[task].estimator
    if estimator == "noise":
        return matched(real, clean, kept, depth=depth)
    if estimator == "rain":
        takes_away = partial(restore_tensor, load_as_trained(READY[TASKS[task].ready]))
        return matched_rain(real, clean, kept, takes_away, seed=seed, depth=depth)
    if estimator == "jpeg":
        return matched_jpeg(real)
    return matched_blur(real, kept, depth.white) if estimator == "blur" else degradation(task)


def proxy_pairs(
    degrade: Degradation, clean: Sequence[Tensor], count: int, generator: torch.Generator, levels: float = 255.0
) -> list[tuple[Tensor, Tensor]]:
    """Cut patches from clean photographs, taken in turn, and degrade them.

    Args:
        degrade: what the user's photographs went through (:mod:`noiseda.estimation.noise`).
        clean: clean images (C, H, W) in [0, 1].
        count: number of pairs.
        generator: source of every draw.
        levels: steps from black to white in the user's files.

    Returns:
        Degraded and clean patches (C, S, S), S at most 128, in [0, 1]; the degraded ones in steps of 1/levels, as in a
        file.
    """
    margin, pairs = degrade.margin, []
    for index in range(count):
        image = clean[index % len(clean)]
        height, width = (min(length, SIDE + 2 * margin) for length in image.shape[-2:])
        top = integer(0, image.shape[-2] - height, generator)
        left = integer(0, image.shape[-1] - width, generator)
        y = prepared(degrade, image[:, top : top + height, left : left + width], generator)
        x = (degrade(y, generator).clamp(0, 1) * levels).round() / levels
        inner = (slice(None), *(slice(margin, length - margin) for length in (height, width)))
        pairs.append((x[inner], y[inner]))
    return pairs


def restored_by(network: nn.Module, x: Tensor, precision: Precision = "auto") -> Tensor:
    """What a network makes of an image that it is scored on, (C, H, W).

    Raises:
        UserError: it is not a number somewhere, and no score says anything.
    """
    found = restore_tensor(network, x, precision=precision)
    if not bool(found.isfinite().all()):
        raise UserError("the network cannot be scored: its output holds values that are not numbers (NaN) or infinite")
    return found
