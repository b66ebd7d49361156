"""How well a restorer's photographs, blurred again as they were, match the blurred ones: estimated from these alone.

A photograph x is blurred by a kernel k that is found in x itself (:mod:`noiseda.estimation.blur_kernel`). Restored and
blurred again it is k * f(x), and the nearer that is to x, the nearer is f(x) to the truth in all that the blur lets
through: of the rest it says nothing. How well it ranks restorers is measured by the study ``verdicts``
(docs/results.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from noiseda.assessment.sure import Restore, Risk
from noiseda.data.blur import convolve
from noiseda.data.camera import linear_from_srgb
from noiseda.errors import UserError
from noiseda.estimation.blur_kernel import LOOKED_AT, kernel_of
from noiseda.estimation.noise_looks import middle


class BlurredAgain:
    """The squared error of photographs that were restored and blurred again.

    Args:
        photographs: blurred images (C, H, W) in [0, 1]; of each, the middle, at most 320 x 320 pixels, is used.
        linear: whether light was blurred; else the values of pixels.

    Raises:
        UserError: where none is large enough, or has edges.
    """

    def __init__(self, photographs: Sequence[Tensor], *, linear: bool) -> None:
        self._seen = linear_from_srgb if linear else torch.clone
        self._blurred = []
        for image in (middle(image, LOOKED_AT) for image in photographs):
            kernel = kernel_of(self._seen(image))
            if kernel is not None:
                self._blurred.append((image, kernel))
        if not self._blurred:
            raise UserError("no photograph is large enough, and has edges, for its blur to be found")
        self._as_they_are = self._errors(lambda image: image)

    @torch.no_grad()
    def __call__(self, restore: Restore) -> Risk:
        """Of a restorer: its mean squared error, and that of the photographs as they are."""
        return Risk(self._errors(restore), self._as_they_are)

    def _errors(self, restore: Restore) -> tuple[float, ...]:
        """Away from the borders, beyond which nothing is known."""
        found = []
        for image, kernel in self._blurred:
            reach = len(kernel) // 2
            error = convolve(self._seen(restore(image)), kernel) - self._seen(image)
            found.append(float(error[:, reach:-reach, reach:-reach].square().mean()))
        return tuple(found)
