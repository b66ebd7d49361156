"""A U-Net of residual convolutions without normalisation: of those tried, it learnt most in two minutes of a CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from noiseda.restoration.base import Restorer, filled
from noiseda.restoration.chooser import CELL, Chooser
from noiseda.restoration.groups import Groups
from noiseda.restoration.pilots import SIDE, STRENGTHS, Pilots
from noiseda.restoration.second_look import SecondLook
from noiseda.restoration.unbiased import Unbiased

_USUAL: dict[str, object] = {
    "width": 24, "blocks": [1, 1, 1, 2, 1, 1, 1], "channels": 3, "fold": 1, "pilots": False, "groups": False,
    "look": False, "unbiased": False,
}  # fmt: skip
_WIDEST, _MOST = 4096, 64  # channels of the first stage; blocks of a stage
_FOLDS = (1, 2, 4)
_FOLDED = {
    (channels + len(STRENGTHS) * groups) * fold**2: (channels, fold, groups)
    for channels in (1, 3)
    for fold in _FOLDS
    for groups in (False, True)
}


class ResidualUNet(Restorer):
    """U-Net of residual blocks that predicts what to add to the degraded image.

    A block is two 3x3 convolutions with a ReLU between them, added to its input; nothing is normalised. Convolutions of
    stride 2 lead down and up, and what comes up is added to the stage of the same size. The second convolution of each
    block and the last of all start at zero, so that an untrained network returns its input, and every block begins as
    nothing. With a fold, squares of pixels become channels before the first convolution, and pixels again after the
    last: fewer places, and nothing is lost. With pilots, the first convolution also sees the image denoised by a fixed
    rule, for several strengths of noise (:class:`~noiseda.restoration.Pilots`). With groups, that rule is a better one
    (:class:`~noiseda.restoration.Groups`). A mixture of these pilots is what the network then adds to
    (:class:`~noiseda.restoration.Chooser`), and it also says for each pixel how much more of each there is to be. With
    a second look, what the network found is weighed against the pilots once more, by all that a wide surrounding shows
    of the noise (:class:`~noiseda.restoration.SecondLook`). Unbiased, it puts back the brightness that noise in the
    light took (:class:`~noiseda.restoration.Unbiased`).

    Blocks are those of EDSR (Lim et al. 2017) and DRUNet (Zhang et al. 2021), which have no normalisation either; the
    folding is FFDNet's (Zhang et al. 2018).

    Args:
        width: channels of the first stage; stage s has width * 2**s.
        blocks: blocks of each stage, in the order in which they run: down, the deepest, up. An odd number of them.
        channels: 1 (grey) or 3 (RGB).
        fold: side of those squares in pixels: 1 (none), 2 or 4.
        pilots: whether it sees those of single blocks.
        groups: whether it sees those of groups of similar blocks.
        look: whether it takes a second look; with groups alone.
        unbiased: whether it puts back the brightness that noise in the light took.

    Raises:
        ValueError: the number of stages is even, or a number is out of range, or both pilots and groups are asked for,
            or a second look without groups.

    Attributes:
        recompute: whether the backward pass computes the inside of the stages anew, to save memory.
    """

    reentrant = True
    recompute = False
    border = 8
    architecture = "residual-unet"
    title = "residual U-Net"

    def __init__(
        self,
        *,
        width: int = 24,
        blocks: Sequence[int] = (1, 1, 1, 2, 1, 1, 1),
        channels: int = 3,
        fold: int = 1,
        pilots: bool = False,
        groups: bool = False,
        look: bool = False,
        unbiased: bool = False,
    ) -> None:
        super().__init__()
        _check(width, blocks, channels, fold, pilots, groups, look, unbiased)
        self.channels, self.fold = channels, fold
        self.arguments = {"width": width, "blocks": list(blocks), "channels": channels, "fold": fold}
        depth = len(blocks) // 2 + 1
        self.multiple_of = fold * 2 ** (depth - 1)
        self.pilots: Pilots | Groups | None = None
        self.chooser = Chooser(len(STRENGTHS), channels) if groups else None
        self.look = SecondLook(channels) if look else None
        self.chooses = groups
        if pilots or groups:
            self.arguments["pilots" if pilots else "groups"] = True
            self.border = 0  # repeated pixels have no noise across them, which misleads as to how strong noise is
            self.pilots = (Pilots if pilots else Groups)(STRENGTHS, channels)
            self.multiple_of = max(self.multiple_of, SIDE)
        if look:
            self.arguments["look"] = True
        self.unbiased = Unbiased(channels) if unbiased else None
        if unbiased:
            self.arguments["unbiased"] = True
            self.border = 0
            self.multiple_of = max(self.multiple_of, CELL)
        widths = [width * 2**stage for stage in range(depth)]
        seen = 1 + len(STRENGTHS) * (pilots or groups) + groups  # the image, its pilots, their mixture
        self.intro = nn.Conv2d(seen * channels * fold**2, width, 3, padding=1)
        self.down = nn.ModuleList(_stage(a, count) for a, count in zip(widths, blocks, strict=False))
        self.shrink = nn.ModuleList(nn.Conv2d(a, 2 * a, 2, stride=2) for a in widths[:-1])
        upward = widths[-2::-1]  # deepest first
        self.grow = nn.ModuleList(nn.ConvTranspose2d(2 * a, a, 2, stride=2) for a in upward)
        self.up = nn.ModuleList(_stage(a, count) for a, count in zip(upward, blocks[depth:], strict=True))
        self.head = nn.Conv2d(width, (channels + len(STRENGTHS) * groups) * fold**2, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    @classmethod
    def outline(cls, arguments: Mapping[str, object]) -> ResidualUNet:
        """The network without memory for its weights, and without random draws.

        Args:
            arguments: those of the constructor.

        Raises:
            ValueError: One is of another kind or out of range.
        """
        asked = dict(_USUAL)
        for name, value in arguments.items():
            if name not in asked:
                raise ValueError(f"it has no argument {name[:40]!r}")
            asked[name] = value
        _check(*asked.values())
        with torch.device("meta"):
            return cls(**asked)  # type: ignore[arg-type]

    @classmethod
    def detect(cls, state: Mapping[str, Tensor]) -> ResidualUNet | None:
        """The network that some weights are of; None where they are not those of such a U-Net.

        >>> ResidualUNet.detect(ResidualUNet(width=4, blocks=(1, 2, 1), channels=1).state_dict()).arguments
        {'width': 4, 'blocks': [1, 2, 1], 'channels': 1, 'fold': 1}
        """
        first, last = state.get("intro.weight"), state.get("head.weight")
        if first is None or last is None or first.ndim != 4 or last.shape[0] not in _FOLDED:
            return None
        channels, fold, groups = _FOLDED[last.shape[0]]
        pilots = first.shape[1] > last.shape[0] and not groups
        places = {tuple(name.split(".")[:3]) for name in state if name.startswith(("down.", "up."))}
        counts = {
            way: [sum(place[:2] == (way, str(stage)) for place in places) for stage in range(len(places))]
            for way in ("down", "up")
        }
        blocks = [count for way in ("down", "up") for count in counts[way] if count]
        try:
            found = cls.outline(
                {"width": first.shape[0], "blocks": blocks, "channels": channels, "fold": fold, "pilots": pilots,
                 "groups": groups, "look": "look.usual" in state, "unbiased": "unbiased.usual" in state}
            )  # fmt: skip
        except ValueError:
            return None
        return filled(found, state)

    @property
    def features(self) -> nn.Module:
        """The deepest stage; (B, width * 2**(depth - 1), H / multiple_of, W / multiple_of)."""
        return self.down[-1]

    def restore(self, images: Tensor) -> Tensor:
        """Restore images whose sides are multiples of ``multiple_of``; (B, C, H, W) -> the same."""
        if not isinstance(self.pilots, Groups):
            return self.restore_by(images, None if self.pilots is None else self.pilots(images))
        found = self.pilots.search(images)
        return self.restore_by(images, self.pilots(images, found), found)

    def restore_by(self, images: Tensor, changes: Tensor | None, found: Tensor | None = None) -> Tensor:
        """As :meth:`restore`, by pilots that are known.

        Args:
            images: (B, C, H, W).
            changes: what its pilots change, (B, T * C, H, W); None of a network that sees none.
            found: the groups of the images, where it sees such; None looks for them where they are asked for.
        """
        mixed = None if changes is None or self.chooser is None else self.chooser(images, changes)
        restored: Tensor = self.first_look(images, changes, mixed)
        if self.look is not None:
            assert isinstance(self.pilots, Groups), "checked when it was made"
            restored = self.look(images, restored, mixed, changes, self.pilots, found)
        return restored if self.unbiased is None else self.unbiased(images, restored)

    def first_look(self, images: Tensor, changes: Tensor | None, mixed: Tensor | None) -> Tensor:
        """As :meth:`restore_by`, without the second look.

        Args:
            images: (B, C, H, W).
            changes: what its pilots change; None of a network that sees none.
            mixed: what the mixture of its chooser changes; None of a network that has none.
        """
        seen = [one for one in (images, changes, mixed) if one is not None]
        x = self.intro(F.pixel_unshuffle(torch.cat(seen, dim=1), self.fold))
        skips: list[Tensor] = []
        for shrink, stage in zip(self.shrink, self.down, strict=False):
            skips.append(self._run(stage, x))
            x = shrink(skips[-1])
        x = self._run(self.down[-1], x)
        for grow, stage in zip(self.grow, self.up, strict=True):
            x = self._run(stage, grow(x) + skips.pop())
        added = F.pixel_shuffle(self.head(x), self.fold)
        if changes is None or mixed is None:
            return images + added
        shares = added[:, self.channels :, None]  # of each pilot, the same for all colours
        more: Tensor = (shares * torch.unflatten(changes, 1, (len(STRENGTHS), -1))).sum(1)
        return images + mixed + added[:, : self.channels] + more

    def _run(self, stage: nn.Module, x: Tensor) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(stage, x, use_reentrant=False)  # type: ignore[no-any-return]
        return stage(x)  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a ReLU between them, added to what comes in; (B, K, h, w) -> the same.

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        if not self.first.weight.is_meta:  # of a network without memory, torch would load its compiler for this
            nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        for tensor in (self.first.bias, self.second.weight, self.second.bias):
            nn.init.zeros_(tensor)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Add what the convolutions make of it."""
        return x + self.second(F.relu(self.first(x)))  # type: ignore[no-any-return]


def _stage(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))


def _check(
    width: object,
    blocks: object,
    channels: object,
    fold: object,
    pilots: object,
    groups: object,
    look: object,
    unbiased: object,
) -> None:
    """Check the sizes of a network, which a damaged file may have made anything.

    Raises:
        ValueError: One is of another kind or out of range.
    """
    if type(width) is not int or not 1 <= width <= _WIDEST:
        raise ValueError(f"width must be a whole number from 1 to {_WIDEST}, not {str(width)[:40]}")
    counts = list(blocks) if isinstance(blocks, Sequence) and not isinstance(blocks, str) else []
    if len(counts) % 2 == 0 or len(counts) > 15 or any(type(one) is not int or not 1 <= one <= _MOST for one in counts):
        raise ValueError(f"blocks must be 1, 3, ... 15 whole numbers from 1 to {_MOST}, not {str(blocks)[:40]}")
    if type(channels) is not int or channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, not {str(channels)[:40]}")
    if type(fold) is not int or fold not in _FOLDS:
        raise ValueError(f"fold must be 1, 2 or 4, not {str(fold)[:40]}")
    for name, value in (("pilots", pilots), ("groups", groups), ("look", look), ("unbiased", unbiased)):
        if type(value) is not bool:
            raise ValueError(f"{name} must be true or false, not {str(value)[:40]}")
    if pilots and groups:
        raise ValueError("pilots and groups take the same place: one of them must be false")
    if look and not groups:
        raise ValueError("a second look is one at groups: look asks for groups")
