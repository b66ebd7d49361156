"""Restore signals of any rank: in overlapping blended pieces, and folders of files of any modality."""

from __future__ import annotations

import itertools
from pathlib import Path

import torch
from torch import Tensor

from noiseda.config import Precision
from noiseda.data.signals import files, modality_of, with_channels
from noiseda.errors import UserError
from noiseda.inference.adjusted import adjusted
from noiseda.inference.tiling import Model, check_tiling, inferring, scale_of, spans
from noiseda.modalities import Modality, Signal
from noiseda.precision import autocast


def restore_signal(
    model: Model, values: Tensor, *, tile: int | None, overlap: int, precision: Precision = "auto"
) -> Tensor:
    """Restore one signal of any rank, as :func:`noiseda.inference.restore_tensor` restores an image.

    Args:
        model: network (B, C, *spatial) -> (B, C, *spatial * scale), [0, 1].
        values: (C, *spatial) in [0, 1].
        tile: side of a piece; None restores the whole signal at once.
        overlap: how much of it neighbouring pieces share at least.
        precision: fp32, bf16 or auto.

    Returns:
        (C, *spatial * scale) float32 in [0, 1].

    Raises:
        UserError: a tile or overlap that cannot work, or a network that gives another shape.
    """
    scale, grid = scale_of(model), max(16, int(getattr(model, "multiple_of", 1)))
    check_tiling(tile, overlap, grid)
    restored = torch.zeros(len(values), *(side * scale for side in values.shape[1:]))
    with inferring(model), autocast(precision, values.device):
        for pieces in itertools.product(*(spans(side, tile, overlap, grid, scale) for side in values.shape[1:])):
            piece = values[(slice(None), *(slice(start, stop) for start, stop, _ in pieces))]
            found = model(piece[None].contiguous())[0].float()
            expected = (len(piece), *(side * scale for side in piece.shape[1:]))
            if found.shape != expected:
                raise UserError(f"the network turned {tuple(piece.shape)} into {tuple(found.shape)}, not {expected}")
            for axis, (_, _, window) in enumerate(pieces, 1):
                found = found * window.reshape(-1, *(1,) * (found.ndim - 1 - axis))
            restored[(slice(None), *(slice(start * scale, stop * scale) for start, stop, _ in pieces))] += found
    return restored.clamp_(0, 1)


def restore_signals(
    model: Model,
    source: str | Path,
    target: str | Path,
    modality: str | Modality,
    *,
    precision: Precision = "auto",
    self_ensemble: bool = False,
    strength: float = 1.0,
) -> list[Path]:
    """Restore a folder of signals of any kind.

    A network of one channel restores each channel of a signal by itself; another takes signals of as many as it has.

    Args:
        model: network of the modality's rank.
        source: folder of degraded signals, searched recursively.
        target: folder of the restored ones, of the same names; files there are replaced.
        modality: a name of :data:`noiseda.modalities.MODALITIES`, or one of one's own.
        precision: fp32, bf16 or auto.
        self_ensemble: restore each signal in every way that the modality turns it, and write the mean.
        strength: how far to go from a signal to what the network makes of it: 0 (not at all) to 1 (there) to 1.5
            (beyond it).

    Returns:
        The files written.

    Raises:
        UserError: a folder without such files, a file that cannot be read or written, a network of another rank,
            a target that is the source, a modality that turns nothing, a strength that is none.
    """
    kind, place, written = modality_of(modality), Path(source), []
    if (dims := getattr(model, "dims", kind.dims)) != kind.dims:
        raise UserError(f"the network is for signals of {dims} dimension(s); a {kind.name} has {kind.dims}")
    if Path(target).resolve() == place.resolve():
        raise UserError(f"{target} holds the signals to restore: give another folder, so that they stay as they are")
    network = adjusted(model, self_ensemble=self_ensemble, strength=strength, modality=kind)
    for path in files(kind, place):
        signal, out = kind.read(path), Path(target) / path.relative_to(place)
        out.parent.mkdir(parents=True, exist_ok=True)
        wanted = getattr(model, "channels", len(signal.values))
        parts = torch.split(signal.values, 1) if wanted == 1 else (with_channels(signal.values, wanted),)
        restored = [
            restore_signal(network, one, tile=kind.tile, overlap=kind.overlap, precision=precision) for one in parts
        ]
        kind.write(Signal(torch.cat(restored), signal.about), out)
        written.append(out)
    return written
