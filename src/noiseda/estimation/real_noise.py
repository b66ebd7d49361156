"""The noise of real images, learnt as batches go by and put anywhere: kind from flat patches, strength from all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from noiseda.estimation.noise_bank import NoiseBank
from noiseda.estimation.noise_levels import NoiseLevels
from noiseda.estimation.noise_strengths import NoiseStrengths, traces_of
from noiseda.estimation.random_phase import random_phase
from noiseda.orientations import COUNT, turn_each

LARGEST = 4.0
"""Largest factor by which noise is scaled up or down from one brightness to another."""


@dataclass(frozen=True)
class Picks:
    """Which noise each image gets, and how.

    Attributes:
        pick: (B,) in [0, 1): which of the flat patches of its brightness.
        orientation: (B,) int64, 0..7.
        phase: (B, P, P) white noise whose phases the noise takes; None where it keeps its own.
    """

    pick: Tensor
    orientation: Tensor
    phase: Tensor | None

    @staticmethod
    def draw(images: Tensor, generator: torch.Generator, *, random_phases: bool) -> Picks:
        """Draw a patch, an orientation and perhaps phases for each of some images (B, C, P, P)."""
        count = len(images)
        return Picks(
            pick=torch.rand(count, generator=generator),
            orientation=torch.randint(COUNT, (count,), generator=generator),
            phase=torch.randn(images[:, 0].shape, generator=generator) if random_phases else None,
        )


class RealNoise(nn.Module):
    """What is known of the noise of real images.

    Args:
        channels: colour channels, C.
        patch: side of the patches, P.
        share: share of all patches, over time, that count as flat.
        levels: steps from black to white that the files have.
    """

    def __init__(self, *, channels: int, patch: int, share: float, levels: float = 255.0) -> None:
        super().__init__()
        self.bank = NoiseBank(channels=channels, patch=patch, share=share, levels=levels)
        self.levels = NoiseLevels(channels, bins=16)
        self.strengths = NoiseStrengths()

    def observe(self, images: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from some real images.

        Args:
            images: (B, C, P, P) real images in [0, 1].
            estimate: the same restored.

        Returns:
            (B,) whether each is flat; (B,) how strong the noise of each is, beside that of flat ones as bright.
        """
        flat, noise, shape = self.bank.keep(images, estimate)
        self.levels.observe(noise, shape, counted=flat)
        traces = traces_of(images, estimate)
        self.strengths.observe(traces, power(noise), flat)
        usual = power(self.levels(shape))
        return flat, self.strengths.keep(traces, usual, brightness(images))

    def draw(self, images: Tensor, picks: Picks, strength: Tensor | None) -> tuple[Tensor, Tensor]:
        """Noise for some images: as strong on each of their pixels as flat patches have it on pixels as bright.

        Args:
            images: (B, C, P, P) in [0, 1].
            picks: from :meth:`Picks.draw`.
            strength: (B,) factors that the noise is stronger by; None for the noise as each patch had it, which may
                have been a noisy one or not.

        Returns:
            (B, C, P, P) noise; (B,) false while there is none.
        """
        noise, origin, there = self.bank.draw(images, picks.pick)
        noise, origin = (turn_each(patches, picks.orientation) for patches in (noise, origin))
        if picks.phase is not None:
            noise = random_phase(noise, picks.phase)
        usual = self.levels(origin)
        factor = (self.levels(images) / usual).clamp(1 / LARGEST, LARGEST)
        if strength is not None:
            own = (power(noise) / power(usual)).sqrt().clamp(min=1 / LARGEST)
            factor = factor * (strength / own)[:, None, None, None]
        return factor * noise, there

    def settle(self) -> None:
        """What was seen since becomes part of what is known; once a step."""
        self.bank.settle()
        self.levels.settle()
        self.strengths.settle()


def power(images: Tensor) -> Tensor:
    """The mean square of each image; (B, C, H, W) -> (B,)."""
    return images.square().flatten(1).mean(dim=1)


def brightness(images: Tensor) -> Tensor:
    """The mean of each image; (B, C, H, W) -> (B,)."""
    return images.flatten(1).mean(dim=1)
