"""Exponential moving average of a network: what is validated and shipped."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class MovingAverage:
    """A network whose parameters follow another's, averaged over its steps; buffers are copied.

    The decay rises as (1 + n) / (10 + n) over the first steps n until it reaches its value, so that the random start is
    soon forgotten.

    Args:
        network: the network to follow.
        decay: share of the average that is kept each step, in [0, 1).

    Attributes:
        network: the averaged copy, in evaluation mode.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Follow the network after its step number ``step`` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averaged: list[Tensor] = list(self.network.parameters())
        current: list[Tensor] = list(network.parameters())
        torch._foreach_lerp_(averaged, current, 1 - decay)
        for kept, new in zip(self.network.buffers(), network.buffers(), strict=True):
            kept.copy_(new)
