"""The contract that every restoration network keeps: image -> image."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn


class Restorer(nn.Module, ABC):
    """A network that restores images.

    It takes images in [0, 1] and returns images of the same shape; values may lie slightly outside [0, 1] and are
    clamped where they are stored. It knows no loss, device or schedule. Any height and width are taken: the image is
    reflect-padded to a multiple of ``stride`` inside and cropped after.

    Attributes:
        channels: 1 (grey) or 3 (RGB).
        stride: height and width are padded to a multiple of this.
    """

    channels: int
    stride: int

    @abstractmethod
    def restore(self, images: Tensor) -> Tensor:
        """Restore images whose sides are multiples of ``stride``; (B, C, H, W) -> (B, C, H, W)."""

    @property
    def features(self) -> nn.Module:
        """The module whose output, (B, K, h, w), stands for what the network makes of an image: its deepest stage.

        Strategies compare this output between domains. It runs once in each pass, and nothing changes its output in
        place afterwards; h and w are the sides of the padded image, divided by one whole number.

        Raises:
            TypeError: where a network names none.
        """
        raise TypeError(f"{type(self).__name__} names no module whose output could serve as its features")

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
        padded = pad_to_multiple(images, self.stride)
        return self.restore(padded)[..., :height, :width]


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Pad images at the right and at the bottom until both sides are multiples of a number.

    Reflects while the image is large enough, then repeats the border (an image of one pixel cannot be reflected).

    >>> import torch
    >>> pad_to_multiple(torch.zeros(1, 3, 1, 13), 8).shape
    torch.Size([1, 3, 8, 16])
    """
    height, width = images.shape[-2:]
    down, right = -height % multiple, -width % multiple
    if not down and not right:
        return images
    mode = "reflect" if down < height and right < width else "replicate"
    return F.pad(images, (0, right, 0, down), mode=mode)
