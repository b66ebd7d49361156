"""A network that restores as it is asked to: seen from several sides, and to a degree.

Both are networks around a network, so that all that restores (tiles, rows, files, signals) knows neither.
"""

from __future__ import annotations

import math
from typing import Annotated, TypeAlias

import torch
from torch import Tensor, nn

from noiseda.errors import UserError
from noiseda.images import enlarged
from noiseda.inference.tiling import Model, check_shape, scale_of
from noiseda.limits import Limits, limits_of
from noiseda.modalities import Modality
from noiseda.modalities.image import Images
from noiseda.restoration.base import pad_to_multiple

Strength: TypeAlias = Annotated[float, Limits(least=0, most=1.5)]
"""How far to go from the input towards what the network makes of it: 0 not at all, 1 there, up to 1.5 beyond it."""

_STATED = ("channels", "dims", "scale", "multiple_of", "minimum", "square", "white_level", "tiles", "border")
"""What a network states of itself, and one around it states too."""


def adjusted(model: Model, *, self_ensemble: bool, strength: float, modality: Modality | None = None) -> Model:
    """The network that restores so; the very one that was given where nothing is asked of it.

    Args:
        model: network (B, C, *spatial) -> (B, C, *spatial * scale), values in [0, 1].
        self_ensemble: mean over all ways to turn what is restored, as :class:`Ensemble`.
        strength: 0..1.5, as :class:`Blended`.
        modality: what is restored; images by default.

    Raises:
        UserError: a strength that is none, or a modality that cannot be turned.
    """
    check_strength(strength)
    if self_ensemble:
        model = Ensemble(model, modality or Images())
    return model if strength == 1 else Blended(model, strength)


def check_strength(strength: object) -> None:
    """Raise a UserError that names the flag, unless this is a strength."""
    if not isinstance(strength, int | float):
        raise UserError(f"--strength must be a number, not {strength!r}")
    for limit in limits_of(Strength):
        if isinstance(limit, Limits) and (refusal := limit.refusal(strength)) is not None:
            raise UserError(f"--strength {refusal}")


class _Around(nn.Module):
    """A network around another one, of which it states the same.

    Args:
        model: the other one, or anything that computes what one would.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.inner: Model = model
        for name in _STATED:
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))

    def restored(self, images: Tensor) -> Tensor:
        """What the other one makes of a batch, float32."""
        found = self.inner(images)
        check_shape(images, found, scale_of(self.inner))
        return found.float()


class Ensemble(_Around):
    """The mean of what a network makes of a signal turned in each way that its kind has, turned back (self-ensemble).

    ``out = 1/n sum_k T_k^-1 G(T_k x)``; for images the eight turns and flips of a square. One way is computed at a
    time, so that it takes n times as long and hardly more memory. A signal is padded to a multiple of the network's
    stride before it is turned: each way then halves at the same pixels, in tiles as in the whole image.

    After Lim et al. 2017, arXiv 1707.02921 (EDSR+).

    Args:
        model: the network.
        modality: of what is restored.

    Raises:
        UserError: there is one way alone, or what is turned does not come back.
    """

    def __init__(self, model: Model, modality: Modality) -> None:
        super().__init__(model)
        self.modality, self.ways = modality, modality.symmetries()
        self._check()

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, *spatial) in [0, 1] -> (B, C, *spatial * scale), float32."""
        scale = scale_of(self.inner)
        padded = pad_to_multiple(images, int(getattr(self.inner, "multiple_of", 1)))
        total: Tensor | None = None
        for way in range(self.ways):
            seen = torch.stack([self.modality.turned(one, way) for one in padded])
            if seen.ndim == 4:  # as the image itself comes: how it lies in memory decides which kernels compute it
                seen = seen.contiguous(memory_format=torch.channels_last)
            found = self.restored(seen)
            back = torch.stack([self.modality.turned_back(one, way) for one in found])
            total = back if total is None else total.add_(back)
        assert total is not None
        kept = (slice(None), slice(None), *(slice(side * scale) for side in images.shape[2:]))
        return total[kept] / self.ways

    def _check(self) -> None:
        kind = self.modality
        if self.ways < 2:
            raise UserError(f"--self-ensemble needs ways to turn what is restored, and a {kind.name} has none")
        channels, sides = int(getattr(self.inner, "channels", 1)), (5, 3, 4)[: kind.dims]
        probe = torch.linspace(0, 1, channels * math.prod(sides)).reshape(channels, *sides)
        for way in range(self.ways):
            back = kind.turned_back(kind.turned(probe, way), way)
            if back.shape != probe.shape or not torch.allclose(back, probe, atol=1e-6):
                raise UserError(
                    f"--self-ensemble needs what is turned to come back, and turned_back of {type(kind).__name__} does "
                    f"not undo its turned({way})"
                )


class Blended(_Around):
    """A network's output, taken to a degree: ``out = x + strength (G(x) - x)``.

    A strength of 0 is the input, 1 the network's output, and more goes beyond it, in the direction in which the network
    went. Nothing is clipped here. With a network for super-resolution, x is the input enlarged by bicubic
    interpolation.

    Args:
        model: the network.
        strength: 0..1.5.
    """

    def __init__(self, model: Model, strength: float) -> None:
        super().__init__(model)
        self.strength = strength

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, *spatial) in [0, 1] -> (B, C, *spatial * scale), float32.

        Raises:
            UserError: the network enlarges, and no images.
        """
        scale = scale_of(self.inner)
        if scale > 1 and images.ndim != 4:
            raise UserError("--strength is for images alone where the network enlarges what it restores")
        return torch.lerp(enlarged(images, scale).float(), self.restored(images), self.strength)
