"""Groups: an image denoised by what its similar blocks have in common, at several strengths."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.restoration.pilots import SIDE, STRENGTHS, colourless, cosines, opponent
from noiseda.restoration.remembered import Remembered
from noiseda.restoration.similar_blocks import REACH, SIZE, STEP, TOGETHER, similar, similar_everywhere, windows

_T = TypeVar("_T")

_THRESHOLD = 2.7 / 255
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

    Strengths are those in each channel. A grey image in RGB has its noise in its brightness alone, which is the square
    root of 3 times as strong there; it is shrunk as if it had one channel.

    No gradient goes through it. What was made of single images is remembered, up to 256 MB: a run scores the same ones.

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
            self.register_buffer("places", windows(), persistent=False)

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
            if _as_a_whole(images) or len(images) > 1:
                return self._found(self._planes(images)[:, :1], _as_a_whole(images))
            with torch.inference_mode(False), torch.no_grad():
                return _KNOWN.of(images, "search", lambda known: self._found(self._planes(known)[:, :1], False))

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
            if _as_a_whole(images) or len(images) > 1:  # several are of a training, which sees each once
                return self._changes(images, None, found)
            with torch.inference_mode(False), torch.no_grad():  # remembered for what learns, too
                return _KNOWN.of(images, self.strengths, lambda known: self._changes(known, None, found))

    @torch.no_grad()
    def again(
        self, images: Tensor, estimates: Tensor, found: Tensor | None = None, strengths: Tensor | None = None
    ) -> Tensor:
        """Shrink images by what is thought to lie under their noise.

        Args:
            images: as in :meth:`search`.
            estimates: what is thought; (B, C, H, W).
            found: the groups of the images; None looks for them, or remembers them.
            strengths: of the noise, (B, h, w) over cells of an image, in steps of 8 bits: each group has that of the
                cell in which its first block has its middle. None for those of the groups.

        Returns:
            as :meth:`forward`: what each strength changes in the images; (B, C, H, W) where there is one for each cell.
        """
        with torch.autocast(images.device.type, enabled=False):
            return self._changes(images, estimates, found, strengths)

    def _planes(self, images: Tensor) -> Tensor:
        return torch.einsum("dc,bchw->bdhw", self.colours.float(), images.float())

    def _changes(
        self, images: Tensor, estimates: Tensor | None, found: Tensor | None, strengths: Tensor | None = None
    ) -> Tensor:
        planes, whole = self._planes(images), _as_a_whole(images)
        found = self.search(images) if found is None else found
        each = None if strengths is None else _of_groups(strengths, found, images.shape[-1])
        guess = None if estimates is None else self._planes(estimates)
        size = torch.where(colourless(planes), len(self.colours) ** 0.5, 1.0)
        planes, guess = planes / size, guess if guess is None else guess / size
        shrunk = (self._shrunk_whole if whole else self._shrunk_in_strips)(planes, guess, found, each)
        planes, shrunk = planes * size, shrunk * size[:, None]
        changes = torch.einsum("dc,btdhw->btchw", self.colours.float(), shrunk - planes[:, None])
        return changes.flatten(1, 2).to(images.dtype)

    def _found(self, brightness: Tensor, whole: bool) -> Tensor:
        """The groups, (B, N, SIZE), of the brightness of images, (B, 1, H, W)."""
        if whole:
            return similar_everywhere(self._coefficients(brightness)[:, 0]).flatten(1, 2)
        _, _, height, width = brightness.shape

        def look(strip: tuple[int, int, int]) -> Tensor:
            image, first, after = strip
            top, last = max(first - REACH, 0), min(after + REACH, height - SIDE + 1)
            blocks = self._transformed(brightness[image, :, top : last + SIDE - 1])
            return similar(blocks, first - top, after - top, self.places) + top * (width - SIDE + 1)

        return torch.unflatten(torch.cat(list(_side_by_side(look, _strips(brightness)))), 0, (len(brightness), -1))

    def _shrunk_in_strips(
        self, planes: Tensor, guess: Tensor | None, found: Tensor, each: Tensor | None = None
    ) -> Tensor:
        """Shrink planes, (B, D, H, W) -> (B, T, D, H, W); as many strips at a time as torch has threads.

        Args:
            planes: the images.
            guess: what is thought to lie under their noise; None in the first stage.
            found: their groups.
            each: the strength of each group, (B, N); None for those of all.
        """
        batch, depth, height, width = planes.shape
        many = len(self.strengths) if each is None else 1
        positions, right = width - SIDE + 1, len(range(0, width - SIDE + 1, STEP))
        spare = threading.local()  # memory of a thread's last strip: new memory costs more than what is done with it

        def shrink(strip: tuple[int, int, int]) -> tuple[int, int, Tensor]:
            image, first, after = strip
            top, last = max(first - REACH, 0), min(after + REACH, height - SIDE + 1)
            rows = slice(top, last + SIDE - 1)
            blocks = self._transformed(planes[image, :, rows])
            guessed = None if guess is None else self._transformed(guess[image, :, rows]).flatten(0, 1)
            own = slice(first // STEP * right, -(-after // STEP) * right)
            groups = torch.split(found[image, own] - top * positions, _BUNCH)
            levels = None if each is None else torch.split(each[image, own], _BUNCH)
            sums, weights = [], []
            size = (many, *blocks.flatten(0, 1).shape)
            if not hasattr(spare, "totals") or spare.totals.numel() < math.prod(size):
                spare.totals = blocks.new_empty(math.prod(size))
            totals = spare.totals[: math.prod(size)].reshape(size).zero_()
            for total, weight in self._filtered(blocks.flatten(0, 1), guessed, groups, levels, totals):
                sums.append(self._overlapped(torch.unflatten(total, 0, blocks.shape[:2])))
                weights.append(_spread(torch.unflatten(weight, 0, blocks.shape[:2])))
            return image, top, torch.stack([torch.stack(sums), torch.stack(weights)])

        totals = planes.new_zeros(2, batch, many, height, width, depth)
        for image, top, sums in _side_by_side(shrink, _strips(planes)):
            totals[:, image, :, top : top + sums.shape[2]] += sums
        return (totals[0] / totals[1]).permute(0, 1, 4, 2, 3)

    def _shrunk_whole(self, planes: Tensor, guess: Tensor | None, found: Tensor, each: Tensor | None = None) -> Tensor:
        """As :meth:`_shrunk_in_strips`, without a loop whose length depends on the size: for graphs, and for GPUs."""
        batch, depth, height, width = planes.shape
        both = torch.kron(self.basis.float(), self.basis.float()).reshape(-1, 1, SIDE, SIDE)
        height, width = height - SIDE + 1, width - SIDE + 1

        def blocks(of: Tensor) -> Tensor:
            return self._coefficients(of).permute(0, 3, 4, 1, 2).reshape(-1, depth * SIDE**2)

        image = torch.arange(batch, device=planes.device)[:, None, None] * (height * width)
        groups = (found + image).flatten(0, 1)
        levels, shrunk = None if each is None else [each.flatten()], []
        for total, weight in self._filtered(blocks(planes), None if guess is None else blocks(guess), [groups], levels):
            total = total.reshape(batch, height, width, depth, -1).permute(0, 3, 4, 1, 2)
            weight = weight.reshape(batch, height, width, depth).permute(0, 3, 1, 2)
            pixels = F.conv_transpose2d(total.flatten(0, 1), both)
            shrunk.append(pixels / F.conv_transpose2d(weight.flatten(0, 1)[:, None], torch.ones_like(both[:1])))
        return torch.stack([torch.unflatten(one[:, 0], 0, (batch, depth)) for one in shrunk], dim=1)

    def _coefficients(self, planes: Tensor) -> Tensor:
        """As :meth:`_transformed`, of several images; (B, D, H, W) -> (B, D, 64, H - 7, W - 7)."""
        both = torch.kron(self.basis.float(), self.basis.float()).reshape(-1, 1, SIDE, SIDE)
        return torch.unflatten(F.conv2d(planes.flatten(0, 1)[:, None], both), 0, planes.shape[:2])

    def _transformed(self, planes: Tensor) -> Tensor:
        """The DCT of the block at each position; (D, H, W) -> (H - 7, W - 7, D * 64)."""
        blocks = planes.unfold(1, SIDE, 1).unfold(2, SIDE, 1).permute(1, 2, 0, 3, 4)
        both = torch.kron(self.basis.float(), self.basis.float())
        return torch.unflatten(blocks.reshape(-1, SIDE**2) @ both.T, 0, blocks.shape[:3]).flatten(2)

    def _filtered(
        self,
        known: Tensor,
        guessed: Tensor | None,
        groups: Sequence[Tensor],
        levels: Sequence[Tensor] | None,
        nothing: Tensor | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Filter groups, some at a time.

        Args:
            known: (P, D * 64), the transform of each block.
            guessed: the same of what is thought to lie under the noise; None in the first stage.
            groups: some of them each, (N, SIZE): places among those blocks.
            levels: the strengths of these, (N,) each; None where all have those of the module.
            nothing: zeros, (T, P, D * 64), to which the sums are added; None takes memory for them.

        Returns:
            for each strength the weighted sum of what became of each block, (P, D * 64), and of its weights, (P, D).
        """
        depth, signs = known.shape[1] // SIDE**2, self.signs.float()
        many = len(self.strengths) if levels is None else 1
        totals = [torch.zeros_like(known) for _ in range(many)] if nothing is None else list(nothing)
        weights = [torch.zeros_like(known[:, :depth]) for _ in range(many)]

        def gathered(blocks: Tensor, places: Tensor) -> Tensor:
            return signs @ torch.unflatten(blocks.index_select(0, places), 0, (-1, SIZE))

        for at, some in enumerate(groups):
            places = some.flatten()
            strengths: Sequence[float | Tensor] = self.strengths if levels is None else [levels[at][:, None, None]]
            common = gathered(known, places)
            energy = None if guessed is None else gathered(guessed, places).square()
            for number, strength in enumerate(strengths):
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


def _of_groups(strengths: Tensor, found: Tensor, width: int) -> Tensor:
    """The strength of each group, (B, N), out of those of cells of images so wide, (B, h, w)."""
    positions, first = width - SIDE + 1, found[..., 0]
    row = first // positions
    column = first - row * positions  # no remainder: ONNX has none by a size that varies
    cells = (row + SIDE // 2) // SIDE * strengths.shape[-1] + (column + SIDE // 2) // SIDE
    return strengths.flatten(1).gather(1, cells)


def _as_a_whole(images: Tensor) -> bool:
    """Whether images are shrunk without a loop over strips: for graphs, on GPUs, and where there is no memory."""
    return torch.compiler.is_compiling() or type(images) is not Tensor or images.device.type != "cpu"


def _strips(planes: Tensor) -> list[tuple[int, int, int]]:
    """Of each image (B, D, H, W): its number, and the first row of positions and the one after, strip by strip."""
    height, width = planes.shape[-2:]
    rows, last = max(STEP * TOGETHER, _POSITIONS // width // STEP * STEP), height - SIDE + 1
    return [(image, first, min(first + rows, last)) for image in range(len(planes)) for first in range(0, last, rows)]


def _side_by_side(
    measure: Callable[[tuple[int, int, int]], _T], strips: Sequence[tuple[int, int, int]]
) -> Iterator[_T]:
    """What is found of each strip, in order. Each core has strips of its own: small products do not share well."""

    @torch.no_grad()  # each thread knows for itself whether there are gradients
    def alone(strip: tuple[int, int, int]) -> _T:
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
