"""Groups: an image denoised by what its similar blocks have in common, at several strengths."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.restoration.pilots import SIDE, STRENGTHS, colourless, cosines, opponent
from noiseda.restoration.remembered import Remembered
from noiseda.restoration.rolling import Rolling, Stretch, side_by_side, stretches
from noiseda.restoration.similar_blocks import REACH, SIZE, STEP, similar, similar_everywhere, windows

_THRESHOLD = 2.7 / 255
_BUNCH = 64  # groups that are filtered together: as many as stay in a processor's cache
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

        def look(stretch: Stretch) -> Tensor:
            found = []
            for first, after in stretch.strips:
                top, last = max(first - REACH, 0), min(after + REACH, height - SIDE + 1)
                blocks = self._transformed(brightness[stretch.image, :, top : last + SIDE - 1])
                found.append(similar(blocks, first - top, after - top, self.places) + top * (width - SIDE + 1))
            return torch.cat(found)

        found = torch.cat(list(side_by_side(look, stretches(brightness))))
        return torch.unflatten(found, 0, (len(brightness), -1))

    def _shrunk_in_strips(
        self, planes: Tensor, guess: Tensor | None, found: Tensor, each: Tensor | None = None
    ) -> Tensor:
        """Shrink planes, (B, D, H, W) -> (B, T, D, H, W); as many stretches at a time as torch has threads.

        Args:
            planes: the images.
            guess: what is thought to lie under their noise; None in the first stage.
            found: their groups.
            each: the strength of each group, (B, N); None for those of all.
        """
        batch, depth, height, width = planes.shape
        many, right = len(self.strengths) if each is None else 1, len(range(0, width - SIDE + 1, STEP))
        basis = self.basis.float()

        def shrink(stretch: Stretch) -> tuple[int, int, Tensor]:
            images = [planes[stretch.image]] if guess is None else [planes[stretch.image], guess[stretch.image]]
            near = Rolling(stretch, images, self._transformed, many)
            for first, after in stretch.strips:
                near.reach(after)
                own = slice(first // STEP * right, -(-after // STEP) * right)
                groups = torch.split(near.places(found[stretch.image, own]), _BUNCH)
                levels = None if each is None else torch.split(each[stretch.image, own], _BUNCH)
                self._filtered(near.blocks, groups, levels, near.totals, near.weights)
                near.leave(after, basis)
            return stretch.image, near.top, near.result()

        totals = planes.new_zeros(2, batch, many, height, width, depth)
        for image, top, sums in side_by_side(shrink, stretches(planes)):
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
        levels, known = None if each is None else [each.flatten()], [blocks(planes)]
        known += [] if guess is None else [blocks(guess)]
        many = len(self.strengths) if each is None else 1
        totals, weights = (known[0].new_zeros(many, known[0].shape[0], size) for size in (depth * SIDE**2, depth))
        shrunk = []
        for total, weight in zip(*self._filtered(known, [groups], levels, totals, weights), strict=True):
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
        known: Sequence[Tensor],
        groups: Sequence[Tensor],
        levels: Sequence[Tensor] | None,
        totals: Tensor,
        weights: Tensor,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Filter groups, some at a time, and add up what became of each block.

        Args:
            known: (P, D * 64), the transform of each block; and, in the second stage, of what is thought to lie under
                its noise.
            groups: some of them each, (N, SIZE): places among those blocks.
            levels: the strengths of these, (N,) each; None where all have those of the module.
            totals: (T, P, D * 64), to which weighted blocks are added in place.
            weights: (T, P, D), to which their weights are.

        Returns:
            both, a tensor for each strength.
        """
        depth, signs = known[0].shape[1] // SIDE**2, self.signs.float()
        sums, counted = list(totals), list(weights)

        def gathered(blocks: Tensor, places: Tensor) -> Tensor:
            return signs @ torch.unflatten(blocks.index_select(0, places), 0, (-1, SIZE))

        for at, some in enumerate(groups):
            places = some.flatten()
            strengths: Sequence[float | Tensor] = self.strengths if levels is None else [levels[at][:, None, None]]
            common = gathered(known[0], places)
            first = len(known) == 1
            energy = common.abs() if first else gathered(known[1], places).square()
            for number, strength in enumerate(strengths):
                if first:
                    kept = (energy * (2 / (strength * _THRESHOLD))).sub_(1.5).clamp_(0, 1)
                else:
                    kept = energy / (energy + (strength / 255) ** 2)
                kept[:, 0, :: SIDE**2] = 1  # the mean of a group is kept, however small
                counts = torch.unflatten((kept if first else kept.square()).sum(1), 1, (depth, -1)).sum(2)
                each = (1 / counts)[:, None].expand(-1, SIZE, -1).reshape(-1, depth)
                back = torch.unflatten((signs @ kept.mul_(common)).flatten(0, 1), 1, (depth, -1))
                sums[number] = sums[number].index_add_(0, places, back.mul_(each[..., None]).flatten(1))
                counted[number] = counted[number].index_add_(0, places, each)
        return sums, counted


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


def hadamard(size: int) -> Tensor:
    """The orthonormal, symmetric Hadamard matrix; (size, size), size a power of 2.

    >>> torch.equal(hadamard(4) @ hadamard(4), torch.eye(4))
    True
    """
    signs = torch.ones(1, 1)
    while len(signs) < size:
        signs = torch.cat([torch.cat([signs, signs], dim=1), torch.cat([signs, -signs], dim=1)])
    return signs / math.sqrt(size)
