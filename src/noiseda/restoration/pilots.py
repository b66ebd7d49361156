"""Pilots: an image denoised by a fixed rule at several strengths, for a network to choose from and to mend."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRENGTHS = (5.0, 12.0, 28.0, 60.0)
"""Standard deviations of white noise, in steps of 8 bits, that :class:`Pilots` are usually made for."""

SIDE = 8
"""Side of the blocks in pixels."""

_THRESHOLD = 2.8 / 255  # 2.7 to 3 standard deviations serve alike
_ROUNDING = (0.5 / 255) ** 2
_OPPONENT = ((3**-0.5,) * 3, (2**-0.5, 0.0, -(2**-0.5)), (6**-0.5, -2 * 6**-0.5, 6**-0.5))
_STEPS = (2, 4)  # pixels from one block to the next: of brightness, of colour


class Pilots(nn.Module):
    """An image shrunk in overlapping blocks of the DCT, for several strengths of noise.

    Blocks of 8 x 8 pixels of brightness, and of two differences of colour, are transformed. Small coefficients are
    taken for noise and removed, and where blocks overlap they are averaged. The rule is that of Yu and Sapiro, *DCT
    image denoising* (IPOL 2011), but for two things. Its threshold has no jump: a coefficient goes from nothing to all
    of itself between 3/4 and 5/4 of it. And blocks lie two (brightness) or four pixels (colour) apart.

    Nothing is learnt here, so that a network need not learn it. It sees by place and scale which pilot to believe. The
    name is BM3D's (Dabov et al. 2007), whose first estimate is called a pilot.

    Args:
        strengths: standard deviations of the noise, in steps of 8 bits; at least one.
        channels: of the images, 1 (grey) or 3 (RGB).
    """

    strengths: Tensor
    basis: Tensor
    colours: Tensor
    passes: Tensor

    def __init__(self, strengths: Sequence[float] = STRENGTHS, channels: int = 3) -> None:
        super().__init__()
        # Real tensors on a network that has no memory for its weights too: these are no weights.
        passes = torch.ones(SIDE, SIDE, device="cpu")
        passes[0, 0] = 1e-3  # the mean of a block is kept, however small
        self.register_buffer("strengths", torch.tensor(strengths, dtype=torch.float32, device="cpu"), persistent=False)
        self.register_buffer("basis", cosines(SIDE), persistent=False)
        self.register_buffer("colours", opponent(channels), persistent=False)
        self.register_buffer("passes", passes, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Shrink images.

        Args:
            images: (B, C, H, W) in [0, 1]; both sides are multiples of 4, and 8 at least.

        Returns:
            (B, T * C, H, W): what each of T strengths changes, one strength after the other. It is computed in fp32
            whatever the precision is: eight bits of a sum of 64 values are too few for weak noise.
        """
        if torch.is_autocast_enabled(images.device.type):
            with torch.autocast(images.device.type, enabled=False):
                return self.forward(images)
        colours = self.colours.float()
        planes = torch.einsum("dc,bchw->dbhw", colours, images.float())
        parts = [self._shrunk(planes[:1], _STEPS[0])]
        if len(colours) > 1:
            parts.append(self._shrunk(planes[1:], _STEPS[1]))
        changes = torch.cat(parts, dim=1) - planes
        return torch.einsum("dc,tdbhw->btchw", colours, changes).flatten(1, 2).to(images.dtype)

    def _shrunk(self, planes: Tensor, step: int) -> Tensor:
        """Shrink planes (D, B, H, W) in blocks that are so many pixels apart; (T, D, B, H, W)."""
        depth, _, height, width = planes.shape
        more, basis = SIDE - step, self.basis.float()
        padded = F.pad(planes.flatten(0, 1)[:, None], (more,) * 4, mode="reflect")[:, 0]
        across = _windows(padded, step) @ basis.T  # (N, H', w, SIDE)
        blocks = _windows(across.flatten(2).transpose(1, 2), step) @ basis.T  # (N, w * SIDE, h, SIDE)
        thresholds = self.passes.float() * self.strengths.float().reshape(-1, 1, 1) * _THRESHOLD
        blocks = torch.unflatten(blocks, 1, (-1, SIDE))
        kept = blocks * (2 * blocks.abs() / thresholds[:, None, None, :, None] - 1.5).clamp(0, 1)
        rows = _overlapped((kept @ basis).flatten(2, 3), step)  # (T, N, w * SIDE, H')
        rows = torch.unflatten(rows, 2, (-1, SIDE)).permute(0, 1, 4, 2, 3)
        shrunk = _overlapped(rows @ basis, step) * (step / SIDE) ** 2
        return torch.unflatten(shrunk[..., more : more + height, more : more + width], 1, (depth, -1))


def opponent(channels: int) -> Tensor:
    """Brightness and two differences of colour, orthonormal; (C, C), a row each. Of one channel, itself."""
    return torch.tensor(_OPPONENT if channels == 3 else ((1.0,),), device="cpu")


def colourless(planes: Tensor) -> Tensor:
    """Whether images are grey: their differences of colour are rounding alone.

    Args:
        planes: brightness and differences of colour, as :func:`opponent` makes them; (B, C, H, W).

    Returns:
        (B, 1, 1, 1), of bool; of images of one channel, False.
    """
    if planes.shape[1] == 1:
        return torch.zeros_like(planes[:, :, :1, :1], dtype=torch.bool)
    return planes[:, 1:].square().mean((1, 2, 3), keepdim=True) < _ROUNDING


def cosines(side: int) -> Tensor:
    """The orthonormal DCT-II, a frequency a row; (side, side).

    >>> torch.allclose(cosines(8) @ cosines(8).T, torch.eye(8), atol=1e-6)
    True
    """
    places = torch.arange(side, device="cpu")
    waves = torch.cos(math.pi / side * torch.outer(places, places + 0.5)) * math.sqrt(2 / side)
    waves[0] /= math.sqrt(2)
    return waves


def _windows(lines: Tensor, step: int) -> Tensor:
    """Windows of lines, ``step`` pixels apart; (..., L) -> (..., windows, SIDE)."""
    cells = torch.unflatten(lines, -1, (-1, step))
    most = SIDE // step
    count = cells.shape[-2] - most + 1
    return torch.cat([cells[..., start : start + count, :] for start in range(most)], dim=-1)


def _overlapped(windows: Tensor, step: int) -> Tensor:
    """The sum of windows where they lie, the transpose of :func:`_windows`; (..., windows, SIDE) -> (..., L)."""
    most = SIDE // step
    cells = torch.unflatten(windows, -1, (most, step))
    summed = F.pad(cells[..., 0, :], (0, 0, 0, most - 1))
    for start in range(1, most):
        summed = summed + F.pad(cells[..., start, :], (0, 0, start, most - 1 - start))
    return summed.flatten(-2)
