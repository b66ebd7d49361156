"""Stein's unbiased risk estimate: the squared error on real images themselves, without their truth.

For x = y + n with Gaussian noise n of covariance S, independent of y, whatever the restorer f,

    E|f(x) - y|^2 = E|f(x) - x|^2 - tr S + 2 E[n' . (f(x + e n') - f(x))] / e    for e -> 0,

where n' is noise of the same covariance, drawn anew (Stein 1981; by random probes: Ramani, Blu and Unser 2008, "Monte-
Carlo SURE"; to train networks: Soltanayev and Chun, NeurIPS 2018). Noise of flat patches under random phases is such
noise, correlated as the camera left it. The scenes are the user's own, which no clean photographs can replace.
"""

from __future__ import annotations

import torch
from torch import Tensor

from noiseda import Batch
from noiseda.adaptation import Objective, Terms, Weights, charbonnier, ramp
from noiseda.estimation import Picks, RealNoise, power
from noiseda.restoration import Restorer
from noiseda_research.rivals.frozen_reference import FrozenReference
from noiseda_research.rivals.settings import SureSettings

LEAST = 0.5
"""Standard deviation of noise, in steps from level to level of the files, below which an image's risk counts no
more."""


class Sure(Objective[Picks]):
    """The restorer learns from synthetic pairs, and lowers its estimated risk on real images.

    A copy of the restorer that no longer learns estimates how strong the noise is.

    Args:
        restorer: the network to adapt.
        settings: weight, head start and ramp, share of patches that count as flat, length of the step.
        patch: side of the training patches.
        trained: whether the restorer has learnt to restore before; then it needs no head start.
        levels: steps from black to white that the real files have.
    """

    wants_real = True

    def __init__(
        self, restorer: Restorer, settings: SureSettings, *, patch: int, trained: bool, levels: float = 255.0
    ) -> None:
        super().__init__()
        self.restorer = restorer
        self.reference = FrozenReference(restorer, until=0.0 if trained else settings.start)
        self.noise = RealNoise(channels=restorer.channels, patch=patch, share=settings.flat, levels=levels)
        self.settings = settings

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> Picks:
        """Draw noise for each image."""
        return Picks.draw(y_syn, generator, random_phases=True)

    def forward(self, batch: Batch, draws: Picks) -> Terms:
        """Restore the synthetic inputs, and the real ones without and with a little more noise.

        Returns:
            Errors ``restoration``, Charbonnier; ``risk``, the estimate divided by the standard deviation of the noise,
            so that weakly and strongly noisy images count alike (0 while no flat patch was seen); and ``flat``,
            whether the real patch was flat, to watch.
        """
        x_real, step = batch.x_real, self.settings.step
        assert x_real is not None, "the risk is that on real images"
        restored_syn, restored = self.restorer.restore_jointly(batch.x_syn, x_real)
        with torch.no_grad():
            flat, strength = self.noise.observe(x_real, self.reference(x_real))
            noise, there = self.noise.draw(x_real, draws, strength)
        probed = self.restorer(x_real + step * noise).float()
        spread = (noise * (probed - restored)).flatten(1).mean(dim=1) / step
        risk = power(restored - x_real) - power(noise) + 2 * spread
        errors = {
            "restoration": charbonnier(restored_syn, batch.y_syn),
            "risk": there * risk / power(noise).sqrt().clamp(min=LEAST / self.noise.bank.levels),
            "flat": flat.float(),
        }
        return Terms(errors, restored_syn.detach(), restored.detach())

    def weights(self, progress: float) -> Weights:
        """L = L_res + weight(q) * L_risk; q is the progress since the head start's end."""
        own, begins = self.settings, self.reference.until
        if progress < begins:  # no gradient, not even of zero
            return {"restoration": 1.0}
        return {"restoration": 1.0, "risk": ramp(progress, weight=own.weight, steepness=own.ramp, begins=begins)}

    def after_step(self, progress: float) -> None:
        """What was seen of the noise becomes part of what is known; the reference follows during the head start."""
        self.noise.settle()
        self.reference.follow(self.restorer, progress)
