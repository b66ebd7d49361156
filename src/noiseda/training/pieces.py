"""A training step on CPUs in pieces of its batch, each measured by one core from its first layer to its last.

Cores that share each convolution wait for one another after every layer, and where another process takes one of them,
all wait for it. A core with a piece of its own waits once a step. Which samples are a piece depends on their number and
size alone, and gradients are added in the order of the pieces: up to as many cores as pieces, the weights do not depend
on how many there are. More cores share the pieces evenly, and change the weights by rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from noiseda.adaptation import Objective, Terms
from noiseda.training.steps import Step, part

PIXELS = 2 * 48 * 48
"""Values of a channel that a piece has at least: with fewer, Python's share of the time grows."""


@dataclass(frozen=True)
class Piece:
    """What was found on some samples of a batch.

    Attributes:
        terms: its errors and pictures, detached.
        gradients: of the loss, one for each parameter; None where it does not depend on one.
    """

    terms: Terms
    gradients: tuple[Tensor | None, ...]


class Pieces:
    """Measures batches in pieces, as many at a time as torch has threads.

    Args:
        objective: what is trained.
        precision: makes the context of a forward pass.
    """

    def __init__(self, objective: Objective[Any], precision: Callable[[], AbstractContextManager[object]]) -> None:
        self._objective, self._precision = objective, precision
        self._parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
        self._cores = torch.get_num_threads()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Pieces:
        """No thread begins before the first batch: processes that prepare batches are forked before."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the threads end."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def backward(self, step: Step, progress: float, share: float) -> tuple[Terms, dict[str, Tensor]]:
        """Measure a batch, and add the gradient of its loss to that of the parameters.

        Args:
            step: the batch and its draws.
            progress: share of the run that is done.
            share: of the gradient that is added, such as 1 / gradient_accumulation.

        Returns:
            The errors of the whole batch, detached, and its losses.
        """
        count, cut = len(step.batch.x_syn), places(step)
        cores = max(1, self._cores // len(cut))  # of each piece

        def measure(place: slice) -> Piece:
            torch.set_num_threads(cores)  # of all threads
            piece = part(step, place)
            with self._precision():
                terms: Terms = self._objective(piece.batch, piece.draws)
            loss = self._objective.losses(terms, progress)["loss"] * (share * len(piece.batch.x_syn) / count)
            return Piece(_detached(terms), torch.autograd.grad(loss, self._parameters, allow_unused=True))

        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._cores, "piece")  # which begins no more threads than there are pieces
        found = []
        try:
            for measured in self._pool.map(measure, cut):  # in order
                found.append(measured.terms)
                for parameter, gradient in zip(self._parameters, measured.gradients, strict=True):
                    if gradient is not None:
                        parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
        finally:
            torch.set_num_threads(self._cores)  # for what comes between two steps, and after them
        terms = _joined(found)
        return terms, self._objective.losses(terms, progress)


def suits(objective: Objective[Any], device: torch.device) -> bool:
    """Whether the batches of an objective may be measured in pieces, several at a time.

    It must measure each sample by itself (:attr:`Objective.by_sample`), and its network must run in several threads at
    once (:attr:`Restorer.reentrant`).
    """
    return device.type == "cpu" and objective.by_sample and objective.restorer.reentrant


def places(step: Step) -> list[slice]:
    """Which samples of a batch are a piece."""
    images = step.batch.x_syn
    size = math.ceil(PIXELS / math.prod(images.shape[2:]))
    return [slice(start, start + size) for start in range(0, len(images), size)]


def _detached(terms: Terms) -> Terms:
    return Terms({name: error.detach() for name, error in terms.errors.items()}, *_pictures(terms))


def _pictures(terms: Terms) -> Iterator[Tensor | None]:
    for images in (terms.restored_syn, terms.restored_real):
        yield None if images is None else images.detach()


def _joined(found: list[Terms]) -> Terms:
    errors = {name: torch.cat([terms.errors[name] for terms in found]) for name in found[0].errors}
    pictures = zip(*(_pictures(terms) for terms in found), strict=True)
    return Terms(errors, *(None if column[0] is None else torch.cat(column) for column in pictures))
