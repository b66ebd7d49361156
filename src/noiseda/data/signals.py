"""Samples drawn from folders of signals of any kind, for :func:`noiseda.fit`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from noiseda.data.degradations import Degrade
from noiseda.data.drawn import Sample
from noiseda.data.sampling import integer
from noiseda.errors import UserError
from noiseda.modalities import MODALITIES, Modality

KEPT = 256
"""Files that are kept in memory once they were read."""


class Signals:
    """Draws a sample: a piece of a clean signal, the same degraded, and a piece of a real one.

    A piece that is longer than its signal is continued by reflection. The same state of the generator gives the same
    sample.

    Args:
        modality: a name of :data:`noiseda.modalities.MODALITIES`, or one of one's own.
        clean: folder of clean signals, searched recursively.
        degradation: what they go through: (C, *spatial) in [0, 1] and a generator in, the same shape out.
        real: folder of real degraded signals; None where nothing real is learnt from.
        side: sides of a piece, in samples or pixels.
        channels: of a piece. A signal of several is averaged into one, or one repeated.

    Raises:
        UserError: a folder without files of the modality, one that cannot be read, no such modality.

    >>> import tempfile; from noiseda.modalities import Signal
    >>> folder = Path(tempfile.mkdtemp())
    >>> MODALITIES["image"].write(Signal(torch.rand(3, 20, 30)), folder / "a.png")
    >>> draw = Signals("image", folder, lambda clean, generator: clean / 2, side=16)
    >>> draw(torch.Generator().manual_seed(0)).x_syn.shape
    torch.Size([3, 16, 16])
    """

    def __init__(
        self,
        modality: str | Modality,
        clean: str | Path,
        degradation: Degrade,
        *,
        real: str | Path | None = None,
        side: int,
        channels: int | None = None,
    ) -> None:
        self.modality = modality_of(modality)
        self.clean = files(self.modality, clean)
        self.real = files(self.modality, real) if real is not None else None
        self.degradation, self.side, self.channels = degradation, side, channels
        self._values = lru_cache(KEPT)(self._read)

    def __call__(self, generator: torch.Generator) -> Sample:
        """One sample."""
        target = self._piece(self.clean, generator)
        degraded = self.degradation(target, generator)
        if degraded.shape != target.shape:
            raise UserError(f"the degradation turned {tuple(target.shape)} into {tuple(degraded.shape)}")
        return Sample(degraded, target, None if self.real is None else self._piece(self.real, generator))

    def _piece(self, of: Sequence[Path], generator: torch.Generator) -> Tensor:
        values = self._values(of[integer(0, len(of) - 1, generator)])
        for axis in range(1, values.ndim):
            values = _reach(values, axis, self.side)
            start = integer(0, values.shape[axis] - self.side, generator)
            values = values.narrow(axis, start, self.side)
        return self.modality.turned(values, integer(0, self.modality.symmetries() - 1, generator)).contiguous()

    def _read(self, path: Path) -> Tensor:
        values = self.modality.read(path).values
        if values.ndim != 1 + self.modality.dims:
            raise UserError(f"{path}: expected {1 + self.modality.dims} axes (C, *spatial), not {tuple(values.shape)}")
        return with_channels(values, self.channels)


def with_channels(values: Tensor, channels: int | None) -> Tensor:
    """A signal (C, *spatial) of a number of channels: averaged, or one repeated; None: as it is.

    >>> with_channels(torch.tensor([[0.0], [1.0]]), 1)
    tensor([[0.5000]])
    """
    if channels is None or len(values) == channels:
        return values
    return values.mean(dim=0, keepdim=True).expand(channels, *values.shape[1:])


def modality_of(given: str | Modality) -> Modality:
    """A modality by name, or the one given.

    Raises:
        UserError: there is none of that name.
    """
    if isinstance(given, Modality):
        return given
    if given not in MODALITIES:
        raise UserError(f"there is no modality {given!r} (there are {', '.join(MODALITIES)})")
    return MODALITIES[given]


def files(modality: Modality, folder: str | Path) -> list[Path]:
    """The files of a modality in a folder, in order; hidden ones are passed over.

    Raises:
        UserError: the folder is none, or holds none.
    """
    place = Path(folder)
    if not place.is_dir():
        raise UserError(f"{place} is no folder")
    found = sorted(
        path
        for path in place.rglob("*")
        if path.suffix.lower() in modality.suffixes and path.is_file() and not path.name.startswith(".")
    )
    if not found:
        raise UserError(f"{place} holds no {modality.name} ({', '.join(sorted(modality.suffixes))})")
    return found


def _reach(values: Tensor, axis: int, length: int) -> Tensor:
    """A signal continued by reflection until an axis has a length."""
    while (size := values.shape[axis]) < length:
        values = torch.cat([values, values.flip(axis).narrow(axis, 0, min(size, length - size))], dim=axis)
    return values
