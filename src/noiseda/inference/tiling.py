"""Restore an image of any size: whole when it is small, in overlapping blended tiles when it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from noiseda.config import Precision
from noiseda.errors import UserError
from noiseda.precision import autocast

_GRID = 16
"""Tiles start at multiples of this (or of the network's ``stride``, where that is more), so that a network which halves
its input does so at the same pixels as in the whole image."""


def restore_tensor(
    model: nn.Module,
    pixels: Tensor,
    *,
    tile: int | None = 512,
    overlap: int = 32,
    precision: Precision = "auto",
) -> Tensor:
    """Restore one image or a batch of equal size with a network that keeps height and width.

    A side longer than ``tile`` is cut into tiles that share at least ``overlap`` pixels with their neighbours. Halfway
    through a shared zone the weight passes from one tile to the next along a raised cosine over half of ``overlap``,
    and the weights sum to one everywhere: ``out = sum_k w_k G(x_k)``. So a network that sees no further than a quarter
    of ``overlap`` gives what it gives on the whole image; one that sees further is blended without a seam.

    A network of three channels restores a grey image as three equal ones, averaged; one of a single channel restores
    each colour by itself.

    Args:
        model: Network (B, C, H, W) -> same shape, [0, 1]. Its attributes ``channels`` (what C is) and ``stride`` (see
            :class:`noiseda.restoration.Restorer`) are heeded where it has them. It runs in evaluation mode on the
            device of its weights, and gets its mode back.
        pixels: (C, H, W) or (B, C, H, W), [0, 1], C = 1 or 3.
        tile: Side of a tile in pixels; None restores the whole image at once, which takes memory.
        overlap: Least number of pixels that neighbouring tiles share.
        precision: ``bf16`` runs under automatic mixed precision; ``auto`` does so where the processor has it.

    Returns:
        float32 in [0, 1], of the shape and on the device of ``pixels``.

    Raises:
        UserError: A tile, overlap or shape that cannot work, or a network that changes the shape of its input.
    """
    grid = max(_GRID, int(getattr(model, "stride", 1)))
    check_tiling(tile, overlap, grid)
    if pixels.ndim not in (3, 4) or pixels.shape[-3] not in (1, 3) or 0 in pixels.shape:
        raise UserError(f"expected an image (1 or 3, H, W) or a batch of them, not {tuple(pixels.shape)}")
    batch = pixels.unsqueeze(0) if pixels.ndim == 3 else pixels
    channels = batch.shape[1]
    wanted = getattr(model, "channels", channels)
    if channels == 1 and wanted == 3:
        batch = batch.expand(-1, 3, -1, -1)
    elif channels == 3 and wanted == 1:
        batch = batch.flatten(0, 1).unsqueeze(1)  # (3 B, 1, H, W)
    # Made outside of inference mode, so that the caller may use the result in training too.
    restored = torch.zeros(batch.shape, dtype=torch.float32, device=batch.device)
    with _evaluating(model), torch.inference_mode():
        _accumulate(model, batch, restored, (tile, overlap, grid), precision)
    if channels == 1 and wanted == 3:
        restored = restored.mean(dim=1, keepdim=True)
    return restored.clamp_(0, 1).reshape(pixels.shape)


def check_tiling(tile: int | None, overlap: int, grid: int = _GRID) -> None:
    """Raise a UserError unless tiles of this size and overlap, which start at multiples of ``grid``, get on."""
    if tile is not None and tile < 2 * grid:
        raise UserError(f"--tile must be at least {2 * grid} for this network, not {tile}")
    if overlap < 0:
        raise UserError(f"--overlap must not be negative, but is {overlap}")
    if tile is not None and 2 * overlap > tile:
        raise UserError(f"--overlap must be at most half of --tile ({tile // 2}), not {overlap}")


def _accumulate(
    model: nn.Module, batch: Tensor, total: Tensor, tiling: tuple[int | None, int, int], precision: Precision
) -> None:
    """Add the weighted restoration of each tile to ``total``; nothing else is kept."""
    device = next((p.device for p in model.parameters()), batch.device)
    rows, columns = _cuts(batch.shape[-2], *tiling), _cuts(batch.shape[-1], *tiling)
    for top, bottom, row_window in rows:
        for left, right, column_window in columns:
            piece = batch[:, :, top:bottom, left:right].to(device, torch.float32)
            with autocast(precision, device):
                restored = model(piece.contiguous(memory_format=torch.channels_last))
            if restored.shape != piece.shape:
                raise UserError(
                    f"the network turned {tuple(piece.shape)} into {tuple(restored.shape)}; expected the same shape"
                )
            window = (row_window[:, None] * column_window).to(device)
            total[:, :, top:bottom, left:right] += (window * restored.float()).to(total.device)


def _cuts(length: int, tile: int | None, overlap: int, grid: int = _GRID) -> list[tuple[int, int, Tensor]]:
    """Cut [0, length) into about equally spaced tiles: (start, stop, window), where the windows sum to one everywhere.

    With S_k the step from 0 to 1 halfway between the start of tile k + 1 and the stop of tile k, the window of tile k
    is S_{k-1} - S_k, with S_{-1} = 1 and the last S = 0: their sum telescopes to 1.
    """
    if tile is None or length <= tile:
        return [(0, length, torch.ones(length))]
    steps = -(-(length - tile) // grid)  # grid steps to the start of the last tile
    pieces = -(-steps // ((tile - overlap) // grid))
    starts = [grid * round(k * steps / pieces) for k in range(pieces + 1)]
    stops = [start + tile for start in starts[:-1]] + [length]
    position = torch.arange(length, dtype=torch.float64) + 0.5
    ramps = [
        0.5 - 0.5 * torch.cos(torch.pi * ((position - (start + stop) / 2) / max(overlap / 2, 1) + 0.5).clamp(0, 1))
        for start, stop in zip(starts[1:], stops[:-1], strict=True)
    ]
    ramps = [torch.ones_like(position), *ramps, torch.zeros_like(position)]
    return [
        (start, stop, (ramps[k] - ramps[k + 1])[start:stop].float())
        for k, (start, stop) in enumerate(zip(starts, stops, strict=True))
    ]


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
