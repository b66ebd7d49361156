"""Pictures within a page: PNG as data, no larger together than there is room for; what differs, and its spectrum."""

from __future__ import annotations

import base64
import io
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.images import to_uint8
from noiseda.report.parts import Comparison, Pane

SIDES = (640, 512, 384, 256, 128)
"""Sides, in pixels, that pictures are cut to, until there is room for all."""

WINDOW = 128
"""Largest side, in pixels, of the pieces that a spectrum is averaged over."""

DECADES = 2.0
"""Powers of ten from grey to white, and to black, in the picture of a spectrum."""

TIMES = (32, 16, 8, 4, 2, 1)
"""How many times a difference may be amplified."""


@dataclass(frozen=True)
class Encoded:
    """A pane as it stands in the page.

    Attributes:
        pane: what it shows.
        uri: its pixels, as ``data:image/png;base64,...``.
        width: in pixels.
        height: in pixels.
    """

    pane: Pane
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Shown:
    """A comparison as it stands in the page."""

    comparison: Comparison
    panes: list[Encoded]
    spectrum: Encoded | None

    @property
    def bytes(self) -> int:
        """How much of the page its pictures are."""
        return sum(len(one.uri) for one in (*self.panes, self.spectrum) if one is not None)


def fitted(comparisons: Sequence[Comparison], room: int) -> list[Shown]:
    """Encode comparisons, cut so far that they have room; where that does not help, only the first of them.

    Args:
        comparisons: with panes of any size.
        room: bytes that they may take.
    """
    if not comparisons:
        return []
    side = min(SIDES[0], max(max(pane.pixels.shape[-2:]) for one in comparisons for pane in one.panes))
    found = [shown(comparison, side) for comparison in comparisons]
    while (taken := sum(one.bytes for one in found)) > room and side > SIDES[-1]:
        enough = side * math.sqrt(room / taken) if room > 0 else 0  # bytes go with the area
        side = next((other for other in SIDES if other < side and other <= enough), SIDES[-1])
        found = [shown(comparison, side) for comparison in comparisons]
    while sum(one.bytes for one in found) > room:
        found.pop()
    return found


def shown(comparison: Comparison, side: int) -> Shown:
    """Encode one comparison, cut to the middle where it is larger than a side."""
    panes = [encoded(replace(pane, pixels=_middle(pane.pixels, side))) for pane in comparison.panes]
    spectrum = comparison.spectrum
    return Shown(comparison, panes, None if spectrum is None else encoded(Pane(comparison.name, spectrum)))


def encoded(pane: Pane) -> Encoded:
    """The pixels of a pane as PNG of 8 bits, without loss."""
    samples = to_uint8(pane.pixels.detach().float().cpu().nan_to_num(0)).permute(1, 2, 0).squeeze(2).contiguous()
    file = io.BytesIO()
    # Of noise this strategy makes the smallest files, and three times as fast.
    PIL.Image.fromarray(samples.numpy()).save(file, "PNG", compress_level=4, compress_type=zlib.Z_RLE)
    uri = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    return Encoded(pane, uri, samples.shape[1], samples.shape[0])


def amplified(difference: Tensor) -> tuple[Tensor, int]:
    """A difference around middle grey, as many times as strong as it can be shown.

    >>> amplified(torch.full((1, 2, 2), 0.05))
    (tensor([[[0.9000, 0.9000],
             [0.9000, 0.9000]]]), 8)

    Args:
        difference: (C, H, W) in [-1, 1].

    Returns:
        (C, H, W) in [0, 1], and how many times: such that one value in a hundred is cut off at most.
    """
    most = float(difference.abs().flatten().float().kthvalue(math.ceil(0.99 * difference.numel())).values)
    times = next((times for times in TIMES if times * most <= 0.5), 1)
    return (0.5 + times * difference).clamp(0, 1), times


def spectrum(difference: Tensor) -> Tensor:
    """The logarithm of the power spectrum of a difference, averaged over colours and pieces (Welch's method).

    Low frequencies are in the middle. Grey is the mean power, which white noise has everywhere; white and black are
    :data:`DECADES` powers of ten above and below.

    Args:
        difference: (C, H, W) in [-1, 1].

    Returns:
        (1, S, S) in [0, 1]; S is 128, or less where the difference is smaller.
    """
    side = min(WINDOW, *difference.shape[-2:])
    pieces = F.unfold(difference.float().cpu()[:, None], side, stride=max(1, side // 2))
    pieces = pieces.transpose(1, 2).reshape(-1, side, side)
    window = torch.hann_window(side, periodic=True) if side > 2 else torch.ones(side)
    pieces = (pieces - pieces.mean(dim=(1, 2), keepdim=True)) * window[:, None] * window
    power = torch.fft.fftshift(torch.fft.fft2(pieces).abs().square().mean(dim=0))
    relative = (power / power.mean().clamp(min=1e-20)).clamp(min=1e-20).log10()
    found: Tensor = (0.5 + relative / (2 * DECADES)).clamp(0, 1)[None]
    return found


def _middle(image: Tensor, side: int) -> Tensor:
    top, left = (max(0, (length - side) // 2) for length in image.shape[-2:])
    return image[:, top : top + side, left : left + side]
