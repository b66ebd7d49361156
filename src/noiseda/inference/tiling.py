"""Restore an image of any size: whole when it is small, in overlapping blended tiles when it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.config import Precision
from noiseda.errors import UserError
from noiseda.images import fits
from noiseda.precision import FULL, autocast

Model: TypeAlias = Callable[[Tensor], Tensor]
"""What restores a tile, (B, C, h, w) in [0, 1] -> (B, C, h * scale, w * scale): a network, or anything that computes
what one would. Its attributes ``channels`` (what C is), ``scale`` (1 by default), ``multiple_of`` and ``border`` (see
:class:`noiseda.restoration.Restorer`) are heeded where it has them. Tiles come on the device of its parameters where it
has some."""

Edges: TypeAlias = tuple[bool, bool, bool, bool]
"""Whether the top, bottom, left and right side of a tile are those of the image."""

Cut: TypeAlias = Callable[[int, int, int, int], Tensor]
"""(top, bottom, left, right) -> that part of an image, (B, C, h, w) in [0, 1]."""

_GRID = 16
"""Tiles start at multiples of this (or of the network's ``stride``, where that is more), so that a network which halves
its input does so at the same pixels as in the whole image."""


def restore_tensor(
    model: Model,
    pixels: Tensor,
    *,
    tile: int | None = 768,
    overlap: int = 64,
    precision: Precision = "auto",
) -> Tensor:
    """Restore one image or a batch of equal size.

    A side longer than ``tile`` is cut into tiles that share at least ``overlap`` pixels with their neighbours. Halfway
    through a shared zone the weight passes from one tile to the next along a raised cosine over half of ``overlap``,
    and the weights sum to one everywhere: ``out = sum_k w_k G(x_k)``. So a network that sees no further than a quarter
    of ``overlap`` gives what it gives on the whole image; one that sees further is blended without a seam.

    A network with a ``scale`` gives an image that is so many times as high and wide. Tiles and overlap are counted in
    pixels of the input; the weights are taken at the pixels of the output.

    An image is extended beyond its sides by the network's ``border``, its outermost pixels repeated; what becomes of
    that is cut off.

    Where the network has a white level (``--white_level``) and no value goes beyond it, the image is divided by it and
    what is restored is multiplied by it again.

    A network of three channels restores a grey image as three equal ones, averaged; one of a single channel restores
    each colour by itself.

    Args:
        model: Network (B, C, H, W) -> (B, C, H * scale, W * scale), [0, 1]. Its attributes ``channels`` (what C is),
            ``scale``, ``multiple_of`` and ``border`` (see :class:`noiseda.restoration.Restorer`) are heeded where it
            has them. It runs in evaluation mode on the device of its weights, and gets its mode back.
        pixels: (C, H, W) or (B, C, H, W), [0, 1], C = 1 or 3.
        tile: Side of a tile in pixels; None restores the whole image at once, which takes memory.
        overlap: Least number of pixels that neighbouring tiles share.
        precision: ``bf16`` runs under automatic mixed precision; ``auto`` does so where the processor has it.

    Returns:
        float32 in [0, 1], on the device of ``pixels``, and of their shape, but ``scale`` times as high and wide.

    Raises:
        UserError: A tile, overlap or shape that cannot work, or a network that gives another shape.
    """
    tiler = Tiler(model, tile=tile, overlap=overlap)
    if pixels.ndim not in (3, 4) or pixels.shape[-3] not in (1, 3) or 0 in pixels.shape:
        raise UserError(f"expected an image (1 or 3, H, W) or a batch of them, not {tuple(pixels.shape)}")
    batch = pixels.unsqueeze(0) if pixels.ndim == 3 else pixels
    # Made outside of inference mode, so that the caller may use the result in training too.
    shape = (*batch.shape[:2], *(side * tiler.scale for side in batch.shape[2:]))
    restored = torch.empty(shape, dtype=torch.float32, device=batch.device)

    white = getattr(model, "white_level", FULL)
    share = white / FULL if white < FULL and fits([batch], white) else 1.0

    def cut(top: int, bottom: int, left: int, right: int) -> Tensor:
        part = batch[:, :, top:bottom, left:right]
        return part if share == 1 else part / share

    with inferring(model):
        for top, rows in tiler.rows(cut, batch.shape, precision):
            restored[:, :, top : top + rows.shape[2]] = rows if share == 1 else rows * share
    return restored[0] if pixels.ndim == 3 else restored


def check_tiling(tile: int | None, overlap: int, grid: int = _GRID) -> None:
    """Raise a UserError unless tiles of this size and overlap, which start at multiples of ``grid``, get on."""
    if tile is not None and tile < 2 * grid:
        raise UserError(f"--tile must be at least {2 * grid} for this network, not {tile}")
    if overlap < 0:
        raise UserError(f"--overlap must not be negative, but is {overlap}")
    if tile is not None and 2 * overlap > tile:
        raise UserError(f"--overlap must be at most half of --tile ({tile // 2}), not {overlap}")


class Tiler:
    """Restores images tile by tile, and gives them back row by row.

    Two rows of tiles are held at a time, whatever the size of the image.

    Attributes:
        scale: how many times as high and wide the restored image is.

    Args:
        model: What restores a tile.
        tile: Side of a tile in pixels; None restores whole images.
        overlap: Least number of pixels that neighbouring tiles share.
        shrunk: Called with the old and the new side where the GPU's memory does not suffice and tiles become smaller,
            for good. Without it, that is an error.

    Raises:
        UserError: A tile or overlap that cannot work.
    """

    def __init__(
        self, model: Model, *, tile: int | None, overlap: int, shrunk: Callable[[int, int], object] | None = None
    ) -> None:
        self.grid, self.scale = max(_GRID, int(getattr(model, "multiple_of", 1))), scale_of(model)
        check_tiling(tile, overlap, self.grid)
        self.model, self.tile, self.overlap, self.shrunk = model, tile, overlap, shrunk
        self.border = _border(model)

    def rows(
        self,
        cut: Cut,
        shape: tuple[int, ...],
        precision: Precision,
        advance: Callable[[float], object] | None = None,
    ) -> Iterator[tuple[int, Tensor]]:
        """Restore an image (or a batch of equal size) from top to bottom, as :func:`restore_tensor` says.

        Rows of the image that became those that were given back are not read again, so that these may replace them
        where the scale is 1.

        Args:
            cut: Gives any part of the image.
            shape: Its shape (B, C, H, W), C = 1 or 3.
            precision: fp32, bf16 or auto.
            advance: Called after each tile with the share of the image that is restored, up to 1.

        Yields:
            (top, rows): where they begin in the restored image, and (B, C, h, W * scale) float32 in [0, 1] on the
            image's device.

        Raises:
            UserError: The network gives another shape.
            torch.OutOfMemoryError: The GPU's memory does not suffice for the smallest tile.
        """
        batch, channels, height, width = shape
        wanted = getattr(self.model, "channels", channels)

        def fitting(*sides: int) -> Tensor:
            part = cut(*sides)
            if channels == 1 and wanted == 3:
                return part.expand(-1, 3, -1, -1)
            return part.flatten(0, 1).unsqueeze(1) if channels == 3 and wanted == 1 else part  # (3 B, 1, h, w)

        for top, rows in self._blended(fitting, height, width, precision, advance):
            if channels == 1 and wanted == 3:
                rows = rows.mean(dim=1, keepdim=True)
            yield top, rows.reshape(batch, channels, -1, width * self.scale).clamp_(0, 1)

    def _blended(
        self,
        cut: Cut,
        height: int,
        width: int,
        precision: Precision,
        advance: Callable[[float], object] | None = None,
        edges: Edges = (True, True, True, True),
    ) -> Iterator[tuple[int, Tensor]]:
        """``sum_k w_k G(x_k)``, each row once no further tile reaches it."""
        scale, pixels = self.scale, height * width * self.scale**2
        strips, columns = (spans(side, self.tile, self.overlap, self.grid, scale) for side in (height, width))
        ends = [*(start for start, _, _ in strips[1:]), height]
        unfinished: Tensor | None = None
        done = 0.0
        for (top, bottom, row_window), end in zip(strips, ends, strict=True):
            total: Tensor | None = None
            for left, right, column_window in columns:
                at = (top == 0, bottom == height, left == 0, right == width)
                outer = (at[0] and edges[0], at[1] and edges[1], at[2] and edges[2], at[3] and edges[3])
                restored = self._tile(cut(top, bottom, left, right), outer, precision)
                if total is None:
                    total = restored.new_zeros((*restored.shape[:2], (bottom - top) * scale, width * scale))
                    if unfinished is not None:
                        total[:, :, : unfinished.shape[2]] = unfinished
                    unfinished = None
                window = (row_window[:, None] * column_window).to(total.device)
                total[:, :, :, left * scale : right * scale] += window * restored
                done += float(window.sum()) / pixels
                if advance is not None:
                    advance(min(done, 1.0))
            assert total is not None
            yield top * scale, total[:, :, : (end - top) * scale]
            unfinished = total[:, :, (end - top) * scale :]

    def _tile(self, tile: Tensor, edges: Edges, precision: Precision) -> Tensor:
        """G(x) of one tile; where the memory does not suffice, blended from smaller ones."""
        height, width = tile.shape[-2:]
        while self.tile is None or max(height, width) <= self.tile:
            try:
                return self._restored(tile, edges, precision)
            except torch.OutOfMemoryError as error:
                if self.shrunk is None or max(height, width) <= 2 * self.grid:
                    raise
                error.__traceback__ = None  # its frames hold what filled the memory
            self._shrink(max(height, width))

        def cut(top: int, bottom: int, left: int, right: int) -> Tensor:
            return tile[:, :, top:bottom, left:right]

        return torch.cat([rows for _, rows in self._blended(cut, height, width, precision, edges=edges)], dim=2)

    def _shrink(self, side: int) -> None:
        """Halve the tiles, of which one of this side was too large."""
        self.tile = max(2 * self.grid, side // 2 // self.grid * self.grid)
        self.overlap = min(self.overlap, self.tile // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.shrunk is not None:
            self.shrunk(side, self.tile)

    def _restored(self, tile: Tensor, edges: Edges, precision: Precision) -> Tensor:
        """The model's answer, float32 on the device the tile came from."""
        device = _device(self.model) or tile.device
        height, width = tile.shape[2:]
        above, below, before, after = (self.border * edge for edge in edges)
        if any(edges) and self.border:
            tile = F.pad(tile, (before, after, above, below), mode="replicate")
        # A copy in any case: how the image lies in memory shall not decide which kernels compute it.
        given = torch.empty(tile.shape, device=device, memory_format=torch.channels_last).copy_(tile)
        with autocast(precision, device):
            restored = self.model(given)
        check_shape(tile, restored, self.scale)
        rows, columns = (
            slice(start * self.scale, (start + side) * self.scale) for start, side in ((above, height), (before, width))
        )
        return restored[:, :, rows, columns].float().to(tile.device)


@contextmanager
def inferring(model: Model) -> Iterator[None]:
    """Within: no gradients, and a network in evaluation mode, which gets its mode back."""
    modes = {module: module.training for module in model.modules()} if isinstance(model, nn.Module) else {}
    for module in modes:
        module.training = False
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def scale_of(model: Model) -> int:
    """How many times as high and wide what a network restores becomes.

    Raises:
        UserError: It states something else than a whole number of at least 1.
    """
    stated = getattr(model, "scale", 1)
    if not isinstance(stated, int) or stated < 1:
        raise UserError(f"the network states a scale of {stated!r}; expected a whole number of 1 and more")
    return stated


def check_shape(given: Tensor, restored: Tensor, scale: int) -> None:
    """Raise a UserError unless a network of this scale may make the one of the other."""
    expected = (*given.shape[:2], *(side * scale for side in given.shape[2:]))
    if restored.shape != expected:
        wanted = "the same shape" if scale == 1 else f"{expected}, since it states a scale of {scale}"
        raise UserError(f"the network turned {tuple(given.shape)} into {tuple(restored.shape)}; expected {wanted}")


def _border(model: Model) -> int:
    """By how much images are extended: a whole number of the network's strides, so that all tiles halve alike."""
    border, stride = int(getattr(model, "border", 0)), int(getattr(model, "multiple_of", 1))
    return -(-border // stride) * stride if stride <= _GRID else 0


def spans(
    length: int, tile: int | None, overlap: int, grid: int = _GRID, scale: int = 1
) -> list[tuple[int, int, Tensor]]:
    """Cut [0, length) into about equally spaced tiles: (start, stop, window), where the windows sum to one everywhere.

    A window has ``scale`` values for each pixel of its tile: those of the restored tile.

    There are as few tiles as their greatest side allows, and they are no longer than it takes.

    With S_k the step from 0 to 1 halfway between the start of tile k + 1 and the stop of tile k, the window of tile k
    is S_{k-1} - S_k, with S_{-1} = 1 and the last S = 0: their sum telescopes to 1.
    """
    if tile is None or length <= tile:
        return [(0, length, torch.ones(length * scale))]
    count = -(-(length - overlap) // (tile - overlap))
    shorter = grid * -(-(length + (count - 1) * overlap) // (count * grid))
    tile = min(tile, max(shorter, 2 * overlap, 2 * grid))
    steps = -(-(length - tile) // grid)  # grid steps to the start of the last tile
    pieces = -(-steps // ((tile - overlap) // grid))
    starts = [grid * round(k * steps / pieces) for k in range(pieces + 1)]
    stops = [start + tile for start in starts[:-1]] + [length]
    position = (torch.arange(length * scale, dtype=torch.float64) + 0.5) / scale
    width = max(overlap / 2, 1 / scale)  # of a step: at least a pixel of the output
    ramps = [
        0.5 - 0.5 * torch.cos(torch.pi * ((position - (start + stop) / 2) / width + 0.5).clamp(0, 1))
        for start, stop in zip(starts[1:], stops[:-1], strict=True)
    ]
    ramps = [torch.ones_like(position), *ramps, torch.zeros_like(position)]
    return [
        (start, stop, (ramps[k] - ramps[k + 1])[start * scale : stop * scale].float())
        for k, (start, stop) in enumerate(zip(starts, stops, strict=True))
    ]


def _device(model: Model) -> torch.device | None:
    parameters = model.parameters() if isinstance(model, nn.Module) else iter(())
    return next((parameter.device for parameter in parameters), None)
