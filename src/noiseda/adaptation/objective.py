"""What every way of training a restorer has in common: one batch and its random draws in, errors and their weights out.

An objective of one's own is one class: :meth:`Objective.forward` measures a batch, :meth:`Objective.weights` says how
much each error counts. Averaging, weighting and logging are done once, by :func:`weigh`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
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
        restored_syn: (B, C, *spatial), detached, to look at, where the objective restores synthetic signals.
        restored_real: the same for the real ones.

    Raises:
        ValueError: an error is not of shape (B,).
    """

    errors: dict[str, Tensor]
    restored_syn: Tensor | None = None
    restored_real: Tensor | None = None

    def __post_init__(self) -> None:
        """Refuse what is no error of each sample.

        Raises:
            ValueError: naming the error, and its shape.
        """
        for name, error in self.errors.items():
            if error.ndim != 1:
                raise ValueError(
                    f"{name} must be one error for each sample, (B,), not of shape {tuple(error.shape)}: "
                    "average over all other axes, as error.flatten(1).mean(dim=1) does"
                )


@dataclass(frozen=True)
class Sum:
    """Several errors weighted and added, which count as one.

    Attributes:
        weight: of the sum.
        parts: the errors in it, by name, each with a weight, or sums of others.
    """

    weight: float
    parts: Weights


Weights = Mapping[str, "float | Sum"]
"""How much each error counts in the loss. An error that is not named is measured and logged, and counts nothing."""


class Objective(nn.Module, ABC, Generic[Draws]):
    """A way of training a restorer.

    ``forward`` is all that the training loop wraps. Whatever modules it has beside ``restorer`` are thrown away after
    training.

    Attributes:
        restorer: the network that is trained, and all that is shipped.
        wants_real: whether batches must bring real signals.
        wants_reference: whether batches must bring unpaired clean ones.
        by_sample: whether ``forward`` measures each sample by itself and changes nothing, and ``losses`` are means, so
            that parts of a batch may be measured at the same time. A class that has its own of either says so itself.
    """

    restorer: Restorer
    wants_real: bool = False
    wants_reference: bool = False
    by_sample: bool = False

    def __init_subclass__(cls) -> None:
        """A class with a ``forward`` or ``losses`` of its own must say of them itself that they are ``by_sample``."""
        super().__init_subclass__()
        if not {"forward", "losses"}.isdisjoint(vars(cls)) and "by_sample" not in vars(cls):
            cls.by_sample = False

    @property
    def real_from(self) -> float:
        """Share of the run after which the real signals are learnt from; before, synthetic pairs alone are."""
        return 0.0

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> Draws:
        """Draw all random numbers of one step: nothing, unless an objective says otherwise.

        Others draw ahead of the training process, with an objective as it was when the run began. So what depends on
        how far the run is (``Batch.progress``) or on what was learnt is made of these numbers in :meth:`forward`.

        Args:
            y_syn: (B, C, *spatial) targets.
            generator: source of every draw.

        Returns:
            A dataclass of tensors of (B, ...), or None.
        """
        return None  # type: ignore[return-value]

    @abstractmethod
    def forward(self, batch: Batch, draws: Draws) -> Terms:
        """Restore a batch and measure it."""

    @abstractmethod
    def weights(self, progress: float) -> Weights:
        """How much each error of :meth:`forward` counts.

        Args:
            progress: share of the run that is done, in [0, 1].
        """

    def losses(self, terms: Terms, progress: float) -> dict[str, Tensor]:
        """The scalars of a batch, ``loss`` among them: its errors averaged and weighed (:func:`weigh`).

        Args:
            terms: what ``forward`` returned.
            progress: share of the run that is done, in [0, 1].
        """
        return weigh(terms, self.weights(progress))

    def after_step(self, progress: float) -> None:
        """What is done after each move of the weights, such as letting a teacher follow; nothing by default.

        Whatever it changes must lie in the objective's buffers, so that a run that is continued has it.

        Args:
            progress: share of the run that was done before the step.
        """

    def networks(self) -> list[nn.Module]:
        """The restorer and whatever else is trained or asked, each once: what may be compiled or spread."""
        return list(self.children())

    def recompute(self, wanted: bool) -> None:
        """Keep fewer activations for the backward pass and compute them anew there, in networks that can."""
        for network in self.networks():
            for module in network.modules():
                if isinstance(getattr(module, "recompute", None), bool):
                    module.recompute = wanted  # type: ignore[assignment]


def weigh(terms: Terms, weights: Weights) -> dict[str, Tensor]:
    """Average the errors of a batch, and add them up as an objective weighs them.

    Args:
        terms: what an objective's ``forward`` returned.
        weights: what its ``weights`` returned.

    Returns:
        Scalars: ``loss``, the one to minimise; the mean of every error, and the value of every sum, by name.

    Raises:
        KeyError: a weight is of an error that was not measured.

    >>> terms = Terms({"restoration": torch.ones(2), "noise": torch.full((2,), 3.0)})
    >>> weigh(terms, {"restoration": 1.0, "diffusion": Sum(0.5, {"noise": 2.0})})["loss"].item()
    4.0
    """
    values = {name: error.mean() for name, error in terms.errors.items()}
    return {"loss": _total(values, weights), **values}


def _total(values: dict[str, Tensor], weights: Weights) -> Tensor:
    """The weighted sum; sums within are noted among the values."""
    total: Tensor | None = None
    for name, weight in weights.items():
        if isinstance(weight, Sum):
            values[name] = _total(values, weight.parts)
            weight = weight.weight
        if name not in values:
            raise KeyError(f"{name} has a weight, and was not measured: forward returned {', '.join(values)}")
        value = values[name] if weight == 1.0 else weight * values[name]
        total = value if total is None else total + value
    if total is None:
        raise ValueError("an objective must weigh at least one error")
    return total


def charbonnier(restored: Tensor, target: Tensor) -> Tensor:
    """Charbonnier error, mean sqrt((target - restored)^2 + 1e-6), signal by signal.

    Args:
        restored: (B, C, *spatial).
        target: the same shape.

    Returns:
        (B,), at least 1e-3.
    """
    return ((target - restored).square() + 1e-6).sqrt().flatten(1).mean(dim=1)


def decibels(restored: Tensor, target: Tensor) -> Tensor:
    """PSNR as an error, signal by signal: 0.03 log10(MSE + 2e-6), that is -0.003 of each dB up to 57.

    Charbonnier's best answer to what cannot be known is a median, this one's a mean: of a faint streak that may be one
    it takes a part away. Near 30 dB its gradient is about as long as Charbonnier's.

    Source: the loss of NAFNet (Chen et al., ECCV 2022), -PSNR.

    Args:
        restored: (B, C, *spatial).
        target: the same shape.

    Returns:
        (B,), negative where the mean squared error is below 1.

    >>> decibels(torch.full((1, 1, 2, 2), 0.1), torch.zeros(1, 1, 2, 2))
    tensor([-0.0600])
    """
    return 0.03 * ((target - restored).square().flatten(1).mean(dim=1) + 2e-6).log10()


Distance = Callable[[Tensor, Tensor], Tensor]
"""Restored and target, (B, C, *spatial) -> the error of each sample, (B,)."""

DISTANCES: dict[str, Distance] = {"charbonnier": charbonnier, "psnr": decibels}
"""What ``--loss`` may name."""


def detached(images: Tensor | None) -> Tensor | None:
    """Images to look at, where there are any."""
    return None if images is None else images.detach()
