"""How a clean photograph becomes a synthetic input: one contract, one table of degradations.

A degradation maps an image (C, H, W) in [0, 1] to one of the same shape. It draws everything, its own strength
included, from the generator it is given, so that the same state of the generator gives the same image bit for bit.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from noiseda.data.blur import CameraShake, Defocus, FrameAverage
from noiseda.data.camera import Camera, Shrunk
from noiseda.data.compression import Jpeg
from noiseda.data.noise import PoissonGaussian, Shot, White
from noiseda.data.phone import Phone
from noiseda.data.rain import Drops, Rain, Streaks
from noiseda.data.sampling import Range, integer
from noiseda.errors import UserError
from noiseda.tasks import MATCHED, TASKS
from noiseda.tasks import TaskName as Task


class Degradation(Protocol):
    """What clean photographs go through to become synthetic inputs."""

    @property
    def margin(self) -> int:
        """Pixels of context needed on each side: the caller passes a patch enlarged by it and crops it off after."""
        ...

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image.

        Args:
            clean: (C, H, W) in [0, 1], float32, C = 1 or 3.
            generator: CPU generator of every draw.

        Returns:
            The degraded image (C, H, W), float32; ``clean`` is left as it is.
        """
        ...


Degrade = Callable[[Tensor, torch.Generator], Tensor]
"""A degradation, or a function of one's own that is called like one; without an attribute ``margin`` it needs none."""

Prepare = Callable[[Tensor, torch.Generator], Tensor]
"""What makes of a clean image, of any size, the target that a degradation is for; for instance as soft as the user's
photographs. A degradation that has an attribute ``prepare``, not None, asks for it."""


def prepared(degrade: Degrade, clean: Tensor, generator: torch.Generator) -> Tensor:
    """What a degradation wants of a clean image before it is degraded: mostly the image itself.

    Args:
        degrade: the degradation.
        clean: (C, H, W) in [0, 1].
        generator: of every draw; untouched where nothing is done.

    Returns:
        (C, H, W) in [0, 1]: the target, and what is to be degraded.
    """
    prepare: Prepare | None = getattr(degrade, "prepare", None)
    return clean if prepare is None else prepare(clean, generator)


def degraded(degrade: Degrade, clean: Tensor, generator: torch.Generator) -> Tensor:
    """An image, degraded; and checked, since a function of one's own may give anything.

    Args:
        degrade: what it goes through.
        clean: (C, H, W) in [0, 1].
        generator: of every draw.

    Raises:
        UserError: what came is no image of the same size; names the degradation and both sizes.
    """
    found: object = degrade(clean, generator)
    if isinstance(found, Tensor) and found.shape == clean.shape:
        return found
    came = f"an image {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
    name = getattr(degrade, "__name__", type(degrade).__name__)
    raise UserError(
        f"the degradation {name} made {came} of an image (C, H, W) of {tuple(clean.shape)}: it must return a tensor of "
        "the same size"
    )


DEGRADATIONS: dict[str, Callable[..., Degradation]] = {
    "white": White,
    "poisson-gaussian": PoissonGaussian,
    "shot": Shot,
    "camera": Camera,
    "shrunk": Shrunk,
    "phone": Phone,
    "rain": Rain,
    "streaks": Streaks,
    "drops": Drops,
    "camera-shake": CameraShake,
    "defocus": Defocus,
    "frame-average": FrameAverage,
    "jpeg": Jpeg,
}
"""Every degradation by name; each class takes its settings, ``strength`` among them, by keyword."""

COMPRESSED = ("camera", "phone")
"""Those that end in a JPEG."""


@dataclass(frozen=True)
class Mixture:
    """One of several degradations for each image.

    Attributes:
        parts: the degradations, at least one, each as likely as the others; one that is named three times is three
            times as likely.
    """

    parts: tuple[Degradation, ...]

    @property
    def margin(self) -> int:
        """The largest of theirs."""
        return max(part.margin for part in self.parts)

    @property
    def prepare(self) -> Prepare | None:
        """What one of the parts, drawn anew, wants of clean images; None where none wants anything."""
        return self._prepare if any(getattr(part, "prepare", None) is not None for part in self.parts) else None

    def _prepare(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        return prepared(self.parts[integer(0, len(self.parts) - 1, generator)], clean, generator)

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        return self.parts[integer(0, len(self.parts) - 1, generator)](clean, generator)


def without_colour(image: Tensor) -> Tensor:
    """The brightness of an image (C, H, W), C = 1 or 3, in all of its channels (BT.601)."""
    if len(image) == 1:
        return image
    weights = torch.tensor([0.299, 0.587, 0.114]).to(image)
    brightness: Tensor = torch.tensordot(weights, image, dims=1)
    return brightness.expand_as(image).contiguous()


@dataclass(frozen=True)
class Grey:
    """A degradation of grey photographs: clean ones lose their colour first, and noise has none.

    Attributes:
        of: what is done to them, as to images of one channel.
    """

    of: Degradation

    @property
    def margin(self) -> int:
        """That of what is done."""
        return self.of.margin

    def prepare(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """What is to be degraded, (C, H, W), without colour."""
        return without_colour(prepared(self.of, clean, generator))

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]; of one that has colour, its brightness."""
        return self.of(without_colour(clean)[:1].contiguous(), generator).expand_as(clean).contiguous()


def degradation(
    task: Task,
    kind: str | None = None,
    strength: Range | None = None,
    *,
    matched: Degradation | None = None,
    jpeg: bool = True,
) -> Degradation:
    """The degradation that the settings ask for.

    >>> degradation("denoise", "white")
    White(strength=(0.0, 75.0), clip=False)
    >>> [type(part).__name__ for part in degradation("denoise").parts]
    ['White', 'Camera']

    Args:
        task: denoise, derain, deblur or dejpeg.
        kind: a name in the task's row of :data:`noiseda.tasks.TASKS`, or several joined by + for a mixture,
            ``white+3*matched`` where one is to be drawn more often; None for the task's usual one.
        strength: range of its strength in its own unit; None for its own default, which mixtures always have.
        matched: what ``matched`` stands for.
        jpeg: whether cameras compress: files of more than 8 bits were not.

    Raises:
        UserError: where a kind is unknown, named twice or belongs to another task, the range is not one, a mixture
            is given a strength, or there are no photographs to be matched.
    """
    shares = kinds(task, kind)
    if len(shares) == 1:
        return _single(task, next(iter(shares)), strength, matched, jpeg)
    if strength is not None:
        raise UserError(
            "--degradation.strength is in each degradation's own unit: it cannot be given for the mixture "
            f"{'+'.join(shares)}, but for one of them (--degradation.kind {next(iter(shares))})"
        )
    parts = {name: _single(task, name, None, matched, jpeg) for name in shares}
    return Mixture(tuple(parts[name] for name, share in shares.items() for _ in range(share)))


def kinds(task: Task, kind: str | None) -> dict[str, int]:
    """The names of the degradations that a kind stands for, and how often each is drawn beside the others.

    >>> kinds("denoise", "white+3*matched")
    {'white': 1, 'matched': 3}

    Raises:
        UserError: where one is named twice, or its share is not a whole number from 1 to 100.
    """
    text = TASKS[task].usual if kind is None else kind
    shares: dict[str, int] = {}
    for part in text.split("+"):
        share, _, name = part.rpartition("*")
        if name in shares:
            raise UserError(f"--degradation.kind names each degradation of a mixture once, not {kind!r}")
        if share and not (share.isdecimal() and 1 <= int(share) <= 100):
            raise UserError(
                f"--degradation.kind {kind!r}: what stands before * says how often {name} is drawn, a whole number "
                f"from 1 to 100, not {share!r}"
            )
        shares[name] = int(share or 1)
    return shares


def uncompressed(name: str) -> dict[str, Any]:
    """The setting that keeps a degradation's JPEG out, where it has one.

    >>> uncompressed("camera"), uncompressed("white")
    ({'quality': None}, {})
    """
    return {"quality": None} if name in COMPRESSED else {}


def _single(task: Task, name: str, strength: Range | None, matched: Degradation | None, jpeg: bool) -> Degradation:
    allowed = TASKS[task].degradations
    if name not in allowed:
        nearest = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise UserError(f"--degradation.kind for --task {task} must be one of {', '.join(allowed)}, not {name!r}{hint}")
    if name == MATCHED:
        if strength is not None:
            raise UserError("--degradation.strength cannot be given for matched, which finds it from the photographs")
        if matched is None:
            raise UserError("--degradation.kind matched needs real photographs to be matched, which there are none of")
        return matched
    settings: dict[str, Any] = {} if strength is None else {"strength": strength}
    return DEGRADATIONS[name](**settings, **({} if jpeg else uncompressed(name)))
