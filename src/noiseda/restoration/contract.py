"""The contract that every restoration network keeps: image -> image."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.precision import FULL


class Restorer(nn.Module, ABC):
    """A network that restores images.

    It takes images in [0, 1] and returns images of the same shape; values may lie slightly outside [0, 1] and are
    clamped where they are stored. It knows no loss, device or schedule. Any height and width are taken: the image is
    padded inside to what the network asks for, by reflection, and cropped after.

    Attributes:
        channels: 1 (grey) or 3 (RGB).
        stride: height and width are padded to a multiple of this.
        smallest: and to this at least.
        square: and to one another.
        separate: whether it normalises over its batch while it learns, so that images of two domains must not share
            one (:meth:`passes`).
        tiles: side and overlap of the tiles in which it restores a large image much faster than as a whole; None where
            it does not.
        architecture: the name by which its weights file is read again.
        arguments: the keyword arguments that rebuild it; none where its weights tell its shape.
        white_level: the value in files of 16 bits that became 1 in the images it learnt from. What restores images with
            it divides those by it that have none above it, and multiplies by it again.
    """

    channels: int
    stride: int
    smallest: int = 1
    square: bool = False
    separate: bool = False
    tiles: tuple[int, int] | None = None
    architecture: str = ""
    arguments: Mapping[str, object] = {}
    white_level: int = FULL

    @abstractmethod
    def restore(self, images: Tensor) -> Tensor:
        """Restore images whose sides are what the network asks for; (B, C, H, W) -> (B, C, H, W)."""

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
            images: (B, C, H, W), values in [0, 1], C = ``channels``, any H and W of at least 1.

        Returns:
            (B, C, H, W): the restored images.

        Raises:
            ValueError: when the number of dimensions or of channels is another.
        """
        if images.ndim != 4 or images.shape[1] != self.channels:
            raise ValueError(f"expected images of shape (B, {self.channels}, H, W), not {tuple(images.shape)}")
        height, width = images.shape[-2:]
        padded = pad_to(images, self.padded(height, width))
        return self.restore(padded)[..., :height, :width]

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """The size to which an image is padded inside."""
        least = max(self.smallest, max(height, width) if self.square else 1)
        down, right = (math.ceil(max(side, least) / self.stride) * self.stride for side in (height, width))
        return down, right

    def passes(self, *batches: Tensor) -> tuple[Tensor, ...]:
        """Batches of several domains as those to run: one of all, or each by itself where the network asks for it."""
        return batches if self.separate else (torch.cat(batches),)

    def together(self, *batches: Tensor) -> tuple[Tensor, ...]:
        """Restore batches of several domains, (B, C, H, W) each, float32 -> as many."""
        restored = torch.cat([self(images) for images in self.passes(*batches)]).float()
        return torch.split(restored, [len(images) for images in batches])


def pad_to(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Pad images at the right and at the bottom to a height and a width.

    Reflects as far as the image reaches, then repeats the border (an image of one pixel cannot be reflected).

    >>> import torch
    >>> pad_to(torch.zeros(1, 3, 1, 13), (8, 16)).shape
    torch.Size([1, 3, 8, 16])
    """
    height, width = images.shape[-2:]
    down, right = size[0] - height, size[1] - width
    if not down and not right:
        return images
    mirrored = min(right, width - 1), min(down, height - 1)
    images = F.pad(images, (0, mirrored[0], 0, mirrored[1]), mode="reflect")
    return F.pad(images, (0, right - mirrored[0], 0, down - mirrored[1]), mode="replicate")


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Pad images, as :func:`pad_to`, until both sides are multiples of a number.

    >>> import torch
    >>> pad_to_multiple(torch.zeros(1, 3, 1, 13), 8).shape
    torch.Size([1, 3, 8, 16])
    """
    height, width = images.shape[-2:]
    return pad_to(images, (height + -height % multiple, width + -width % multiple))
