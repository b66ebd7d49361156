"""A picture of how far a run is, anew each minute: part of a photograph, and what the network makes of it now."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn

from noiseda.data.depth import shown
from noiseda.errors import UserError
from noiseda.evaluation.sheet import structured_part
from noiseda.images import Picture, read, write
from noiseda.inference import restore_tensor
from noiseda.precision import FULL

EVERY = 60.0
"""Seconds between two pictures, at least."""

SIDE = 320
"""Of the part that is shown, in pixels, at most."""


class Preview:
    """Writes the picture where its time has come. It draws nothing and moves no weight: a run stays exact.

    Args:
        path: the PNG file.
        photograph: the file that is shown; where it cannot be read, nothing is written.
        channels: those of the network.
        white: the level that is white in deep photographs (:class:`noiseda.data.depth.Depth`).
        max_megapixels: of the photograph, at most.
        every: seconds between two pictures, at least.
        say: gets a line when the first has been written.
    """

    def __init__(
        self,
        path: Path,
        photograph: Path,
        *,
        channels: int = 3,
        white: int = FULL,
        max_megapixels: float = 200.0,
        every: float = EVERY,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.path, self.photograph, self.every = path, photograph, every
        self._channels, self._white, self._max_megapixels, self._say = channels, white, max_megapixels, say
        self._last = time.perf_counter()
        self._part: Tensor | None = None
        self._told = False

    def show(self, network: nn.Module) -> None:
        """Write the picture, before at the left and after at the right, where its time has come."""
        if time.perf_counter() - self._last < self.every:
            return
        with suppress(UserError, OSError):  # a preview ends no run
            before = self._before()
            after = restore_tensor(network, before).cpu()
            panes = [before, after] if after.shape == before.shape else [after]  # one that enlarges
            write(Picture(torch.cat(panes, dim=-1)), self.path)
            if not self._told:
                self._say(
                    f"a picture of {self.photograph.name} as it is restored so far: {self.path}, anew each minute"
                )
                self._told = True
        self._last = time.perf_counter()

    def _before(self) -> Tensor:
        if self._part is None:
            picture = read(self.photograph, max_megapixels=self._max_megapixels, say=False)
            whole = shown([picture], self._white)[0]
            whole = whole.mean(0, keepdim=True) if self._channels == 1 else whole.expand(3, -1, -1)
            rows, columns = structured_part(whole, SIDE)
            self._part = whole[:, rows, columns].clone()  # the photograph itself is not kept
        return self._part
