"""Teach the second look of a network by itself, in minutes, once the network is trained.

    python -m noiseda_research.ready.look measure PHOTOGRAPHS WEIGHTS SEEN [--patches 1500] [--seed 0]
    python -m noiseda_research.ready.look teach WEIGHTS SEEN... OUT

WEIGHTS are those of a U-Net that sees groups. The first command degrades patches, and keeps what a second look sees of
them, and the products of all that it may mix: of these alone the squared error of any mixture is computed. Several may
run at once, with other seeds. The second learns from all of what they kept; OUT is the same network with a second look.

Noise is more often weak than in the mixture that the network learnt from, since most photographs have little: 15% of
the patches have white noise, log-uniform from 1 to 60, 15% weak noise of any coarseness, and 30% a share of the
mixture's noise, log-uniform from 0.05. Half of the patches were shrunk by up to two before. Of each patch three parts,
of 48 to 96 pixels, count as patches, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import noiseda
from noiseda.data import compress, integer, log_uniform, uniform
from noiseda.restoration import Groups, ResidualUNet, SecondLook
from noiseda_research.ready.mixture import Coarse, Wide
from noiseda_research.ready.taught import Known, command, given, learn
from noiseda_research.ready.varied import Varied

PATCH = 160
CELL = 8
"""Pixels to a side of what has shares of its own."""

PART = (6, 12)
"""Sides of the parts that count as patches, too, in cells."""

PARTS = 3
"""So many of them."""

TRIED = (5.0, 9.0, 14.0, 20.0, 28.0, 40.0, 60.0)
"""Strengths of the second stage that are tried. Between two of them, its result is taken for a mean of both."""

EPOCHS = 20
BLURRED = 0.1
HELD = 1e-2

Part = tuple[slice, slice]
"""Rows and columns of a patch."""


def part(draws: torch.Generator) -> Part:
    """A square part of a patch."""
    cells = integer(*PART, draws)
    rows, columns = (CELL * integer(0, PATCH // CELL - cells, draws) for _ in range(2))
    return slice(rows, rows + CELL * cells), slice(columns, columns + CELL * cells)


def weak(clean: Tensor, wide: Wide, draws: torch.Generator) -> Tensor:
    """Degrade an image (C, H, W), as the mixture of ready weights does or by less."""
    kind = uniform((0.0, 1.0), draws)
    if kind < 0.4:
        return wide(clean, draws)
    if kind < 0.55:
        noisy = clean + torch.randn(clean.shape, generator=draws) * log_uniform((1.0, 60.0), draws) / 255
        end = uniform((0.0, 1.0), draws)
        noisy = noisy.clamp(0, 1) if end < 0.6 else noisy
        return compress(noisy, (70, 98), draws) if end < 0.1 else noisy
    if kind < 0.7:
        return Coarse()(clean, draws)
    return torch.lerp(clean, wide(clean, draws), log_uniform((0.05, 1.0), draws))


def with_look(network: ResidualUNet) -> ResidualUNet:
    """The same network with a second look that leaves all of the say to it."""
    return given(network, "look", SecondLook(network.channels))


@torch.no_grad()
def known_of(network: ResidualUNet, degraded: Tensor, clean: Tensor, parts: Sequence[Part]) -> list[Known]:
    """What is kept of a pair (C, S, S), and of parts of it.

    That is ``seen`` (K,), ``alike`` (2, V, V), ``right`` (2, V) and ``power``: products of what V voices change,
    brightness and colour apart, with one another, with what should be changed, and of that with itself.

    Args:
        network: with a second look.
        degraded: the image.
        clean: its truth.
        parts: rows and columns, whole cells.
    """
    look, groups, images = network.look, network.pilots, degraded[None]
    assert look is not None, "it was given one"
    assert network.chooser is not None, "it sees groups"
    assert isinstance(groups, Groups), "it sees groups"
    found = groups.search(images)
    changes = groups(images, found)
    mixed = network.chooser(images, changes)
    restored = network.first_look(images, changes, mixed)
    again = Groups(TRIED, network.channels).again(images, restored, found)
    voices = look.voices_of(images, restored, mixed, changes)
    second = look.planes(torch.unflatten(again, 1, (len(TRIED), -1)))
    wanted = look.planes(clean[None] - images)
    kept = []
    for rows, columns in ((slice(None), slice(None)), *parts):
        cut = (..., rows, columns)
        seen = look.seen(images[cut].contiguous(), voices[cut].contiguous()).mean((2, 3))
        every, right = torch.cat([voices, second], dim=1)[cut][0].double(), wanted[cut][0].double()
        size = every.shape[-1] * every.shape[-2]
        alike, shown = [], []
        for kind in (slice(0, 1), slice(1, None)):
            flat = every[:, kind].flatten(1)
            alike.append(flat @ flat.T / size)
            shown.append(flat @ right[kind].flatten() / size)
        power = right.square().sum() / size
        kept.append({"seen": seen[0], "alike": torch.stack(alike), "right": torch.stack(shown), "power": power})
    return [{name: one.float() for name, one in some.items()} for some in kept]


def measure(photographs: Path, weights: Path, out: Path, patches: int, seed: int) -> None:
    """Degrade patches, and keep what a second look sees and may mix."""
    network = noiseda.load(weights)
    assert isinstance(network, ResidualUNet), "WEIGHTS are those of a U-Net that sees groups"
    network = with_look(network) if network.look is None else network
    wide, draws = Wide(weaker=0.1), torch.Generator().manual_seed(seed)
    clean, side = Varied(images=noiseda.photographs(photographs, degradation=wide).synthetic), PATCH + 2 * wide.margin
    inner = (..., slice(wide.margin, -wide.margin), slice(wide.margin, -wide.margin))
    kept: list[Known] = []
    for number in range(patches):
        shrunk = uniform((0.5, 1.0), draws) if integer(0, 1, draws) else 1.0
        _, (image,) = clean.draw(integer(0, 10**6, draws), min(math.ceil(side / shrunk), 440), draws)
        if image.shape[-1] != side:
            image = F.interpolate(image[None], size=(side, side), mode="bicubic", antialias=True)[0].clamp(0, 1)
        degraded = (weak(image, wide, draws) * 255).round() / 255
        parts = [part(draws) for _ in range(PARTS)]
        known = known_of(network, degraded[inner].contiguous(), image[inner].contiguous(), parts)
        kept += [{**one, "patch": torch.tensor(number)} for one in known]
        if (number + 1) % 50 == 0 or number + 1 == patches:
            print(f"{number + 1} patches", flush=True)
            torch.save({name: torch.stack([one[name] for one in kept]) for name in kept[0]}, out)


def shares_of(said: Tensor, voices: int) -> Tensor:
    """The share of each voice, with the strengths that were tried as voices, by what a second look says.

    Args:
        said: (N, 2 * voices + 1), as :class:`noiseda.restoration.SecondLook` has it.
        voices: its voices.

    Returns:
        (N, 2, voices - 1 + len(TRIED)).
    """
    shares, place = torch.unflatten(said[:, :-1], 1, (voices, 2)), said[:, -1].sigmoid()
    tried = torch.tensor(TRIED).log()
    weakest, strongest = SecondLook.strengths
    wanted = math.log(weakest) + place * math.log(strongest / weakest)
    below = (torch.bucketize(wanted, tried) - 1).clamp(0, len(TRIED) - 2)
    above = ((wanted - tried[below]) / (tried[below + 1] - tried[below])).clamp(0, 1)
    of_each = F.one_hot(below, len(TRIED)) * (1 - above)[:, None] + F.one_hot(below + 1, len(TRIED)) * above[:, None]
    return torch.cat([shares[:, :-1], shares[:, -1:] * of_each[:, :, None]], dim=1).transpose(1, 2)


def squared_errors(shares: Tensor, known: Known) -> Tensor:
    """The mean squared error of a mixture of each patch; (N,)."""
    own = torch.einsum("npk,npkl,npl->n", shares, known["alike"], shares)
    return (own - 2 * (shares * known["right"]).sum((1, 2)) + known["power"]).clamp(min=1e-9) / 3


def teach(look: SecondLook, known: Known, seed: int = 0) -> None:
    """Teach a second look in place (:func:`~noiseda_research.ready.taught.learn`).

    Args:
        look: it.
        known: what was measured, and ``patch``, the number of the patch of each.
        seed: of all draws.
    """

    def shares(seen: Tensor, dropped: float) -> Tensor:
        return shares_of(look.said(seen, dropped)[..., 0, 0], look.voices)

    learn(look, known, shares, squared_errors, epochs=EPOCHS, blurred=BLURRED, held=HELD, seed=seed)


def taught(network: ResidualUNet, known: Known, seed: int) -> ResidualUNet:
    """The network with a second look that has learnt from what was measured."""
    network = with_look(network)
    assert network.look is not None, "it was given one"
    teach(network.look, known, seed)
    return network


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    command(__doc__, arguments, measure, taught, patches=1500)


if __name__ == "__main__":
    main()
