"""Flat noise: clean images wear noise that was cut whole from flat patches of the real ones.

After GCBD (Chen et al., CVPR 2018), whose generator of more such noise is left out: noise is turned at random and
scaled from the brightness it was cut at to that on which it lands, which makes enough of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from noiseda.adaptation.noise_bank import NoiseBank
from noiseda.adaptation.noise_levels import NoiseLevels
from noiseda.adaptation.noise_strengths import NoiseStrengths
from noiseda.adaptation.orientations import COUNT, turn_each
from noiseda.adaptation.ramp import ramp
from noiseda.adaptation.random_phase import random_phase
from noiseda.adaptation.strategy import Strategy, Terms, charbonnier
from noiseda.data.batches import Batch
from noiseda.data.shading import shading
from noiseda.restoration import Restorer
from noiseda.strategy_settings import FlatNoiseSettings

LARGEST = 4.0
"""Largest factor by which noise is scaled up or down from one brightness to another."""


@dataclass(frozen=True)
class Picks:
    """Which noise each clean image wears, and how.

    Attributes:
        pick: (B,) in [0, 1): which of the patches of its brightness.
        orientation: (B,) int64, 0..7.
        strength: (B,) factors.
        phase: (B, P, P) white noise whose phases the noise takes; None where it keeps its own.
        like: (B,) in [0, 1): which of the real patches of its brightness it is as noisy as; None where it is as noisy
            as the flat one that the noise was cut from.
    """

    pick: Tensor
    orientation: Tensor
    strength: Tensor
    phase: Tensor | None
    like: Tensor | None


class FlatNoise(Strategy[Picks]):
    """The restorer learns from synthetic pairs, and from clean images under real noise of flat patches.

    Args:
        restorer: the network to adapt.
        settings: weight and ramp, share of patches that count as flat, range of strengths, what becomes of phases.
        patch: side of the training patches.
    """

    wants_real = True

    def __init__(self, restorer: Restorer, settings: FlatNoiseSettings, *, patch: int) -> None:
        super().__init__()
        self.restorer = restorer
        self.bank = NoiseBank(channels=restorer.channels, patch=patch, share=settings.flat)
        self.levels = NoiseLevels(restorer.channels, bins=16)
        self.strengths = NoiseStrengths()
        self.settings = settings

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> Picks:
        """Draw a patch, an orientation, a strength and perhaps phases for each image."""
        count = len(y_syn)
        low, high = self.settings.strength
        return Picks(
            pick=torch.rand(count, generator=generator),
            orientation=torch.randint(COUNT, (count,), generator=generator),
            strength=low + (high - low) * torch.rand(count, generator=generator),
            phase=torch.randn(y_syn[:, 0].shape, generator=generator) if self.settings.phase == "random" else None,
            like=torch.rand(count, generator=generator) if self.settings.everywhere else None,
        )

    def forward(self, batch: Batch, draws: Picks) -> Terms:
        """Restore the synthetic inputs, and the clean images under noise from the bank.

        Returns:
            Errors ``restoration`` and ``flat_noise``, both Charbonnier against ``y_syn`` (0 while the bank is empty);
            and ``flat``, whether the real patch was flat, to watch.
        """
        x_real, y_syn = batch.x_real, batch.y_syn
        assert x_real is not None, "noise is cut from real images"
        with torch.no_grad():
            estimate = self.restorer(x_real).float()
            flat, found, shape = self.bank.keep(x_real, estimate)
            self.levels.observe(found, shape, counted=flat)
            if draws.like is not None:
                taken = power(x_real - estimate - shading(x_real - estimate))
                self.strengths.observe(taken, power(found), flat)
                self.strengths.keep(taken, power(self.levels(shape)), x_real.flatten(1).mean(dim=1))
            x_new, there = self.wear(y_syn, draws)
        restored_syn, restored_new = self.restorer(torch.cat([batch.x_syn, x_new])).float().chunk(2)
        errors = {
            "restoration": charbonnier(restored_syn, y_syn),
            "flat_noise": charbonnier(restored_new, y_syn) * there,
            "flat": flat.float(),
        }
        return Terms(errors, restored_syn.detach(), estimate)

    def wear(self, clean: Tensor, draws: Picks) -> tuple[Tensor, Tensor]:
        """Clean images under noise from the bank.

        Args:
            clean: (B, C, P, P) in [0, 1].
            draws: from :meth:`draw`.

        Returns:
            (B, C, P, P) in [0, 1]; (B,) false where the bank is still empty.
        """
        noise, origin, there = self.bank.draw(clean, draws.pick)
        noise, origin = (turn_each(images, draws.orientation) for images in (noise, origin))
        if draws.phase is not None:
            noise = random_phase(noise, draws.phase)
        usual = self.levels(origin)
        factor = (self.levels(clean) / usual).clamp(1 / LARGEST, LARGEST)
        if draws.like is not None:
            strength = self.strengths.draw(clean.flatten(1).mean(dim=1), draws.like)
            own = (power(noise) / power(usual)).sqrt().clamp(min=1 / LARGEST)
            factor = factor * (strength / own)[:, None, None, None]
        return (clean + draws.strength[:, None, None, None] * factor * noise).clamp(0, 1), there

    def losses(self, terms: Terms, progress: float) -> dict[str, Tensor]:
        """L = L_res + weight(p) * L_flat."""
        means = {name: error.mean() for name, error in terms.errors.items()}
        weight = ramp(progress, weight=self.settings.weight, steepness=self.settings.ramp)
        return {"loss": means["restoration"] + weight * means["flat_noise"], **means}

    def after_step(self) -> None:
        """What was seen of the noise becomes part of what is known."""
        self.bank.settle()
        self.levels.settle()
        self.strengths.settle()


def power(images: Tensor) -> Tensor:
    """The mean square of each image; (B, C, H, W) -> (B,)."""
    return images.square().flatten(1).mean(dim=1)
