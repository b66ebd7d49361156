"""Rain like the user's own: which drawn rain leaves the same behind as theirs, where a network takes rain away.

Clean photographs are put under rain of every kind (:class:`~noiseda.data.rain.Rain`). A network that takes away rain
restores these and the user's photographs; what it took away is summed up in a few figures. The kinds of rain whose
figures are nearest to a photograph's are what it went through (approximate Bayesian computation; Beaumont, Zhang &
Balding, Genetics 2002). The network may take away too little: it takes too little from both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import ClassVar

import torch
from torch import Tensor

from noiseda.bars import bar
from noiseda.data.batches import generator as keyed
from noiseda.data.degradations import DEGRADATIONS
from noiseda.data.depth import EIGHT_BITS, Depth
from noiseda.data.rain import Drops, Rain, Streaks
from noiseda.data.sampling import integer, one_thread
from noiseda.errors import UserError
from noiseda.estimation.empirical_bayes import DRAWS, nearest
from noiseda.estimation.noise_looks import middle, middles
from noiseda.storage import atomic

SIMULATIONS = 400
"""Clean photographs that are put under rain."""

PHOTOGRAPHS = 48
"""Real photographs that are looked at, at most."""

SIDE = 160
"""Side of what is looked at of a photograph, in pixels."""

LEAST = 64
"""Smallest side that shows how long streaks are."""

_STEEP, _FLAT = (3, 6, 12, 24, 48), (1, 2, 4, 8)  # distances along streaks and across, in pixels
_SHARES = (0.05, 0.5, 0.8, 0.95, 0.99)


@dataclass(frozen=True)
class MatchedRain:
    """Rain of the kinds that the user's photographs are like.

    Attributes:
        found: kinds of rain, each as likely as the others.
    """

    found: tuple[Streaks | Drops, ...]
    margin: ClassVar[int] = 0

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        return self.found[integer(0, len(self.found) - 1, generator)](clean, generator)

    def __str__(self) -> str:
        """Coverage, length and width of most, and how many have haze.

        >>> print(MatchedRain((Streaks(strength=(4, 4), length=(20, 20), width=(2, 2), veil=(0, 0)),)))
        rain over 4% of the image (4% to 4%), streaks 20 pixels long and 2.0 wide, 0% with haze
        """
        covered = sorted(kind.strength[0] for kind in self.found)
        tenth = len(covered) // 10
        span = f"{covered[tenth]:.2g}% to {covered[-1 - tenth]:.2g}%"
        length, width = (median(fmean(getattr(kind, name)) for kind in self.found) for name in ("length", "width"))
        hazy = fmean(kind.veil[1] > 0 for kind in self.found)
        return (
            f"rain over {median(covered):.2g}% of the image ({span}), streaks {length:.0f} pixels long and "
            f"{width:.1f} wide, {hazy:.0%} with haze"
        )


def matched_rain(
    real: Sequence[Path],
    clean: Sequence[Path],
    kept: Path,
    restore: Callable[[Tensor], Tensor],
    *,
    seed: int,
    depth: Depth = EIGHT_BITS,
) -> MatchedRain:
    """Find which rain is like that of real photographs; what was found before for the same ones is read again.

    Args:
        real: real photographs; 48 of them, evenly spread, are looked at.
        clean: clean photographs.
        kept: file for what is found.
        restore: takes rain away from an image (C, H, W) in [0, 1].
        seed: seed of all draws.
        depth: of the real ones.

    Raises:
        UserError: no photograph of either is large enough.
    """
    asked = {"rain": [SIMULATIONS, PHOTOGRAPHS, SIDE, DRAWS, *Rain.strength], "depth": [depth.levels, depth.white]}
    if kept.exists():
        document = json.loads(kept.read_text())
        if document["asked"] == asked:
            return MatchedRain(tuple(map(_read, document["found"])))
    photographs, sources = (_large(middles(paths, PHOTOGRAPHS, depth.white)) for paths in (real, clean))
    for flag, found in (("real", photographs), ("clean", sources)):
        if not found:
            raise UserError(f"--degradation.kind matched: no photograph of --{flag} has {LEAST} x {LEAST} pixels")
    draws, rain = keyed("matched rain", seed), Rain()
    simulated, known = [], []
    for index in bar(range(SIMULATIONS), "looking"):
        kind = rain.kind(draws)
        rainy = kind(sources[index % len(sources)], draws)
        rainy = (rainy.clamp(0, 1) * depth.levels).round() / depth.levels
        simulated.append(kind)
        known.append(rain_statistics(rainy, restore(rainy)))
    looks = torch.stack([rain_statistics(image, restore(image)) for image in photographs])
    spread = torch.stack(known).std(dim=0).clamp(min=1e-6)
    chosen = tuple(nearest(looks / spread, torch.stack(known) / spread, simulated))
    kept.parent.mkdir(parents=True, exist_ok=True)
    with atomic(kept) as file:
        file.write(json.dumps({"asked": asked, "found": [_written(kind) for kind in chosen]}, indent=1).encode())
    return MatchedRain(chosen)


@one_thread()
def rain_statistics(rainy: Tensor, restored: Tensor) -> Tensor:
    """What a network took away from an image, in figures.

    Args:
        rainy: (C, H, W) in [0, 1].
        restored: the same, restored.

    Returns:
        (18,): its deviation and skewness; five of its quantiles; whether it has one direction; its correlation along
        that direction at five distances, and across at four; and how it goes along with brightness.
    """
    taken, brightness = (rainy - restored).mean(dim=0), restored.mean(dim=0)
    rest = taken - taken.mean()
    variance = rest.square().mean().clamp(min=1e-8)
    down, right = rest.diff(dim=0)[:, :-1], rest.diff(dim=1)[:-1]
    steep, mixed, flat = (product.mean() for product in (right * right, right * down, down * down))
    directed = torch.hypot(steep - flat, 2 * mixed) / (steep + flat).clamp(min=1e-12)
    angle = torch.atan2(2 * mixed, steep - flat) / 2  # of the streaks, against the vertical
    size = tuple(2 * length for length in rest.shape)
    spectrum = torch.fft.rfft2(rest, s=size).abs().square()
    correlation = torch.fft.irfft2(spectrum, s=size) / (variance * rest.numel())

    def at(distance: int, turned: Tensor) -> Tensor:
        row, column = (distance * turned.cos()).round(), (-distance * turned.sin()).round()
        found: Tensor = correlation[int(row) % size[0], int(column) % size[1]]
        return found

    along = [at(distance, angle) for distance in _STEEP]
    across = [at(distance, angle + torch.pi / 2) for distance in _FLAT]
    quantiles = torch.quantile(taken.flatten(), torch.tensor(_SHARES)).clamp(min=0).add(0.003).log()
    shade = brightness - brightness.mean()
    slope = (rest * shade).mean() / (shade.square().mean() + 1e-4)
    skewness = 0.3 * rest.pow(3).mean() / variance**1.5
    return torch.stack([variance.log() / 2, skewness, *quantiles, directed, *along, *across, slope])


def _large(images: Sequence[Tensor]) -> list[Tensor]:
    return [middle(image.expand(3, -1, -1), SIDE) for image in images if min(image.shape[-2:]) >= LEAST]


def _written(kind: Streaks | Drops) -> dict[str, object]:
    return {"kind": next(name for name, made in DEGRADATIONS.items() if made is type(kind)), **asdict(kind)}


def _read(written: dict[str, object]) -> Streaks | Drops:
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in written.items()}
    found = DEGRADATIONS[str(settings.pop("kind"))](**settings)
    assert isinstance(found, Streaks | Drops)
    return found
