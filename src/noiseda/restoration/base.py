"""The contract that every restoration network keeps: degraded signal -> restored signal."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.precision import FULL

Own = TypeVar("Own", bound="Restorer")


class Restorer(nn.Module, ABC):
    """A network that restores images, or signals of another rank.

    It takes values in [0, 1] and returns such; they may lie slightly outside and are clamped where they are stored. It
    knows no loss, device or schedule. Any height and width are taken: the image is padded inside to what the network
    asks for, by reflection, and cropped after.

    Attributes:
        channels: of images, 1 (grey) or 3 (RGB).
        dims: spatial dimensions: 2 for images.
        scale: how many times as high and wide the restored image is: 1, or more for super-resolution.
        multiple_of: height and width are padded to a multiple of this.
        minimum: and to this at least.
        square: and to one another.
        reentrant: whether several threads may restore with it at once: a pass changes nothing of it, and draws nothing.
        chooses: whether it chooses among what is nearly alike, such as the blocks most similar to one. Another program
            that rounds otherwise may choose otherwise, and differ at some pixels by more than rounding.
        separate_batch_norm: whether it normalises over its batch while it learns, so that images of two domains must
            not share one (:meth:`passes`).
        tiles: side and overlap of the tiles in which it restores a large image much faster than as a whole; None where
            it does not.
        architecture: the name by which its weights file is read again.
        arguments: the keyword arguments that rebuild it; none where its weights show its shape.
        white_level: the value in files of 16 bits that became 1 in the images it learnt from. What restores images with
            it divides those by it that have none above it, and multiplies by it again.
        border: pixels by which what restores images with it extends them beforehand on each side, by repeating their
            outermost ones. It suits networks whose convolutions would find zeros there. It is rounded up to a multiple
            of ``multiple_of``; where that is more than 16, nothing is added. A network that judges how strong noise is
            has none: repeated pixels have no noise across the border.
    """

    channels: int
    multiple_of: int
    dims: int = 2
    scale: int = 1
    minimum: int = 1
    square: bool = False
    reentrant: bool = False
    chooses: bool = False
    separate_batch_norm: bool = False
    tiles: tuple[int, int] | None = None
    architecture: str = ""
    arguments: Mapping[str, object] = {}
    white_level: int = FULL
    border: int = 0

    @abstractmethod
    def restore(self, images: Tensor) -> Tensor:
        """Restore images whose sides are what the network asks for; (B, C, *spatial) -> (B, C, *spatial * scale)."""

    @property
    def features(self) -> nn.Module:
        """The module whose output, (B, K, h, w), stands for what the network makes of an image: its deepest stage.

        Strategies compare this output between domains. It runs once in each pass, and nothing changes its output in
        place afterwards; h and w are the sides of the padded image, divided by one whole number.

        Raises:
            TypeError: where a network names none.
        """
        raise TypeError(f"{type(self).__name__} names no module whose output could serve as its features")

    def tensors(self) -> dict[str, Tensor]:
        """The weights by the names that they have in files."""
        return self.state_dict()

    def forward(self, images: Tensor) -> Tensor:
        """Restore degraded images.

        Args:
            images: (B, C, *spatial), values in [0, 1], C = ``channels``, any sides of at least 1.

        Returns:
            (B, C, *spatial * scale): the restored images.

        Raises:
            ValueError: when the number of dimensions or of channels is another.
        """
        if images.ndim != 2 + self.dims or images.shape[1] != self.channels:
            axes = {1: "W", 2: "H, W", 3: "D, H, W"}[self.dims]
            raise ValueError(f"expected images of shape (B, {self.channels}, {axes}), not {tuple(images.shape)}")
        sides = tuple(images.shape[2:])
        restored = self.restore(pad_to(images, self.padded(*sides)))
        return restored[(slice(None), slice(None), *(slice(side * self.scale) for side in sides))]

    def padded(self, *sides: int) -> tuple[int, ...]:
        """The size to which an image is padded inside."""
        least = max(self.minimum, max(sides) if self.square else 1)
        return tuple(math.ceil(max(side, least) / self.multiple_of) * self.multiple_of for side in sides)

    def passes(self, *batches: Tensor) -> tuple[Tensor, ...]:
        """Batches of several domains as those to run: one of all, or each by itself where the network asks for it."""
        return batches if self.separate_batch_norm else (torch.cat(batches),)

    def restore_jointly(self, *batches: Tensor) -> tuple[Tensor, ...]:
        """Restore batches of several domains, (B, C, *spatial) each, float32 -> as many."""
        restored = torch.cat([self(images) for images in self.passes(*batches)]).float()
        return torch.split(restored, [len(images) for images in batches])


def filled(network: Own, state: Mapping[str, Tensor]) -> Own | None:
    """A network without weights given those of a state; None where these are not of its names and shapes.

    Args:
        network: from its ``outline``.
        state: weights by name, taken over as they are.
    """
    wanted = {name: weight.shape for name, weight in network.state_dict().items()}
    if wanted != {name: weight.shape for name, weight in state.items()}:
        return None
    network.load_state_dict(state, assign=True)
    return network


def pad_to(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Pad images at the right and at the bottom to a height and a width; other signals at the end of each side.

    Reflects as far as the image reaches, then repeats the border (an image of one pixel cannot be reflected).

    >>> import torch
    >>> pad_to(torch.zeros(1, 3, 1, 13), (8, 16)).shape
    torch.Size([1, 3, 8, 16])
    """
    sides = images.shape[-len(size) :]
    missing = [wanted - side for wanted, side in zip(size, sides, strict=True)]
    if not any(missing):
        return images
    mirrored = [min(more, side - 1) for more, side in zip(missing, sides, strict=True)]
    repeated = [more - less for more, less in zip(missing, mirrored, strict=True)]
    images = F.pad(images, _at_ends(mirrored), mode="reflect")
    return F.pad(images, _at_ends(repeated), mode="replicate")


def _at_ends(more: list[int]) -> list[int]:
    """How much to pad each side with, as torch wants it: the last side first, before and after."""
    return [amount for side in reversed(more) for amount in (0, side)]


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Pad images, as :func:`pad_to`, until both sides are multiples of a number.

    >>> import torch
    >>> pad_to_multiple(torch.zeros(1, 3, 1, 13), 8).shape
    torch.Size([1, 3, 8, 16])
    """
    return pad_to(images, tuple(side + -side % multiple for side in images.shape[2:]))
