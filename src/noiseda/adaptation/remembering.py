"""What a network knew before is kept by its own example (Li and Hoiem, "Learning without forgetting", ECCV 2016)."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from noiseda.adaptation.objective import Draws, Objective, Terms, Weights
from noiseda.data.batches import Batch
from noiseda.dims import append_dims


class Remembering(Objective[Draws]):
    """An objective whose targets are, of some synthetic images, what the restorer made of them before it was adapted.

    Of images degraded in the ways that it was good at, the restorer is to make what it made. At the start there is
    nothing to learn from them: they hold it where it is, and leave room for all else. True targets would teach it
    something new about degradations that the photographs do not have.

    Args:
        adapting: the objective.
    """

    def __init__(self, adapting: Objective[Draws]) -> None:
        super().__init__()
        self.restorer = adapting.restorer
        self.adapting = adapting
        self.before = copy.deepcopy(adapting.restorer).requires_grad_(False).eval()
        self.wants_real, self.wants_reference = adapting.wants_real, adapting.wants_reference
        self.by_sample = adapting.by_sample

    def train(self, mode: bool = True) -> Remembering[Draws]:
        """What the restorer was before is never in training mode."""
        super().train(mode)
        self.before.eval()
        return self

    @property
    def real_from(self) -> float:
        """That of the objective."""
        return self.adapting.real_from

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> Draws:
        """The objective's own draws."""
        return self.adapting.draw(y_syn, generator)

    def forward(self, batch: Batch, draws: Draws) -> Terms:
        """The objective's errors, with targets of ``batch.known`` images that the restorer itself made before."""
        if batch.known is not None and bool(batch.known.any()):
            with torch.no_grad():  # all of them: single images are remembered by groups, and these come once
                made = self.before(batch.x_syn).float().clamp(0, 1)
            known = append_dims(batch.known, made.ndim)
            batch = replace(batch, y_syn=torch.where(known, made, batch.y_syn))
        terms: Terms = self.adapting(batch, draws)
        return terms

    def losses(self, terms: Terms, progress: float) -> dict[str, Tensor]:
        """Those of the objective."""
        return self.adapting.losses(terms, progress)

    def weights(self, progress: float) -> Weights:
        """Those of the objective."""
        return self.adapting.weights(progress)

    def after_step(self, progress: float) -> None:
        """The objective's own."""
        self.adapting.after_step(progress)

    def networks(self) -> list[nn.Module]:
        """Those of the objective."""
        return self.adapting.networks()
