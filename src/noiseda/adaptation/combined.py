"""Several objectives at once: their losses are added, the restorer is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from noiseda.adaptation.objective import Objective, Sum, Terms, Weights
from noiseda.adaptation.stages import distinct, shared_restorer
from noiseda.data.batches import Batch


class Combined(Objective[tuple[Any, ...]]):
    """L = sum of the parts' losses, with the restoration error of synthetic pairs counted once.

    Each part restores its batch by itself: clear, and dearer than one joint pass would be.

    Args:
        parts: objectives by name, which share one restorer; the pictures of the first that has any are shown.

    Raises:
        ValueError: where their restorers differ.
    """

    def __init__(self, parts: Mapping[str, Objective[Any]]) -> None:
        super().__init__()
        self.names = tuple(parts)
        self.restorer = shared_restorer(list(parts.values()))
        self.parts = nn.ModuleList(parts.values())
        self.wants_real = any(part.wants_real for part in parts.values())
        self.by_sample = all(part.by_sample for part in parts.values())
        self.wants_reference = any(part.wants_reference for part in parts.values())

    @property
    def objectives(self) -> list[Objective[Any]]:
        """In the order of their names."""
        return list(self.parts)  # type: ignore[arg-type]

    @property
    def real_from(self) -> float:
        """When the first of its parts learns from real signals."""
        return min(part.real_from for part in self.objectives)

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> tuple[Any, ...]:
        """The draws of each part, one after the other."""
        return tuple(part.draw(y_syn, generator) for part in self.objectives)

    def forward(self, batch: Batch, draws: tuple[Any, ...]) -> Terms:
        """Each part on the whole batch; its errors bear its name."""
        parts = tuple(part(batch, own) for part, own in zip(self.parts, draws, strict=True))
        errors = {
            f"{name}/{term}": error
            for name, part in zip(self.names, parts, strict=True)
            for term, error in part.errors.items()
        }
        restored_syn = next((part.restored_syn for part in parts if part.restored_syn is not None), None)
        restored_real = next((part.restored_real for part in parts if part.restored_real is not None), None)
        return Terms(errors, restored_syn, restored_real)

    def weights(self, progress: float) -> Weights:
        """Those of the parts, without the restoration error of all but the first that has one."""
        weights: dict[str, float | Sum] = {}
        counted = False
        for name, part in zip(self.names, self.objectives, strict=True):
            own = part.weights(progress)
            once = {term: weight for term, weight in own.items() if term != "restoration" or not counted}
            counted = counted or "restoration" in own
            if once:
                weights[name] = Sum(1.0, _named(name, once))
        return weights

    def after_step(self, progress: float) -> None:
        """Each part's own."""
        for part in self.objectives:
            part.after_step(progress)

    def networks(self) -> list[nn.Module]:
        """Those of all parts, each once."""
        return distinct(self.objectives)


def _named(name: str, weights: Weights) -> Weights:
    """Weights of errors that bear a part's name."""
    return {
        f"{name}/{term}": Sum(weight.weight, _named(name, weight.parts)) if isinstance(weight, Sum) else weight
        for term, weight in weights.items()
    }
