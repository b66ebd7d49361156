"""Groups: an image denoised by what its similar blocks have in common, at several strengths."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.restoration.pilots import SIDE, STRENGTHS, cosines, opponent
from noiseda.restoration.remembered import Remembered

T = TypeVar("T")

REACH = 12
"""How far from a block similar ones are looked for, in pixels, to each side."""

SIZE = 16
"""Blocks of a group."""

STEP = 4
"""Pixels from one block that gathers a group to the next."""

_THRESHOLD = 2.7 / 255
_TOGETHER = 8  # so many blocks to each side look for similar ones together, by one product of matrices
_NOWHERE = 1e9  # distance of a block outside the image
_BUNCH = 64  # groups that are filtered together: as many as stay in a processor's cache
_POSITIONS = 25_000  # of a strip of the image: its coefficients take 100 MB
_ROWS = 16  # rows of positions that become pixels at once
_KNOWN = Remembered(2**28)


class Groups(nn.Module):
    """An image shrunk in groups of similar blocks, for several strengths of noise.

    Around each block of 8 x 8 pixels the sixteen most similar ones are gathered, itself among them; brightness alone
    decides. The group is transformed by the DCT of its blocks and a Hadamard transform across them, so that what the
    blocks have in common lies in few, large coefficients. Small ones are taken for noise and removed. Each block goes
    back to its place, and where blocks overlap they are averaged, those of few coefficients weighing more. This is the
    first of the two stages of BM3D (Dabov et al., *Image denoising by sparse 3-D transform-domain collaborative
    filtering*, 2007, equations 4 to 12), written from the paper, but for three things: blocks are compared as they are
    at every strength, so that one search serves all; a coefficient goes from nothing to all of itself between 3/4 and
    5/4 of the threshold; and blocks are not windowed.

    Of an estimate of what lies under the noise, :meth:`again` makes the second stage (equations 13 to 15): the same
    groups, but each coefficient keeps that share of itself that its energy in the estimate has in the sum with the
    noise's, as in a filter of Wiener's. Blocks similar in the estimate instead of the image gained nothing.

    It does what :class:`~noiseda.restoration.Pilots` does and takes its place. Pictures repeat themselves, which a
    network of small reach does not see: mean PSNR on six middles of 128 pixels of photographs under white noise of 25
    was 29.4 dB, and 28.9 by the blocks alone.

    No gradient goes through it. What is found of single images, and made of them alone, is remembered, up to 256 MB: a
    run scores the same ones.

    Args:
        strengths: standard deviations of the noise, in steps of 8 bits; at least one.
        channels: of the images, 1 (grey) or 3 (RGB).
    """

    basis: Tensor
    colours: Tensor
    signs: Tensor
    places: Tensor

    def __init__(self, strengths: Sequence[float] = STRENGTHS, channels: int = 3) -> None:
        super().__init__()
        self.strengths = tuple(strengths)
        # Real tensors on a network that has no memory for its weights too: these are no weights.
        with torch.device("cpu"):
            self.register_buffer("basis", cosines(SIDE), persistent=False)
            self.register_buffer("colours", opponent(channels), persistent=False)
            self.register_buffer("signs", hadamard(SIZE), persistent=False)
            self.register_buffer("places", _windows(), persistent=False)

    @torch.no_grad()
    def search(self, images: Tensor) -> Tensor:
        """The groups of images: which blocks are alike.

        Args:
            images: (B, C, H, W) in [0, 1]; both sides are multiples of 4, and 8 at least.

        Returns:
            (B, N, SIZE): the positions row * (W - 7) + column of the blocks of N groups, in no order but that those of
            a strip of the image follow one another.
        """
        with torch.autocast(images.device.type, enabled=False):
            return self._of(images, "groups", lambda known, whole: self._found(self._planes(known)[:, :1], whole))

    @torch.no_grad()
    def forward(self, images: Tensor, found: Tensor | None = None) -> Tensor:
        """Shrink images.

        Args:
            images: as in :meth:`search`.
            found: their groups; None looks for them.

        Returns:
            (B, T * C, H, W): what each of T strengths changes, one strength after the other. It is computed in fp32
            whatever the precision is.
        """
        with torch.autocast(images.device.type, enabled=False):
            groups = self.search(images) if found is None else found
            return self._of(images, self.strengths, lambda known, whole: self._changes(known, None, groups, whole))

    @torch.no_grad()
    def again(self, images: Tensor, estimates: Tensor, found: Tensor) -> Tensor:
        """Shrink images by what is thought to lie under their noise.

        Args:
            images: as in :meth:`search`.
            estimates: what is thought; (B, C, H, W).
            found: the groups of the images.

        Returns:
            as :meth:`forward`: what each strength changes in the images.
        """
        with torch.autocast(images.device.type, enabled=False):
            return self._changes(images, estimates, found, _as_a_whole(images))

    def _of(self, images: Tensor, what: Hashable, compute: Callable[[Tensor, bool], Tensor]) -> Tensor:
        """What is computed of images, as a whole or in strips; of a single one it is remembered."""
        if _as_a_whole(images) or len(images) > 1:  # several are of a training, which sees each once
            return compute(images, _as_a_whole(images))
        with torch.inference_mode(False), torch.no_grad():  # remembered for what learns, too
            return _KNOWN.of(images, what, lambda known: compute(known, False))

    def _planes(self, images: Tensor) -> Tensor:
        return torch.einsum("dc,bchw->bdhw", self.colours.float(), images.float())

    def _changes(self, images: Tensor, estimates: Tensor | None, found: Tensor, whole: bool) -> Tensor:
        planes = self._planes(images)
        guess = None if estimates is None else self._planes(estimates)
        shrunk = (self._shrunk_whole if whole else self._shrunk_in_strips)(planes, guess, found)
        changes = torch.einsum("dc,btdhw->btchw", self.colours.float(), shrunk - planes[:, None])
        return changes.flatten(1, 2).to(images.dtype)

    def _found(self, brightness: Tensor, whole: bool) -> Tensor:
        """The groups, (B, N, SIZE), of the brightness of images, (B, 1, H, W)."""
        if whole:
            return self._similar_everywhere(self._coefficients(brightness)[:, 0]).flatten(1, 2)
        _, _, height, width = brightness.shape

        def look(strip: tuple[int, int, int]) -> Tensor:
            image, first, after = strip
            top, last = max(first - REACH, 0), min(after + REACH, height - SIDE + 1)
            blocks = self._transformed(brightness[image, :, top : last + SIDE - 1])
            return self.similar(blocks, first - top, after - top) + top * (width - SIDE + 1)

        return torch.unflatten(torch.cat(list(_side_by_side(look, _strips(brightness)))), 0, (len(brightness), -1))

    def _shrunk_in_strips(self, planes: Tensor, guess: Tensor | None, found: Tensor) -> Tensor:
        """Shrink planes, (B, D, H, W) -> (B, T, D, H, W); as many strips at a time as torch has threads.

        Args:
            planes: the images.
            guess: what is thought to lie under their noise; None in the first stage.
            found: their groups.
        """
        batch, depth, height, width = planes.shape
        positions, right = width - SIDE + 1, len(range(0, width - SIDE + 1, STEP))
        spare = threading.local()  # memory of a thread's last strip: new memory costs more than what is done with it

        def shrink(strip: tuple[int, int, int]) -> tuple[int, int, Tensor]:
            image, first, after = strip
            top, last = max(first - REACH, 0), min(after + REACH, height - SIDE + 1)
            rows = slice(top, last + SIDE - 1)
            blocks = self._transformed(planes[image, :, rows])
            guessed = None if guess is None else self._transformed(guess[image, :, rows]).flatten(0, 1)
            groups = found[image, first // STEP * right : -(-after // STEP) * right] - top * positions
            sums, weights = [], []
            size = (len(self.strengths), *blocks.flatten(0, 1).shape)
            if not hasattr(spare, "totals") or spare.totals.numel() < math.prod(size):
                spare.totals = blocks.new_empty(math.prod(size))
            totals = spare.totals[: math.prod(size)].reshape(size).zero_()
            for total, weight in self._filtered(blocks.flatten(0, 1), guessed, torch.split(groups, _BUNCH), totals):
                sums.append(self._overlapped(torch.unflatten(total, 0, blocks.shape[:2])))
                weights.append(_spread(torch.unflatten(weight, 0, blocks.shape[:2])))
            return image, top, torch.stack([torch.stack(sums), torch.stack(weights)])

        totals = planes.new_zeros(2, batch, len(self.strengths), height, width, depth)
        for image, top, sums in _side_by_side(shrink, _strips(planes)):
            totals[:, image, :, top : top + sums.shape[2]] += sums
        return (totals[0] / totals[1]).permute(0, 1, 4, 2, 3)

    def _shrunk_whole(self, planes: Tensor, guess: Tensor | None, found: Tensor) -> Tensor:
        """As :meth:`_shrunk_in_strips`, without a loop whose length depends on the size: for graphs, and for GPUs."""
        batch, depth, height, width = planes.shape
        both = torch.kron(self.basis.float(), self.basis.float()).reshape(-1, 1, SIDE, SIDE)
        height, width = height - SIDE + 1, width - SIDE + 1

        def blocks(of: Tensor) -> Tensor:
            return self._coefficients(of).permute(0, 3, 4, 1, 2).reshape(-1, depth * SIDE**2)

        image = torch.arange(batch, device=planes.device)[:, None, None] * (height * width)
        groups = (found + image).flatten(0, 1)
        shrunk = []
        for total, weight in self._filtered(blocks(planes), None if guess is None else blocks(guess), [groups]):
            total = total.reshape(batch, height, width, depth, -1).permute(0, 3, 4, 1, 2)
            weight = weight.reshape(batch, height, width, depth).permute(0, 3, 1, 2)
            pixels = F.conv_transpose2d(total.flatten(0, 1), both)
            shrunk.append(pixels / F.conv_transpose2d(weight.flatten(0, 1)[:, None], torch.ones_like(both[:1])))
        return torch.stack([torch.unflatten(one[:, 0], 0, (batch, depth)) for one in shrunk], dim=1)

    def _coefficients(self, planes: Tensor) -> Tensor:
        """As :meth:`_transformed`, of several images; (B, D, H, W) -> (B, D, 64, H - 7, W - 7)."""
        both = torch.kron(self.basis.float(), self.basis.float()).reshape(-1, 1, SIDE, SIDE)
        return torch.unflatten(F.conv2d(planes.flatten(0, 1)[:, None], both), 0, planes.shape[:2])

    def _similar_everywhere(self, blocks: Tensor) -> Tensor:
        """As :meth:`similar`, of all rows of images at once; (B, 64, h, w) -> (B, rows, columns, SIZE)."""
        _, _, height, width = blocks.shape
        on, side = blocks.device, 2 * REACH + 1
        down, right = (STEP * torch.arange((length + STEP - 1) // STEP, device=on) for length in (height, width))
        gathering = blocks.index_select(2, down).index_select(3, right)[..., None]
        padded = F.pad(blocks, (REACH,) * 4)
        sizes = F.pad(blocks.square().sum(1), (REACH,) * 4, value=_NOWHERE)
        columns = (right[:, None] + torch.arange(side, device=on)).flatten()
        distances = []
        for shift in range(side):
            there = padded.index_select(2, down + shift).index_select(3, columns)
            size = sizes.index_select(1, down + shift).index_select(2, columns)
            products = (torch.unflatten(there, 3, (-1, side)) * gathering).sum(1)
            distances.append(torch.unflatten(size, 2, (-1, side)) - 2 * products)
        itself = torch.arange(side**2, device=on) == side**2 // 2
        least = torch.where(itself, -_NOWHERE, torch.cat(distances, dim=3)).topk(SIZE, dim=3, largest=False)
        return _moved(least.values, least.indices, width) + (down[:, None] * width + right)[..., None]

    def _transformed(self, planes: Tensor) -> Tensor:
        """The DCT of the block at each position; (D, H, W) -> (H - 7, W - 7, D * 64)."""
        blocks = planes.unfold(1, SIDE, 1).unfold(2, SIDE, 1).permute(1, 2, 0, 3, 4)
        both = torch.kron(self.basis.float(), self.basis.float())
        return torch.unflatten(blocks.reshape(-1, SIDE**2) @ both.T, 0, blocks.shape[:3]).flatten(2)

    def similar(self, blocks: Tensor, first: int, last: int) -> Tensor:
        """The groups of some rows.

        Args:
            blocks: (h, w, 64): the brightness of the block at each position, or its orthonormal transform.
            first: row of the first blocks that gather a group; each ``STEP``-th row and column has such blocks.
            last: the row after which there are none.

        Returns:
            (N, SIZE): positions row * w + column, the most similar first. Where there are fewer blocks within reach,
            the block itself stands for those missing.
        """
        height, width, _ = blocks.shape
        down, right = (len(range(*ends, STEP)) for ends in ((first, last), (0, width)))
        strips, columns = math.ceil(down / _TOGETHER), math.ceil(right / _TOGETHER)
        blocks = blocks - _grey(blocks)
        span, pace = _span(), STEP * _TOGETHER
        after = [pace * (columns - 1) + span - REACH - width, pace * (strips - 1) + span - REACH - height + first]
        around = (REACH, max(after[0], 0), REACH, max(after[1], 0))
        padded = F.pad(blocks, (0, 0, *around))
        sizes = F.pad(blocks.square().sum(-1), around, value=_NOWHERE)
        own = torch.arange(_TOGETHER, device=blocks.device) * STEP
        own = (own[:, None] * width + own).flatten()[:, None]
        middle = (2 * REACH + 1) ** 2 // 2
        found = []
        for top in range(first, first + strips * pace, pace):
            for left in range(0, columns * pace, pace):
                there = padded[top : top + span, left : left + span]
                gathering = there[REACH : REACH + pace : STEP, REACH : REACH + pace : STEP].flatten(0, 1)
                size = sizes[top : top + span, left : left + span].reshape(1, -1)
                distances = torch.addmm(size, gathering, there.flatten(0, 1).T, alpha=-2)
                distances = distances.gather(1, self.places)
                distances[:, middle] = -_NOWHERE  # itself, whatever is as similar
                least = distances.topk(SIZE, dim=1, largest=False)
                places = _moved(least.values, least.indices, width) + own + top * width + left
                inside = (down - (top - first) // STEP, right - left // STEP)  # what lies beyond the last is left out
                found.append(torch.unflatten(places, 0, (_TOGETHER, -1))[: inside[0], : inside[1]].flatten(0, 1))
        return torch.cat(found)

    def _filtered(
        self, known: Tensor, guessed: Tensor | None, groups: Sequence[Tensor], nothing: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Filter groups, some at a time.

        Args:
            known: (P, D * 64), the transform of each block.
            guessed: the same of what is thought to lie under the noise; None in the first stage.
            groups: some of them each, (N, SIZE): places among those blocks.
            nothing: zeros, (T, P, D * 64), to which the sums are added; None takes memory for them.

        Returns:
            for each strength the weighted sum of what became of each block, (P, D * 64), and of its weights, (P, D).
        """
        depth, signs = known.shape[1] // SIDE**2, self.signs.float()
        totals = [torch.zeros_like(known) for _ in self.strengths] if nothing is None else list(nothing)
        weights = [torch.zeros_like(known[:, :depth]) for _ in self.strengths]

        def gathered(blocks: Tensor, places: Tensor) -> Tensor:
            return signs @ torch.unflatten(blocks.index_select(0, places), 0, (-1, SIZE))

        for some in groups:
            places = some.flatten()
            common = gathered(known, places)
            energy = None if guessed is None else gathered(guessed, places).square()
            for number, strength in enumerate(self.strengths):
                if energy is None:
                    kept = (common.abs() * (2 / (strength * _THRESHOLD)) - 1.5).clamp(0, 1)
                else:
                    kept = energy / (energy + (strength / 255) ** 2)
                kept[:, 0, :: SIDE**2] = 1  # the mean of a group is kept, however small
                counts = torch.unflatten((kept if energy is None else kept.square()).sum(1), 1, (depth, -1)).sum(2)
                each = (1 / counts)[:, None].expand(-1, SIZE, -1).reshape(-1, depth)
                back = torch.unflatten((signs @ (kept * common)).flatten(0, 1), 1, (depth, -1))
                totals[number] = totals[number].index_add_(0, places, (back * each[..., None]).flatten(1))
                weights[number] = weights[number].index_add_(0, places, each)
        return zip(totals, weights, strict=True)

    def _overlapped(self, blocks: Tensor) -> Tensor:
        """The sum of transformed blocks where they lie; (h, w, D * 64) -> (h + 7, w + 7, D)."""
        height, width, size = blocks.shape
        both, depth = torch.kron(self.basis.float(), self.basis.float()), size // SIDE**2
        total = blocks.new_zeros(height + SIDE - 1, width + SIDE - 1, depth)
        for top in range(0, height, _ROWS):
            some = blocks[top : top + _ROWS]
            pixels = some.reshape(-1, SIDE**2) @ both
            lines = _summed(pixels.reshape(len(some), width, -1, SIDE), len(some), width)
            down = torch.unflatten(lines, 2, (-1, SIDE))
            for shift in range(SIDE):
                total[top + shift : top + shift + len(some)] += down[..., shift]
        return total


def _as_a_whole(images: Tensor) -> bool:
    """Whether images are shrunk without a loop over strips: for graphs, on GPUs, and where there is no memory."""
    return torch.compiler.is_compiling() or type(images) is not Tensor or images.device.type != "cpu"


def _strips(planes: Tensor) -> list[tuple[int, int, int]]:
    """Of each image (B, D, H, W): its number, and the first row of positions and the one after, strip by strip."""
    height, width = planes.shape[-2:]
    rows, last = max(STEP * _TOGETHER, _POSITIONS // width // STEP * STEP), height - SIDE + 1
    return [(image, first, min(first + rows, last)) for image in range(len(planes)) for first in range(0, last, rows)]


def _side_by_side(measure: Callable[[tuple[int, int, int]], T], strips: Sequence[tuple[int, int, int]]) -> Iterator[T]:
    """What is found of each strip, in order. Each core has strips of its own: small products do not share well."""

    @torch.no_grad()  # each thread knows for itself whether there are gradients
    def alone(strip: tuple[int, int, int]) -> T:
        if cores > 1:
            torch.set_num_threads(1)
        return measure(strip)

    cores = min(torch.get_num_threads(), len(strips))
    if cores < 2:
        yield from map(alone, strips)
        return
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(cores, "strip") as pool:
            yield from pool.map(alone, strips)
    finally:
        torch.set_num_threads(before)


def _summed(windows: Tensor, height: int, width: int) -> Tensor:
    """Windows (h, w, N, 8) along a row, summed where they lie; (h, w + 7, N)."""
    total = windows.new_zeros(height, width + SIDE - 1, windows.shape[2])
    for shift in range(SIDE):
        total[:, shift : shift + width] += windows[..., shift]
    return total


def _spread(weights: Tensor) -> Tensor:
    """What each pixel gets of the weights of the blocks that lie over it; (h, w, D) -> (h + 7, w + 7, D)."""
    planes = F.pad(weights.permute(2, 0, 1)[:, None], (SIDE - 1,) * 4)
    means = F.avg_pool2d(F.avg_pool2d(planes, (1, SIDE), stride=1), (SIDE, 1), stride=1)
    return means[:, 0].permute(1, 2, 0) * SIDE**2


def hadamard(size: int) -> Tensor:
    """The orthonormal, symmetric Hadamard matrix; (size, size), size a power of 2.

    >>> torch.equal(hadamard(4) @ hadamard(4), torch.eye(4))
    True
    """
    signs = torch.ones(1, 1)
    while len(signs) < size:
        signs = torch.cat([torch.cat([signs, signs], dim=1), torch.cat([signs, -signs], dim=1)])
    return signs / math.sqrt(size)


def _span() -> int:
    """Side of what blocks that look together look at."""
    return STEP * (_TOGETHER - 1) + 2 * REACH + 1


def _windows() -> Tensor:
    """For each block that looks, what it sees of what all of them look at; (blocks, (2 * REACH + 1)**2)."""
    own, seen = STEP * torch.arange(_TOGETHER), torch.arange(2 * REACH + 1)
    rows, columns = own[:, None, None, None] + seen[:, None], own[:, None, None] + seen
    return (rows * _span() + columns).reshape(_TOGETHER**2, -1)


def _moved(distances: Tensor, windowed: Tensor, width: int) -> Tensor:
    """How far blocks lie from the one that looks, in positions of rows so wide; 0 for those outside the image.

    Args:
        distances: to each.
        windowed: its number in the window that is looked at.
        width: positions of a row.
    """
    side = 2 * REACH + 1
    moved = (windowed // side - REACH) * width + windowed % side - REACH
    return torch.where(distances < _NOWHERE / 2, moved, 0)


def _grey(blocks: Tensor) -> Tensor:
    """A flat block of the mean brightness: distances between differences from it are exact to more digits."""
    grey = torch.zeros_like(blocks[0, 0])
    grey[0] = blocks[..., 0].mean()
    return grey
