"""One objective after another: first synthetic pairs, then what learns from the real signals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from noiseda.adaptation.objective import Objective, Terms, Weights
from noiseda.data.batches import Batch
from noiseda.restoration import Restorer


class Stages(Objective[tuple[Any, ...]]):
    """Each objective has a part of the run; all share one restorer.

    After every step each is called (:meth:`Objective.after_step`): a teacher follows from the first step on,
    though it teaches late.

    Args:
        stages: (share of the run at which it begins, objective), in order; the first begins at 0.

    Raises:
        ValueError: where the restorers differ, or the shares do not rise from 0.

    >>> from noiseda.adaptation import SyntheticOnly
    >>> from noiseda.restoration import UNet
    >>> first = SyntheticOnly(UNet(width=4, depth=2))
    >>> Stages([(0.0, first), (0.67, SyntheticOnly(first.restorer))]).at(0.7) is first
    False
    """

    def __init__(self, stages: Sequence[tuple[float, Objective[Any]]]) -> None:
        super().__init__()
        self.starts = tuple(start for start, _ in stages)
        objectives = [objective for _, objective in stages]
        if not objectives or self.starts[0] != 0 or list(self.starts) != sorted(set(self.starts)):
            raise ValueError(f"stages begin at rising shares of the run, the first at 0, not at {self.starts}")
        self.restorer = shared_restorer(objectives)
        self.parts = nn.ModuleList(objectives)
        self.wants_real = any(objective.wants_real for objective in objectives)
        self.by_sample = all(objective.by_sample for objective in objectives)
        self.wants_reference = any(objective.wants_reference for objective in objectives)

    @property
    def objectives(self) -> list[Objective[Any]]:
        """In their order."""
        return list(self.parts)  # type: ignore[arg-type]

    def at(self, progress: float) -> Objective[Any]:
        """The objective whose turn it is.

        Args:
            progress: share of the run that is done, in [0, 1].
        """
        return self.objectives[self._index(progress)]

    def _index(self, progress: float) -> int:
        return sum(start <= progress for start in self.starts) - 1

    @property
    def real_from(self) -> float:
        """Where the first stage begins that wants real signals."""
        stages = zip(self.starts, self.objectives, strict=True)
        return next((max(start, one.real_from) for start, one in stages if one.wants_real), 0.0)

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> tuple[Any, ...]:
        """The draws of each, one after the other."""
        return tuple(objective.draw(y_syn, generator) for objective in self.objectives)

    def forward(self, batch: Batch, draws: tuple[Any, ...]) -> Terms:
        """That of the objective whose turn it is at the batch's progress."""
        index = self._index(batch.progress)
        terms: Terms = self.parts[index](batch, draws[index])
        return terms

    def weights(self, progress: float) -> Weights:
        """Those of the objective whose turn it is."""
        return self.at(progress).weights(progress)

    def after_step(self, progress: float) -> None:
        """Call that of each."""
        for objective in self.objectives:
            objective.after_step(progress)

    def networks(self) -> list[nn.Module]:
        """Those of all, each once."""
        return distinct(self.objectives)


def shared_restorer(objectives: Sequence[Objective[Any]]) -> Restorer:
    """The restorer that some objectives have in common.

    Raises:
        ValueError: where they differ.
    """
    first, *others = (objective.restorer for objective in objectives)
    if any(other is not first for other in others):
        raise ValueError("objectives that are trained together share one restorer")
    return first


def distinct(objectives: Sequence[Objective[Any]]) -> list[nn.Module]:
    """The networks of some objectives, each once."""
    return list({id(network): network for one in objectives for network in one.networks()}.values())
