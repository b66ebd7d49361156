"""Flat noise: clean images wear noise that was cut whole from flat patches of the real ones.

After GCBD (Chen et al., CVPR 2018), whose generator of more such noise is left out: noise is turned at random, may get
phases of its own, and is scaled from the brightness it was cut at to that on which it lands, which makes enough of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from noiseda import Batch
from noiseda.adaptation import Objective, Terms, Weights, charbonnier, ramp
from noiseda.estimation import Picks, RealNoise, brightness
from noiseda.restoration import Restorer
from noiseda_research.rivals.frozen_reference import FrozenReference
from noiseda_research.rivals.settings import FlatNoiseSettings


@dataclass(frozen=True)
class Wear(Picks):
    """What each clean image wears.

    Attributes:
        strength: (B,) factors.
        like: (B,) in [0, 1): which of the real patches of its brightness it is as noisy as; None where it is as noisy
            as the flat one that the noise was cut from.
    """

    strength: Tensor
    like: Tensor | None


class FlatNoise(Objective[Wear]):
    """The restorer learns from synthetic pairs, and from clean images under real noise of flat patches.

    Args:
        restorer: the network to adapt.
        settings: weight and ramp, share of patches that count as flat, how strong the noise is, what becomes of phases.
        patch: side of the training patches.
        trained: whether the restorer has learnt to restore before, and can estimate at once how strong real noise is.
        levels: steps from black to white that the real files have.
    """

    wants_real = True

    def __init__(
        self, restorer: Restorer, settings: FlatNoiseSettings, *, patch: int, trained: bool, levels: float = 255.0
    ) -> None:
        super().__init__()
        self.restorer = restorer
        self.noise = RealNoise(channels=restorer.channels, patch=patch, share=settings.flat, levels=levels)
        self.reference = (
            FrozenReference(restorer, until=0.0 if trained else settings.start) if settings.everywhere else None
        )
        self.settings = settings

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> Wear:
        """Draw noise and a strength for each image."""
        low, high = self.settings.strength
        return Wear(
            **vars(Picks.draw(y_syn, generator, random_phases=self.settings.phase == "random")),
            strength=low + (high - low) * torch.rand(len(y_syn), generator=generator),
            like=torch.rand(len(y_syn), generator=generator) if self.settings.everywhere else None,
        )

    def forward(self, batch: Batch, draws: Wear) -> Terms:
        """Restore the synthetic inputs, and the clean images under noise from the bank.

        Returns:
            Errors ``restoration`` and ``flat_noise``, both Charbonnier against ``y_syn`` (0 while the bank is empty);
            and ``flat``, whether the real patch was flat, to watch.
        """
        x_real, y_syn = batch.x_real, batch.y_syn
        assert x_real is not None, "noise is cut from real images"
        with torch.no_grad():
            estimate = self.restorer(x_real).float() if self.reference is None else self.reference(x_real)
            flat, _ = self.noise.observe(x_real, estimate)
            x_new, there = self.wear(y_syn, draws)
        restored_syn, restored_new = self.restorer.restore_jointly(batch.x_syn, x_new)
        errors = {
            "restoration": charbonnier(restored_syn, y_syn),
            "flat_noise": charbonnier(restored_new, y_syn) * there,
            "flat": flat.float(),
        }
        return Terms(errors, restored_syn.detach(), None if self.reference else estimate)

    def wear(self, clean: Tensor, draws: Wear) -> tuple[Tensor, Tensor]:
        """Clean images under noise from the bank.

        Args:
            clean: (B, C, P, P) in [0, 1].
            draws: from :meth:`draw`.

        Returns:
            (B, C, P, P) in [0, 1]; (B,) false where the bank is still empty.
        """
        like = None if draws.like is None else self.noise.strengths.draw(brightness(clean), draws.like)
        noise, there = self.noise.draw(clean, draws, like)
        return (clean + draws.strength[:, None, None, None] * noise).clamp(0, 1), there

    def weights(self, progress: float) -> Weights:
        """L = L_res + weight(p) * L_flat."""
        weight = ramp(progress, weight=self.settings.weight, steepness=self.settings.ramp)
        return {"restoration": 1.0, "flat_noise": weight}

    def after_step(self, progress: float) -> None:
        """What was seen of the noise becomes part of what is known; the reference follows for a while."""
        self.noise.settle()
        if self.reference is not None:
            self.reference.follow(self.restorer, progress)
