"""How a noise predictor looks at its conditions: one class a way, one name each.

A predictor asks its conditioning four things: what joins the noised signal at the input (:meth:`Conditioning.join`),
what is added behind the first layer (:meth:`Conditioning.add`), what modulates a normalisation
(:meth:`Conditioning.modulator`), and what is attended to (:meth:`Conditioning.look`). By default each is nothing. So a
way is the one or two of them that it changes, and holds for U-Nets, transformers and predictors of single places.

Where one encoder sees every condition and what it sees is added up, the conditions have no order. The predictor cannot
learn which of them is the real one, and swapping them as the paper does changes nothing. Whatever ends in a layer of
zeros begins as nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.diffusion.layers import NormSiLU, groups_of, zeroed
from noiseda.diffusion.positions import sine_cosine
from noiseda.dims import CONVOLUTIONS, append_dims, fold

Seen = tuple[Tensor, ...]
"""What is seen of the conditions; what it holds is the conditioning's own choice."""


@dataclass(frozen=True)
class PredictorLayout:
    """What a conditioning has to know of the predictor that it is part of.

    Attributes:
        channels: of the signal, and of each condition.
        conditions: how many there are.
        widths: channels of each level, from the finest; sides halve from one to the next.
        patch_size: side of the blocks that are folded into channels before the first level.
        kernel: side of the convolutions; 1 where a place may see nothing of its neighbours.
        dims: spatial dimensions.
    """

    channels: int
    conditions: int
    widths: tuple[int, ...]
    patch_size: int = 1
    kernel: int = 3
    dims: int = 2


class Conditioning(nn.Module):
    """A way of looking at the conditions, which looks at nothing: others change what they need.

    Args:
        layout: of the predictor.

    Attributes:
        joined: how many signals :meth:`join` stacks along channels.
        ordered: whether it matters which condition comes first.
    """

    joined = 1
    ordered = False

    def __init__(self, layout: PredictorLayout) -> None:
        super().__init__()
        self.layout = layout

    def join(self, y_t: Tensor, conditions: tuple[Tensor, ...]) -> Tensor:
        """What the first layer sees: (B, joined * C, *spatial)."""
        return y_t

    def forward(self, conditions: tuple[Tensor, ...]) -> Seen:
        """What is seen of the conditions (B, C, *spatial), once for each call of the predictor."""
        return ()

    def add(self, x: Tensor, seen: Seen) -> Tensor:
        """Features (B, widths[0], *spatial / patch_size) behind the first layer -> the same, with what is seen."""
        return x

    def modulator(self, outputs: int, level: int) -> nn.Module | None:
        """A layer, what is seen -> (B, outputs, *spatial of the level), 0 at first; None for none."""
        return None

    def look(self, channels: int, level: int) -> nn.Module | None:
        """A layer, (B, channels, *spatial of the level) and what is seen -> the same; None for none."""
        return None

    def norm(self, channels: int, level: int) -> NormSiLU:
        """The normalisation of a residual block."""
        modulator = self.modulator(2 * channels, level)
        return NormSiLU(groups_of(channels), channels) if modulator is None else SpatialNorm(channels, modulator)


class Concatenation(Conditioning):
    """Conditions are channels beside the noised signal, in their order (arXiv 2406.18516). It has no weights.

    Args:
        layout: of the predictor.
    """

    ordered = True

    def __init__(self, layout: PredictorLayout) -> None:
        super().__init__(layout)
        self.joined = 1 + layout.conditions

    def join(self, y_t: Tensor, conditions: tuple[Tensor, ...]) -> Tensor:
        """(B, (1 + conditions) * C, *spatial)."""
        return torch.cat([y_t, *conditions], dim=1)


class Summed(Conditioning):
    """One encoder for all conditions; their features are summed, and added behind the first layer.

    A sum over shared encoders is the general form of a function of a set (Zaheer et al., arXiv 1703.06114).

    Args:
        layout: of the predictor.
    """

    def __init__(self, layout: PredictorLayout) -> None:
        super().__init__(layout)
        self.encoder = Encoder(layout, levels=1)

    def forward(self, conditions: tuple[Tensor, ...]) -> Seen:
        """One tensor, (B, widths[0], *spatial / patch_size)."""
        return tuple(_sum(features.unbind(0)) for features in self.encoder(conditions))

    def add(self, x: Tensor, seen: Seen) -> Tensor:
        """The sum of both."""
        return x + seen[0]


class Modulation(Conditioning):
    """What is seen of the conditions scales and shifts every normalisation of the blocks, place by place.

    y = (1 + gamma) norm(x) + beta, where gamma and beta come from the conditions' summed features of the same level, by
    a convolution that starts at zero. After SPADE, Park et al., arXiv 1903.07291; the encoder, and the sum over it, are
    ours.

    Args:
        layout: of the predictor.
    """

    def __init__(self, layout: PredictorLayout) -> None:
        super().__init__(layout)
        self.encoder = Encoder(layout, levels=len(layout.widths))

    def forward(self, conditions: tuple[Tensor, ...]) -> Seen:
        """A tensor a level, (B, widths[level], *spatial of the level)."""
        return tuple(_sum(features.unbind(0)) for features in self.encoder(conditions))

    def modulator(self, outputs: int, level: int) -> nn.Module:
        """A convolution of the level's features."""
        return Modulator(self.layout.widths[level], outputs, level=level, dims=self.layout.dims)


class CrossAttention(Conditioning):
    """Places of the coarse levels attend to the conditions' features at the size of the coarsest.

    Queries and keys know where they are, in common coordinates. All features of all conditions share one softmax, so
    that each place weighs the conditions against each other; it does not know which of them is which.

    Args:
        layout: of the predictor.
        levels: those that attend, counted from 0, the finest; by default the coarsest.

    Raises:
        ValueError: for a predictor that may see nothing of its neighbours, or with a level that it has not.
    """

    def __init__(self, layout: PredictorLayout, levels: Sequence[int] | None = None) -> None:
        super().__init__(layout)
        if layout.kernel == 1:
            raise ValueError("cross-attention looks at all places, and this predictor at one: choose another")
        self._coarsest = len(layout.widths) - 1
        self._levels = (self._coarsest,) if levels is None else tuple(levels)
        if not set(self._levels) <= set(range(len(layout.widths))):
            raise ValueError(f"levels must be of 0 to {self._coarsest}, not {levels}")
        self.encoder = Encoder(layout, levels=len(layout.widths))

    def forward(self, conditions: tuple[Tensor, ...]) -> Seen:
        """A tensor a condition, (B, widths[-1], *spatial of the coarsest level)."""
        return tuple(self.encoder(conditions)[-1].unbind(0))

    def look(self, channels: int, level: int) -> nn.Module | None:
        """Attention to the conditions, at the chosen levels."""
        if level not in self._levels:
            return None
        step = 0.5 ** (self._coarsest - level)
        return AttentionToSet(channels, self.layout.widths[-1], step=step, dims=self.layout.dims)


class Encoder(nn.Module):
    """A small encoder with the same weights for every condition: features of each level.

    Two convolutions for the finest level, one that halves the sides for each further one, with SiLU between.

    Args:
        layout: of the predictor.
        levels: how many levels it has, from the finest.
    """

    def __init__(self, layout: PredictorLayout, *, levels: int) -> None:
        super().__init__()
        convolution, kernel, widths = CONVOLUTIONS[layout.dims], layout.kernel, layout.widths
        self.patch_size = layout.patch_size
        inputs = layout.channels * layout.patch_size**layout.dims
        self.first = convolution(inputs, widths[0], kernel, padding=kernel // 2)
        self.levels = nn.ModuleList([convolution(widths[0], widths[0], kernel, padding=kernel // 2)])
        for level in range(1, levels):
            self.levels.append(convolution(widths[level - 1], widths[level], 2, stride=2))

    def forward(self, conditions: tuple[Tensor, ...]) -> list[Tensor]:
        """As many (B, C, *spatial) as there are -> a tensor a level, (conditions, B, width, *spatial of the level)."""
        x, found = self.first(fold(torch.cat(conditions), self.patch_size)), []
        for layer in self.levels:
            x = layer(F.silu(x))
            found.append(x.unflatten(0, (len(conditions), -1)))
        return found


class Modulator(nn.Module):
    """What modulates a layer, from the features of one level: a 1x1 convolution that starts at zero.

    Args:
        features: channels of what is seen.
        outputs: channels out.
        level: which of what is seen it looks at.
        dims: spatial dimensions.
    """

    def __init__(self, features: int, outputs: int, *, level: int, dims: int) -> None:
        super().__init__()
        self.level = level
        self.convolution = zeroed(CONVOLUTIONS[dims](features, outputs, 1))

    def forward(self, seen: Seen) -> Tensor:
        """What is seen -> (B, outputs, *spatial of the level)."""
        return self.convolution(F.silu(seen[self.level]))  # type: ignore[no-any-return]


class SpatialNorm(NormSiLU):
    """y = SiLU((1 + gamma) ((1 + scale) GroupNorm(x) + shift) + beta), with gamma and beta of each place.

    Args:
        channels: channels in and out.
        modulator: what is seen of the conditions -> (B, 2 channels, *spatial): gamma and beta.
    """

    def __init__(self, channels: int, modulator: nn.Module) -> None:
        super().__init__(groups_of(channels), channels)
        self.modulator = modulator

    def forward(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None, seen: Seen = ()) -> Tensor:
        """As of :class:`NormSiLU`, with what is seen of the conditions."""
        y = F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
        if scale is not None and shift is not None:
            y = y * (1 + append_dims(scale, y.ndim)) + append_dims(shift, y.ndim)
        gamma, beta = self.modulator(seen).chunk(2, dim=1)
        return F.silu(y * (1 + gamma) + beta).to(x.dtype)


class AttentionToSet(nn.Module):
    """Single-head attention of all places to all places of a set of maps, with a skip; it starts as the skip alone.

    softmax(q k / sqrt(C)) v, with the sine-cosine of their places added to q and k. The softmax is over the places of
    all maps together. Its sums are taken map by map, so that two maps give exactly the same in either order.

    Args:
        channels: channels in and out.
        features: channels of the maps.
        step: distance of two neighbouring places, where that of two places of the maps is 1.
        dims: spatial dimensions.
    """

    def __init__(self, channels: int, features: int, *, step: float = 1.0, dims: int = 2) -> None:
        super().__init__()
        self.step = step
        self.norm = nn.GroupNorm(groups_of(channels), channels)
        self.to_query = CONVOLUTIONS[dims](channels, channels, 1)
        self.to_key_value = CONVOLUTIONS[dims](features, 2 * channels, 1)
        self.project = zeroed(CONVOLUTIONS[dims](channels, channels, 1))

    def forward(self, x: Tensor, seen: Seen) -> Tensor:
        """(B, channels, *spatial) and maps (B, features, *spatial of theirs) -> (B, channels, *spatial)."""
        query = _rows(_placed(self.to_query(self.norm(x)), self.step))  # (B, places, C)
        keys, values = zip(*(self.to_key_value(one).chunk(2, dim=1) for one in seen), strict=True)
        scores = [query @ _placed(key, 1.0).flatten(2) / math.sqrt(x.shape[1]) for key in keys]  # (B, places, theirs)
        top = reduce(torch.maximum, [score.amax(dim=2, keepdim=True) for score in scores]).detach()
        weights = [(score - top).exp() for score in scores]
        total = _sum(weight.sum(dim=2, keepdim=True) for weight in weights)
        mixed = _sum(weight @ _rows(value) for weight, value in zip(weights, values, strict=True)) / total
        return x + self.project(mixed.transpose(1, 2).reshape(x.shape))  # type: ignore[no-any-return]


def _placed(x: Tensor, step: float) -> Tensor:
    return x + sine_cosine(x.shape[2:], x.shape[1], step=step, device=x.device).to(x.dtype)


def _rows(x: Tensor) -> Tensor:
    """(B, C, *spatial) -> (B, places, C)."""
    return x.flatten(2).transpose(1, 2)


def _sum(parts: Iterable[Tensor]) -> Tensor:
    return reduce(torch.add, parts)  # one by one: of two, either order gives exactly the same


CONDITIONING: dict[str, Callable[[PredictorLayout], Conditioning]] = {
    "concatenation": Concatenation,
    "summed": Summed,
    "modulation": Modulation,
    "cross-attention": CrossAttention,
}
"""Name -> what makes a way of looking at the conditions for a predictor."""

ConditionBy = str | Callable[[PredictorLayout], Conditioning]
"""A name of :data:`CONDITIONING`, or what makes a conditioning, such as its class."""


def build_conditioning(by: ConditionBy, layout: PredictorLayout) -> Conditioning:
    """A way of looking at the conditions. Without conditions all are alike: there is nothing to see.

    Args:
        by: its name, or what makes it.
        layout: of the predictor.

    Raises:
        ValueError: there is none of that name, or it does not suit the predictor.
    """
    if layout.conditions == 0:
        return Concatenation(layout)
    if not isinstance(by, str):
        return by(layout)
    if by not in CONDITIONING:
        raise ValueError(f"condition_by must be one of {', '.join(CONDITIONING)}, not {by}")
    return CONDITIONING[by](layout)
