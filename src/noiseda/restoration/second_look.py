"""A second look: similar blocks shrunk once more by what a network found, and one mixture for a wide surrounding."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.restoration.chooser import CELL, mixture
from noiseda.restoration.groups import Groups
from noiseda.restoration.pilots import STRENGTHS, colourless, opponent

AROUND = 41
"""Cells to a side of what is seen at once: a place sees as far as 164 pixels to each side."""

SOFTENED = 0.5
"""The network's output is offered softened, too: by a Gaussian of so many pixels."""

FARTHEST = 4.0
"""Deviations from what is usual, beyond which what is seen counts as no farther."""

LEAST = (0.25 / 255) ** 2
"""What is weaker than a quarter of a step of 8 bits counts as that."""

_LOOKED_AT = len(STRENGTHS) + 2  # voices whose changes are measured: the network, the mixture, the pilots
_SCALES = (0.6, 1.2, 2.4, 4.8)  # of Gaussians, in pixels, between which octaves of structure lie
_LAGS = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (0, 3))
_MEAN = 7  # pixels to a side of the mean without which neighbours are compared
_FLATTEST = 1e4  # how many times as much as another a flat place may count


class SecondLook(nn.Module):
    """What a network found, weighed against its pilots by all that a wide surrounding shows of the noise.

    How strong noise is cannot be seen where there is texture; it can in flat places farther away. A network of small
    reach takes fine texture under weak noise for strong noise: of white noise of 5 in photographs, the ready weights
    without this left twice the squared error that the pilot for 5 does. So the network's output is one voice of eight:

    1. the network; 2. the mixture of its :class:`~noiseda.restoration.Chooser`; 3. to 6. its pilots; 7. the network's
    output, softened; 8. groups of similar blocks shrunk once more, by a filter of Wiener's that takes the network's
    output for the truth (:meth:`~noiseda.restoration.Groups.again`): BM3D's second stage after another first.

    The result is y + sum_k s_k (voice_k - y), with shares s of brightness and of colour for each cell of 8 x 8 pixels.
    Small layers find the shares, and the strength of the second stage, in what is seen of 328 x 328 pixels: how much
    each voice takes away and how alike they are, everywhere and in flat places; how far neighbours share it; how much
    structure there is of each size. Before it is trained, the network has all of the say.

    No gradient goes through what is seen, nor through the second stage. Its layers are taught by themselves
    (``noiseda_research.ready.look``); where the network is adapted, they learn along with it.

    Args:
        channels: of the images, 1 (grey) or 3 (RGB).
        width: of the layers.

    Attributes:
        usual: the mean of what is seen, by which it is judged; (K,).
        spread: its deviation.
        strengths: between which that of the second stage lies, in steps of 8 bits.
    """

    strengths = (5.0, 60.0)
    colours: Tensor
    usual: Tensor
    spread: Tensor

    def __init__(self, channels: int = 3, width: int = 48) -> None:
        super().__init__()
        self.kinds, self.voices = min(channels, 2), len(STRENGTHS) + 4
        with torch.device("cpu"):
            self.register_buffer("colours", opponent(channels), persistent=False)
        pairs = _LOOKED_AT * (_LOOKED_AT - 1) // 2
        seen = self.kinds * (3 * _LOOKED_AT + pairs) + len(STRENGTHS) - 1 + 4 * len(_SCALES) + 2 * len(_LAGS) + 5
        seen += 2 * len(_LAGS[:4]) * (self.kinds - 1)
        self.register_buffer("usual", torch.zeros(seen))
        self.register_buffer("spread", torch.ones(seen))
        self.first = nn.Conv2d(seen, width, 1)
        self.second = nn.Conv2d(width, width, 1)
        self.last = nn.Conv2d(width, self.kinds * self.voices + 1, 1)
        nn.init.zeros_(self.last.weight)
        alone = torch.zeros(self.kinds * self.voices + 1)
        alone[: self.kinds] = 1
        self.last.bias = nn.Parameter(alone)

    def forward(
        self, images: Tensor, restored: Tensor, mixed: Tensor, changes: Tensor, groups: Groups, found: Tensor | None
    ) -> Tensor:
        """Weigh what a network made of images.

        Args:
            images: (B, C, H, W) in [0, 1]; both sides are multiples of :data:`CELL`.
            restored: what the network made of them.
            mixed: what the mixture of its chooser changes.
            changes: what its pilots change, (B, T * C, H, W).
            groups: the pilots.
            found: the groups of the images; None looks for them.

        Returns:
            (B, C, H, W), computed in fp32 whatever the precision is.
        """
        with torch.autocast(images.device.type, enabled=False):
            given, (weakest, strongest) = images.dtype, self.strengths
            images, restored = images.float(), restored.float()
            voices = self.voices_of(images, restored, mixed.float(), changes.float())
            said = self.said(self.seen(images, voices))
            strength = weakest * (strongest / weakest) ** said[:, -1].detach().sigmoid()
            again = groups.again(images, restored.detach(), found, strength)
            weighed = mixture(torch.cat([voices, self.planes(again)[:, None]], dim=1), said[:, :-1])
            return (images + torch.einsum("dc,bdhw->bchw", self.colours.float(), weighed)).to(given)

    def voices_of(self, images: Tensor, restored: Tensor, mixed: Tensor, changes: Tensor) -> Tensor:
        """What the first seven voices change, as :meth:`forward` is given them; (B, 7, C, H, W) of :meth:`planes`."""
        softer = seen_through(restored, SOFTENED) - images
        pilots = torch.unflatten(changes, 1, (len(STRENGTHS), -1))
        return self.planes(torch.cat([torch.stack([restored - images, mixed], 1), pilots, softer[:, None]], dim=1))

    def planes(self, images: Tensor) -> Tensor:
        """Brightness and differences of colour; (..., C, H, W) -> the same."""
        return torch.einsum("dc,...chw->...dhw", self.colours.float(), images)

    def said(self, seen: Tensor, dropped: float = 0.0) -> Tensor:
        """The shares, and how strong the second stage is.

        Args:
            seen: (B, K, h, w); or (B, K), of single places.
            dropped: share of what the first layer finds that is left out at random.

        Returns:
            (B, voices * kinds + 1, h, w): for each voice its share of brightness and of colour; and a number whose
            sigmoid leads from the weaker of ``strengths`` to the stronger one.
        """
        seen = seen if seen.ndim == 4 else seen[..., None, None]
        seen = (seen - self.usual.float()[:, None, None]) / self.spread.float()[:, None, None]
        seen = seen.clamp(-FARTHEST, FARTHEST).to(self.first.weight.dtype)
        said: Tensor = self.last(F.gelu(self.second(F.dropout(F.gelu(self.first(seen)), dropped, dropped > 0))))
        return said.float()

    @torch.no_grad()
    def seen(self, images: Tensor, voices: Tensor) -> Tensor:
        """What is measured around each cell.

        Args:
            images: (B, C, H, W).
            voices: :meth:`voices_of` them.

        Returns:
            (B, K, H / CELL, W / CELL).
        """
        planes, voices = self.planes(images), voices[:, :_LOOKED_AT]
        octaves = torch.cat([_octaves(planes[:, :1]), _octaves(planes[:, :1] + voices[:, 0, :1])], dim=1)
        noisy, restored = cells(octaves.square()).chunk(2, dim=1)
        flat = (noisy[:, :2].sum(1, keepdim=True) + LEAST) / (restored[:, :3].sum(1, keepdim=True) + LEAST)
        flat = flat.square().clamp(max=_FLATTEST)
        least = around(flat)

        def where_flat(each: Tensor) -> Tensor:
            return around(flat * each) / least

        parts, flattest = [], []
        for kind in [voices[:, :, :1], voices[:, :, 1:]][: self.kinds]:
            products = torch.cat([cells((one[:, None] * kind).mean(2)) for one in kind.unbind(1)], dim=1)
            own = products[:, :: _LOOKED_AT + 1]
            together = torch.unflatten(around(products), 1, (_LOOKED_AT, _LOOKED_AT))
            sizes = (around(own) + LEAST).sqrt()
            alike = together / (sizes[:, :, None] * sizes[:, None])
            upper = [alike[:, first, second] for first in range(_LOOKED_AT) for second in range(first + 1, _LOOKED_AT)]
            parts += [sizes.log() + 4, 2 * torch.stack(upper, dim=1) - 1, around(_size(own)) + 4]
            flattest.append(_size(where_flat(own)) + 4)
        steps = voices[:, 3:, 0] - voices[:, 2:-1, 0]
        parts += [_size(around(cells(steps.square()))) + 4]
        parts += [_size(around(restored)) + 4, _size(around(noisy)) + 4, *flattest]
        parts += [_size(where_flat(noisy)) + 4, _size(where_flat(restored)) + 4]
        rest = planes - F.avg_pool2d(F.pad(planes, (_MEAN // 2,) * 4, mode="reflect"), _MEAN, 1)
        for plane in range(self.kinds):
            shared = cells(_shared(rest[:, plane], _LAGS if plane == 0 else _LAGS[:4]))
            parts += [2 * each[:, 1:] / (each[:, :1] + LEAST) for each in (where_flat(shared), around(shared))]
        light = cells(planes[:, :1] / math.sqrt(len(self.colours)))
        mean = around(light)
        parts += [2 * mean - 1, _size(around(light.square()) - mean.square()) + 2]
        ends = [(images <= 0).float().mean(1, keepdim=True), (images >= 1).float().mean(1, keepdim=True)]
        parts += [3 * around(cells(torch.cat(ends, dim=1)))]
        return torch.cat([*parts, colourless(planes).float().expand_as(mean)], dim=1)


def seen_through(images: Tensor, scale: float) -> Tensor:
    """Images (B, C, H, W) seen through a Gaussian of ``scale`` pixels; what is beyond a border repeats it."""
    reach = math.ceil(3 * scale)
    places = torch.arange(-reach, reach + 1, device=images.device)
    kernel = torch.exp(-0.5 * (places / scale).square())
    kernel = kernel / kernel.sum()
    one = F.pad(images.flatten(0, 1)[:, None], (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(one, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1)).view_as(images)


def _octaves(plane: Tensor) -> Tensor:
    """What of a plane (B, 1, H, W) has the size of each scale; (B, 4, H, W)."""
    views = [plane, *(seen_through(plane, scale) for scale in _SCALES)]
    return torch.cat([finer - coarser for finer, coarser in itertools.pairwise(views)], dim=1)


def _shared(plane: Tensor, lags: tuple[tuple[int, int], ...]) -> Tensor:
    """The products of pixels (B, H, W) with themselves, and with those so far below and to the right."""
    moved = [plane.roll((-down, -right), (1, 2)) for down, right in ((0, 0), *lags)]
    return plane[:, None] * torch.stack(moved, dim=1)


def _size(squares: Tensor) -> Tensor:
    """The logarithm of deviations."""
    return (squares.clamp(min=0) + LEAST).log() / 2


def cells(pixels: Tensor) -> Tensor:
    """Means over cells; (B, K, H, W) -> (B, K, H / CELL, W / CELL)."""
    return F.avg_pool2d(pixels, CELL)


def around(each: Tensor) -> Tensor:
    """Means over what is seen from each cell; (B, K, h, w) -> the same."""
    far = AROUND // 2
    across = F.avg_pool2d(each, (1, AROUND), 1, (0, far), count_include_pad=False)
    return F.avg_pool2d(across, (AROUND, 1), 1, (far, 0), count_include_pad=False)
