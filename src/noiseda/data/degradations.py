"""How a clean photograph becomes a synthetic input: one contract, one table of degradations.

A degradation maps an image (C, H, W) in [0, 1] to one of the same shape. It draws everything, its own strength
included, from the generator it is given, so that the same state of the generator gives the same image bit for bit.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from noiseda.config import Task
from noiseda.data.blur import CameraShake, Defocus, FrameAverage
from noiseda.data.camera import Camera
from noiseda.data.draws import Range
from noiseda.data.noise import PoissonGaussian, White
from noiseda.data.rain import Drops, Streaks
from noiseda.errors import UserError


class Degradation(Protocol):
    """What clean photographs go through to become synthetic inputs."""

    @property
    def strength(self) -> Range:
        """Range that the strength of each image is drawn from, in the degradation's own unit."""
        ...

    @property
    def margin(self) -> int:
        """Pixels of context needed on each side: the caller passes a patch enlarged by it and crops it off after."""
        ...

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image.

        Args:
            clean: (C, H, W) in [0, 1], float32, C = 1 or 3.
            generator: CPU generator of every draw.

        Returns:
            The degraded image (C, H, W), float32; ``clean`` is left as it is.
        """
        ...


DEGRADATIONS: dict[str, Callable[..., Degradation]] = {
    "white": White,
    "poisson-gaussian": PoissonGaussian,
    "camera": Camera,
    "streaks": Streaks,
    "drops": Drops,
    "camera-shake": CameraShake,
    "defocus": Defocus,
    "frame-average": FrameAverage,
}
"""Every degradation by name; each class takes its settings, ``strength`` among them, by keyword."""

TASK_DEGRADATIONS: dict[Task, tuple[str, ...]] = {
    "denoise": ("white", "poisson-gaussian", "camera"),
    "derain": ("streaks", "drops"),
    "deblur": ("camera-shake", "defocus", "frame-average"),
}
"""Names of the degradations that make sense for a task; the first is its default."""


def degradation(task: Task, kind: str | None = None, strength: Range | None = None) -> Degradation:
    """The degradation that the settings ask for.

    >>> degradation("denoise").strength
    (0.0, 75.0)

    Args:
        task: denoise, derain or deblur.
        kind: name in ``TASK_DEGRADATIONS[task]``; None for the first of them.
        strength: range of its strength in its own unit; None for its own default.

    Raises:
        UserError: where the kind is unknown or belongs to another task, or the range is not one.
    """
    allowed = TASK_DEGRADATIONS[task]
    name = allowed[0] if kind is None else kind
    if name not in allowed:
        nearest = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise UserError(f"--degradation.kind for --task {task} must be one of {', '.join(allowed)}, not {name!r}{hint}")
    settings: dict[str, Any] = {} if strength is None else {"strength": strength}
    return DEGRADATIONS[name](**settings)
