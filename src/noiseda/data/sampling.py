"""What makes a degradation reproducible: every draw comes from the caller's generator, and one thread does the sums."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from noiseda.errors import UserError

Range = tuple[float, float]
"""Lowest and highest value of a drawn quantity."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread, as a loader's worker does; a decorator of degradations.

    Torch splits large tensors between threads and rounds powers differently at the seams, so that the last bit of an
    image would depend on how many processors prepared it.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def uniform(bounds: Range, generator: torch.Generator) -> float:
    """A number drawn uniformly from ``[low, high]``.

    >>> uniform((2.0, 2.0), torch.Generator())
    2.0
    """
    low, high = bounds
    return low + (high - low) * torch.rand((), generator=generator).item()


def log_uniform(bounds: Range, generator: torch.Generator) -> float:
    """A positive number whose logarithm is drawn uniformly, so that each octave of the range is as likely."""
    low, high = bounds
    return math.exp(uniform((math.log(low), math.log(high)), generator))


def integer(low: int, high: int, generator: torch.Generator) -> int:
    """A whole number drawn uniformly from ``low``..``high``, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator).item())


def check_strength(bounds: Range, unit: str, *, positive: bool = False) -> None:
    """Check the range a degradation draws its strength from.

    Args:
        bounds: lowest and highest strength.
        unit: what the strength is measured in, for the message.
        positive: whether 0 is refused (for strengths drawn on a logarithmic scale).

    Raises:
        UserError: unless ``0 <= low <= high`` (``0 < low`` if positive) and both are finite.
    """
    low, high = bounds
    if not (0 <= low <= high < math.inf) or (positive and low == 0):
        wanted = "0 < low <= high" if positive else "0 <= low <= high"
        raise UserError(f"--degradation.strength ({unit}) must satisfy {wanted}, both finite, not {low}, {high}")
