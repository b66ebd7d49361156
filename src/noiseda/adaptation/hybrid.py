"""Several strategies at once: their losses are added, the restorer is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from noiseda.adaptation.strategy import Strategy, Terms
from noiseda.data.batches import Batch


@dataclass(frozen=True)
class HybridTerms(Terms):
    """The errors of all parts, each under its part's name.

    Attributes:
        parts: what each strategy returned.
    """

    parts: tuple[Terms, ...] = ()


class Hybrid(Strategy[tuple[Any, ...]]):
    """L = sum of the parts' losses, with the restoration loss of synthetic pairs counted once.

    Each part restores its batch by itself: clear, and dearer than one joint pass would be.

    Args:
        parts: strategies by name, which share one restorer; the pictures of the first that has any are shown.

    Raises:
        ValueError: where their restorers differ.
    """

    def __init__(self, parts: dict[str, Strategy[Any]]) -> None:
        super().__init__()
        first, *others = parts.values()
        if any(part.restorer is not first.restorer for part in others):
            raise ValueError("the parts of a hybrid share one restorer")
        self.restorer = first.restorer
        self.names = tuple(parts)
        self.parts = nn.ModuleList(parts.values())
        self.wants_real = any(part.wants_real for part in parts.values())
        self.wants_reference = any(part.wants_reference for part in parts.values())

    def _parts(self) -> Sequence[Strategy[Any]]:
        return list(self.parts)  # type: ignore[arg-type]

    @property
    def begins(self) -> float:
        """When the first of its parts does."""
        return min(part.begins for part in self._parts())

    def see(self, levels: float) -> None:
        """Tell each part."""
        for part in self._parts():
            part.see(levels)

    def at(self, progress: float) -> None:
        """Tell each part."""
        for part in self._parts():
            part.at(progress)

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> tuple[Any, ...]:
        """The draws of each part, one after the other."""
        return tuple(part.draw(y_syn, generator) for part in self._parts())

    def forward(self, batch: Batch, draws: tuple[Any, ...]) -> HybridTerms:
        """Each part on the whole batch."""
        parts = tuple(part(batch, own) for part, own in zip(self._parts(), draws, strict=True))
        errors = {
            f"{name}/{term}": error
            for name, part in zip(self.names, parts, strict=True)
            for term, error in part.errors.items()
        }
        restored_syn = next((part.restored_syn for part in parts if part.restored_syn is not None), None)
        restored_real = next((part.restored_real for part in parts if part.restored_real is not None), None)
        return HybridTerms(errors, restored_syn, restored_real, parts)

    def losses(self, terms: Terms, progress: float) -> dict[str, Tensor]:
        """The sum of the parts' losses, without the restoration terms of all but the first that has one."""
        assert isinstance(terms, HybridTerms)
        values: dict[str, Tensor] = {}
        total: Tensor | None = None
        counted = False
        for name, part, own in zip(self.names, self._parts(), terms.parts, strict=True):
            found = part.losses(own, progress)
            loss = found["loss"]
            if "restoration" in own.errors:
                if counted:
                    loss = loss - own.errors["restoration"].mean()
                counted = True
            total = loss if total is None else total + loss
            values |= {f"{name}/{term}": value for term, value in found.items() if term != "loss"}
        assert total is not None
        return {"loss": total, **values}

    def after_step(self) -> None:
        """Each part's own."""
        for part in self._parts():
            part.after_step()
