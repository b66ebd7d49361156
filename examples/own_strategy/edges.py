"""The flags of a strategy. The help reads this module, so it does not import torch."""

from dataclasses import dataclass
from typing import ClassVar

from noiseda.limits import PositiveFloat


@dataclass(frozen=True)
class EdgesSettings:
    """Edges of synthetic pairs count more."""

    STRATEGIES: ClassVar[tuple[str, ...]] = ("edges",)
    BUILDERS: ClassVar[str] = "edges_objective:BUILDERS"

    weight: PositiveFloat = 0.5
    """Weight of the error at edges."""
