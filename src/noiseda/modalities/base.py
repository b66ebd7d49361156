"""What a kind of signal must be able to do: how it is read, written, turned, and scored.

Everything else takes signals of any rank: networks, objectives, the diffusion model, the drawing of samples, tiles. It
asks a modality for these alone. A modality of one's own is one class (examples/readings.py).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor


@dataclass(frozen=True)
class Signal:
    """A signal in memory.

    Attributes:
        values: (C, *spatial) float32 in [0, 1].
        about: what writing it back needs, such as its sampling rate.
    """

    values: Tensor
    about: dict[str, Any] = field(default_factory=dict)


class Modality(ABC):
    """A kind of signal.

    Attributes:
        name: in messages: "recording".
        dims: number of spatial dimensions: 1, 2 or 3.
        suffixes: of its files, in small letters, with the dot.
        tile: side of the tiles in which long signals are restored.
        overlap: how much of a tile neighbours share.
    """

    name: ClassVar[str]
    dims: ClassVar[int]
    suffixes: ClassVar[frozenset[str]]
    tile: int = 768
    overlap: int = 64

    @abstractmethod
    def read(self, path: Path) -> Signal:
        """Read a file.

        Raises:
            UserError: it cannot be read; names it.
        """

    @abstractmethod
    def write(self, signal: Signal, path: Path) -> None:
        """Write a file, whole or not at all, as like the one it was read from as its format allows.

        Raises:
            UserError: it cannot be written; names it.
        """

    def symmetries(self) -> int:
        """How many ways there are to turn a signal into another of its kind; 1: as it is."""
        return 1

    def turned(self, values: Tensor, way: int) -> Tensor:
        """A signal turned; the first way is as it is.

        Args:
            values: (C, *spatial).
            way: from 0 to :meth:`symmetries` - 1.
        """
        return values

    def turned_back(self, values: Tensor, way: int) -> Tensor:
        """Undo :meth:`turned`. By default the same once more, which undoes flips and changes of sign.

        Args:
            values: (C, *spatial), turned.
            way: in which way they were.
        """
        return self.turned(values, way)

    def score(self, restored: Tensor, target: Tensor) -> float:
        """How near a restored signal is to its target, in dB; more is nearer: PSNR, unless a modality has its own.

        Args:
            restored: (C, *spatial) in [0, 1].
            target: the same.
        """
        error = float((restored - target).square().mean())
        return math.inf if error == 0 else -10 * math.log10(error)
