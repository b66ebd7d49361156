"""Teach a network how bright photographs would be without noise, in minutes, once the network is trained.

    python -m noiseda_research.ready.unbiased measure PHOTOGRAPHS WEIGHTS SEEN [--patches 2500] [--seed 0]
    python -m noiseda_research.ready.unbiased teach WEIGHTS SEEN... OUT

The first command degrades patches, restores them, and keeps what :class:`noiseda.restoration.Unbiased` sees, and three
numbers of which the squared error after any share is computed. The second learns from these alone; OUT is the same
network with it. Two patches in five have noise in the light (:class:`Exposed`), the others what the second look learnt
from (:mod:`noiseda_research.ready.look`). Of each patch three parts count as patches, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import noiseda
from noiseda.data import compress, integer, linear_from_srgb, log_uniform, srgb_from_linear, uniform
from noiseda.restoration import ResidualUNet, Unbiased
from noiseda_research.ready.look import PARTS, PATCH, part, weak
from noiseda_research.ready.mixture import Wide
from noiseda_research.ready.taught import Known, command, given, learn
from noiseda_research.ready.varied import Varied

IN_LIGHT = 0.4
"""Share of the patches with noise in the light."""

EPOCHS = 40
BLURRED = 0.03
HELD = 2e-3


@dataclass(frozen=True)
class Exposed:
    """Photons and read noise before a tone curve that is not always that of sRGB.

    x = s(l(y) + n), s(l) = srgb(l)^g. Photons are drawn as such (Poisson), so that the noise in the light is skewed.
    Half of the images have other strengths in each colour, as white balance leaves them; in two of three, colours share
    noise, or a matrix of colours has spread it.
    """

    strength: tuple[float, float] = (1.0, 60.0)
    """Standard deviation at mid-grey, in steps of 8 bits."""

    curve: tuple[float, float] = (0.6, 1.1)
    read: tuple[float, float] = (0.0, 0.6)
    balance: tuple[float, float] = (0.5, 2.0)
    compressed: float = 0.1
    margin: int = 0

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (3, H, W) in [0, 1]."""
        power = log_uniform(self.curve, generator)
        grey = linear_from_srgb(torch.tensor([0.5, 0.501]) ** (1 / power))
        variance = (float(grey[1] - grey[0]) / 1e-3 * log_uniform(self.strength, generator) / 255) ** 2
        read = uniform(self.read, generator)
        own = torch.tensor([log_uniform(self.balance, generator) for _ in range(3)])[:, None, None]
        own = own if integer(0, 1, generator) else torch.ones_like(own)
        photon = ((1 - read) * variance / float(grey[0]) * own).clamp(min=1e-7)
        light = linear_from_srgb(clean.clamp(0, 1) ** (1 / power))
        noise = photon * torch.poisson(light / photon, generator=generator) - light
        noise = noise + (read * variance * own).sqrt() * torch.randn(light.shape, generator=generator)
        noise = torch.einsum("dc,chw->dhw", _mixed(generator), noise)
        noisy = srgb_from_linear((light + noise).clamp(0, 1)) ** power
        return compress(noisy, (80, 98), generator) if uniform((0.0, 1.0), generator) < self.compressed else noisy


def _mixed(generator: torch.Generator) -> Tensor:
    """How colours share noise: not at all, as if made from the same places, or as a matrix of colours spreads it."""
    kind, drawn = integer(0, 2, generator), torch.rand(3, 3, generator=generator)
    if kind == 0:
        return torch.eye(3)
    if kind == 1:
        shared = torch.eye(3) + 0.5 * drawn
        return shared / shared.square().sum(1, keepdim=True).sqrt()
    spread = -0.4 * drawn.fill_diagonal_(0)
    return spread + torch.diag(1 - spread.sum(1))


def with_unbiased(network: ResidualUNet) -> ResidualUNet:
    """The same network with an :class:`noiseda.restoration.Unbiased` that puts nothing back."""
    return given(network, "unbiased", Unbiased(network.channels))


@torch.no_grad()
def measure(photographs: Path, weights: Path, out: Path, patches: int, seed: int) -> None:
    """Degrade and restore patches, and keep what is seen of them.

    Beside ``seen``, that is ``errors`` (3,): mean squares of the error and of the loss, and the mean of their product.
    """
    network = noiseda.load(weights)
    assert isinstance(network, ResidualUNet), "WEIGHTS are those of a residual U-Net"
    unbiased, network.unbiased = Unbiased(network.channels), None
    wide, exposed, draws = Wide(weaker=0.1), Exposed(), torch.Generator().manual_seed(seed)
    clean, side = Varied(images=noiseda.photographs(photographs, degradation=wide).synthetic), PATCH + 2 * wide.margin
    inner = (..., slice(wide.margin, -wide.margin), slice(wide.margin, -wide.margin))
    kept: list[Known] = []
    for number in range(patches):
        shrunk = uniform((0.4, 1.0), draws) if integer(0, 2, draws) else 1.0
        _, (image,) = clean.draw(integer(0, 10**6, draws), min(math.ceil(side / shrunk), 440), draws)
        if image.shape[-1] != side:
            image = F.interpolate(image[None], size=(side, side), mode="bicubic", antialias=True)[0].clamp(0, 1)
        in_light = uniform((0.0, 1.0), draws) < IN_LIGHT
        degraded = exposed(image, draws) if in_light else weak(image, wide, draws)
        degraded, image = ((one * 255).round() / 255 for one in (degraded, image))
        x, y = degraded[inner].contiguous()[None], image[inner].contiguous()[None]
        restored = network(x)
        for rows, columns in ((slice(None), slice(None)), *(part(draws) for _ in range(PARTS))):
            images, found, truth = (one[..., rows, columns].contiguous() for one in (x, restored, y))
            seen, lost = unbiased.seen(images, found)
            error = found.clamp(0, 1) - truth
            errors = torch.stack([(one * other).mean() for one, other in ((error, error), (lost, lost), (error, lost))])
            kept.append({"seen": seen.mean((2, 3))[0], "errors": errors, "patch": torch.tensor(number)})
        if (number + 1) % 50 == 0 or number + 1 == patches:
            print(f"{number + 1} patches", flush=True)
            torch.save({name: torch.stack([one[name] for one in kept]) for name in kept[0]}, out)


def squared_errors(share: Tensor, known: Known) -> Tensor:
    """The mean squared error of each patch with so much put back; (N,)."""
    own, lost, product = known["errors"].unbind(1)
    return (own + 2 * share * product + share.square() * lost).clamp(min=1e-9)


def teach(unbiased: Unbiased, known: Known, seed: int = 0) -> None:
    """Teach it in place (:func:`~noiseda_research.ready.taught.learn`).

    Args:
        unbiased: it.
        known: what was measured, and ``patch``, the number of the patch of each.
        seed: of all draws.
    """

    def share(seen: Tensor, dropped: float) -> Tensor:
        return unbiased.share(seen, dropped)[:, 0, 0, 0]

    learn(unbiased, known, share, squared_errors, epochs=EPOCHS, blurred=BLURRED, held=HELD, seed=seed)


def taught(network: ResidualUNet, known: Known, seed: int) -> ResidualUNet:
    """The network that has learnt from what was measured how much to put back."""
    network = with_unbiased(network)
    assert network.unbiased is not None, "it was given one"
    teach(network.unbiased, known, seed)
    return network


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    command(__doc__, arguments, measure, taught, patches=2500)


if __name__ == "__main__":
    main()
