"""What a step needs from outside: its batch and all its random numbers, made beside the training process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from noiseda.adaptation import Objective
from noiseda.data.batches import Batch, Batches


@dataclass(frozen=True)
class Step:
    """One batch and the random draws of its objective."""

    batch: Batch
    draws: Any

    def to(self, device: torch.device, layout: torch.memory_format = torch.preserve_format) -> Step:
        """The same on a device, images in an order of memory; a copy from pinned memory does not wait."""

        def move(tensor: Tensor) -> Tensor:
            memory = layout if tensor.ndim == 4 else torch.preserve_format
            return tensor.to(device, non_blocking=True, memory_format=memory)

        return Step(_each(move, self.batch), _each(move, self.draws))

    def pin_memory(self) -> Step:
        """The same in page-locked memory, which the data loader asks for before a copy to a GPU."""
        return Step(_each(Tensor.pin_memory, self.batch), _each(Tensor.pin_memory, self.draws))


class Steps(Dataset[Step]):
    """Steps by number.

    Step n is a pure function of the seed, and so is each of its samples: those of one process with a batch of 2 B, or
    with twice as many batches a step, are those of two processes with B each.

    Args:
        batches: the batches of this process.
        objective: what is trained; only its ``draw`` is used.
        steps: optimiser steps of the run.

    Attributes:
        draw: the random numbers of one sample (1, C, P, P), from a generator.
    """

    def __init__(self, batches: Batches, objective: Objective[Any], steps: int) -> None:
        self.batches = batches
        self.draw = objective.draw
        self.steps = steps

    def __getitem__(self, number: int) -> Step:
        """Step ``number`` (micro-batches count one by one)."""
        progress = number // self.batches.gradient_accumulation / self.steps
        batch = dataclasses.replace(self.batches[number], progress=progress)
        generators = self.batches.generators("noise", number)
        return Step(batch, _joined([self.draw(y, g) for y, g in zip(batch.y_syn[:, None], generators, strict=True)]))


def part(step: Step, place: slice) -> Step:
    """Some of the samples of a step; what is not of (B, ...) stays."""
    return Step(_each(lambda tensor: tensor[place], step.batch), _each(lambda tensor: tensor[place], step.draws))


def _each(change: Callable[[Tensor], Tensor], value: Any) -> Any:  # noqa: ANN401
    """A dataclass with each of its tensors changed, or a tuple of such; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(_each(change, one) for one in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    found = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return dataclasses.replace(value, **{name: change(t) for name, t in found.items() if isinstance(t, Tensor)})


def _joined(draws: list[Any]) -> Any:  # noqa: ANN401
    """The draws of single samples as those of a batch."""
    first = draws[0]
    if first is None:
        return None
    if isinstance(first, tuple):  # of a hybrid's parts
        return tuple(_joined(list(own)) for own in zip(*draws, strict=True))
    columns = {field.name: [getattr(one, field.name) for one in draws] for field in dataclasses.fields(first)}
    return type(first)(**{name: None if own[0] is None else torch.cat(own) for name, own in columns.items()})
