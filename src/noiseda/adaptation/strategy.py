"""What every way of training a restorer has in common, so that they stand as equals beside one another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from noiseda.data.batches import Batch
from noiseda.restoration import Restorer

Draws = TypeVar("Draws")


@dataclass(frozen=True)
class Terms:
    """The errors of one batch, one value a sample, before they are averaged, weighted and logged.

    Attributes:
        errors: name -> (B,).
        restored_syn: (B, C, H, W), detached, to look at, where the strategy restores synthetic images.
        restored_real: the same for the real images.
    """

    errors: dict[str, Tensor]
    restored_syn: Tensor | None = None
    restored_real: Tensor | None = None


class Strategy(nn.Module, ABC, Generic[Draws]):
    """A way of training a restorer: one batch and its random draws in, errors and a loss out.

    ``forward`` is all that the training engine wraps. Whatever modules it has beside ``restorer`` are thrown away
    after training.

    Attributes:
        restorer: the network that is trained, and all that is shipped.
        wants_real: whether batches must bring real images.
        wants_reference: whether batches must bring unpaired clean images.
    """

    restorer: Restorer
    wants_real: bool = False
    wants_reference: bool = False

    @property
    def begins(self) -> float:
        """Share of the run after which the real images are learnt from; before, synthetic pairs alone are."""
        return 0.0

    def see(self, levels: float) -> None:
        """Told before the first step how many steps from black to white real files have; for what measures noise."""

    def at(self, progress: float) -> None:
        """Told before each step what share of the run is done, in [0, 1]; of use to what begins late."""

    @abstractmethod
    def draw(self, y_syn: Tensor, generator: torch.Generator) -> Draws:
        """Draw all random numbers of one step, for targets of (B, C, H, W)."""

    @abstractmethod
    def forward(self, batch: Batch, draws: Draws) -> Terms:
        """Restore a batch and measure it."""

    def recompute(self, wanted: bool) -> None:
        """Keep fewer activations for the backward pass and compute them anew there, in networks that can."""
        for network in self.children():
            for module in network.modules():
                if isinstance(getattr(module, "recompute", None), bool):
                    module.recompute = wanted  # type: ignore[assignment]

    def after_step(self) -> None:
        """What is done after each move of the weights, such as letting a teacher follow; nothing by default.

        Whatever it changes must lie in the strategy's buffers, so that a run that is continued has it.
        """

    @abstractmethod
    def losses(self, terms: Terms, progress: float) -> dict[str, Tensor]:
        """Average and weight the errors.

        Args:
            terms: what ``forward`` returned.
            progress: share of the run that is done, in [0, 1].

        Returns:
            Scalars by name; ``loss`` is the one to minimise.
        """


def charbonnier(restored: Tensor, target: Tensor) -> Tensor:
    """Charbonnier error, mean sqrt((target - restored)^2 + 1e-6), image by image.

    Args:
        restored: (B, C, H, W).
        target: (B, C, H, W).

    Returns:
        (B,), at least 1e-3.
    """
    return ((target - restored).square() + 1e-6).sqrt().flatten(1).mean(dim=1)


def detached(images: Tensor | None) -> Tensor | None:
    """Images to look at, where there are any."""
    return None if images is None else images.detach()


def mean_of_all(value: Tensor) -> Tensor:
    """The mean of a value over all processes that train together; the value itself where there is one alone."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()
