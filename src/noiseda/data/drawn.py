"""Batches of samples that a function draws: for data of one's own, of any rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from noiseda.data.batches import Batch, generator
from noiseda.errors import UserError


@dataclass(frozen=True)
class Sample:
    """One sample of a batch.

    Attributes:
        x_syn: (C, *spatial) degraded synthetic signal.
        y_syn: its clean target, of the same shape, in [0, 1].
        x_real: (C, *spatial) real degraded signal; None where nothing real is learnt from.
        y_ref: unpaired clean signal; None where none is asked for.
    """

    x_syn: Tensor
    y_syn: Tensor
    x_real: Tensor | None = None
    y_ref: Tensor | None = None


def check_sample(sample: object, first: Sample) -> None:
    """Check that what was drawn is a sample, of the same shape as another one of its batch.

    Raises:
        UserError: it is something else; says what.
    """
    if not isinstance(sample, Sample):
        raise UserError(f"the data must draw a noiseda.Sample, not {type(sample).__name__}")
    for name, value in vars(sample).items():
        if value is not None and not isinstance(value, Tensor):
            raise UserError(f"{name} of a sample must be a tensor, not {type(value).__name__}")
        shapes = [None if one is None else tuple(one.shape) for one in (getattr(first, name), value)]
        if shapes[0] != shapes[1]:
            raise UserError(f"{name} of the samples of a batch must be of one shape, not {shapes[0]} and {shapes[1]}")
    if sample.x_syn.shape != sample.y_syn.shape:
        raise UserError(
            f"x_syn and y_syn of a sample must be of one shape, not {tuple(sample.x_syn.shape)} and "
            f"{tuple(sample.y_syn.shape)}"
        )


class DrawnBatches:
    """Batches by number, of which each sample is drawn by itself.

    Args:
        draw: draws one sample from a generator of its own: a pure function of it, so that the run is exact.
        size: samples in a batch.
        seed: the run's seed.
        rank: number of this process among those that train together.
        processes: how many train together.
        gradient_accumulation: batches of a process in an optimiser step.

    >>> draw = lambda generator: Sample(*torch.rand(2, 1, 8, generator=generator))
    >>> batches = DrawnBatches(draw, size=3, seed=0)
    >>> batches[4].x_syn.shape, torch.equal(batches[4].x_syn, batches[4].x_syn)
    (torch.Size([3, 1, 8]), True)
    """

    def __init__(
        self,
        draw: Callable[[torch.Generator], Sample],
        *,
        size: int,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        gradient_accumulation: int = 1,
    ) -> None:
        self.draw = draw
        self.size, self.seed, self.gradient_accumulation = size, seed, gradient_accumulation
        self.rank, self.processes = rank, processes

    def __getitem__(self, number: int) -> Batch:
        """Batch ``number``, always the same for the same seed and rank."""
        samples = [self.draw(one) for one in self.generators("sample", number)]
        for sample in samples:
            check_sample(sample, samples[0])

        def stacked(name: str) -> Tensor | None:
            found = [getattr(sample, name) for sample in samples]
            return None if found[0] is None else torch.stack(found)

        x_syn, y_syn = stacked("x_syn"), stacked("y_syn")
        assert x_syn is not None
        assert y_syn is not None
        return Batch(x_syn, y_syn, stacked("x_real"), stacked("y_ref"), ())

    def generators(self, purpose: str, number: int) -> list[torch.Generator]:
        """A generator for each sample of batch ``number``, of its own for each purpose."""
        step, micro = divmod(number, self.gradient_accumulation)
        first = (micro * self.processes + self.rank) * self.size
        return [generator(self.seed, purpose, step, first + sample) for sample in range(self.size)]
