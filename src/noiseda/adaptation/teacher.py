"""A teacher: a moving average of the restorer that labels real images (Tarvainen and Valpola, arXiv 1703.01780)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from noiseda.orientations import turn, turn_back
from noiseda.restoration import Restorer


class Teacher(nn.Module):
    """A network whose weights follow a restorer's, averaged over its steps; it receives no gradient.

    The decay rises as (1 + n) / (10 + n) over the first steps n until it reaches its value, so that the start is soon
    forgotten. Weights and n are part of the state, so that a run that is continued goes on as it would have.

    Args:
        restorer: the network to follow; the teacher starts as its copy.
        decay: share of the average that is kept each step, in [0, 1).
        views: orientations of an image that the teacher restores and averages (self-ensemble; Lim et al.,
            arXiv 1707.02921): 1, 2 (mirrored), 4 (and upside down) or 8 (and transposed).
    """

    steps: Tensor

    def __init__(self, restorer: Restorer, *, decay: float, views: int = 1) -> None:
        super().__init__()
        self.network = _copied(restorer).eval()
        self.decay = decay
        self.views = views
        self.register_buffer("steps", torch.zeros(()))

    def train(self, mode: bool = True) -> Teacher:
        """The teacher is never in training mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Restore signals; (B, C, *spatial) -> the same, float32, clamped to [0, 1]."""
        restored = [turn_back(self.network(turn(images, view)).float(), view) for view in range(self.views)]
        return torch.stack(restored).mean(dim=0).clamp(0, 1)

    @torch.no_grad()
    def follow(self, restorer: Restorer) -> None:
        """Move towards the restorer: w <- d w + (1 - d) w_restorer, d = min(decay, (1 + n) / (10 + n))."""
        share = 1 - ((1 + self.steps) / (10 + self.steps)).clamp(max=self.decay)
        own: list[Tensor] = list(self.network.parameters())
        away = torch._foreach_sub(list(restorer.parameters()), own)
        torch._foreach_mul_(away, share)
        torch._foreach_add_(own, away)
        for kept, new in zip(self.network.buffers(), restorer.buffers(), strict=True):
            kept.copy_(new)
        self.steps += 1


def _copied(network: Restorer) -> Restorer:
    """A copy whose weights take no gradient; also where tensors have no memory, whose own copies belong to no mode."""
    kept: dict[int, Tensor] = {id(buffer): buffer.clone() for buffer in network.buffers()}
    for weight in network.parameters():
        kept[id(weight)] = nn.Parameter(weight.detach().clone(), requires_grad=False)
    return copy.deepcopy(network, kept)
