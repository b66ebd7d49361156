"""What noise looks like: a few figures of the flat places of a photograph, and those of photographs simulated.

Simulating takes half a minute, and of the photographs that come with noiseda it gives the same every time. So that is
kept beside them, in ``looks.safetensors`` (``python -m noiseda_research.ready.looks`` writes it).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from noiseda.bars import bar
from noiseda.data.batches import generator as keyed
from noiseda.data.degradations import DEGRADATIONS, Degradation, uncompressed, without_colour
from noiseda.data.depth import EIGHT_BITS, Depth, shown
from noiseda.data.sampling import Range, log_uniform, one_thread
from noiseda.errors import ImageError, UserError
from noiseda.images import read
from noiseda.precision import FULL
from noiseda.restoration.ready import FOLDER

CANDIDATES: dict[str, Range] = {
    "shot": (2.0, 60.0),
    "shrunk": (50.0, 12000.0),
    "camera": (100.0, 12000.0),
    "phone": (500.0, 16000.0),
}
"""What may have happened to photographs, with the range of strengths, each in its own unit and drawn by octaves: their
noise was in the light, whether it then went through demosaicing and a phone's smoothing, or neither."""

SIMULATIONS = 300
"""Simulated photographs of each candidate."""

PHOTOGRAPHS = 64
"""Real photographs that are looked at, at most."""

SIDE = 32
"""Side of the patches, in pixels."""

CLIPPED = 0.01
"""Share of a patch's values that are black or white from which on it is clipped, where brightness does not show it."""

LEAST = 6
"""Patches that a photograph needs, at least."""

_REAL, _SIMULATED = 512, 320  # largest sides of what is looked at
OPPONENT = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])  # Y, Cb, Cr


SEED = 0
"""Seed of what is simulated, whatever that of a run is: what photographs went through is no matter of chance."""

LOOKS = FOLDER / "looks.safetensors"
"""What is kept of the photographs that come with noiseda."""

Simulated = tuple[list[tuple[str, float]], Tensor]
"""Candidate and strength of each simulated photograph, and its statistics (N, 11)."""


def candidate(kind: str, strength: float, *, deep: bool) -> Degradation:
    """One of :data:`CANDIDATES` at one strength; of files that are ``deep``, which were no JPEGs, or of others."""
    settings: dict[str, Any] = {"strength": (strength, strength)}
    return DEGRADATIONS[kind](**settings, **(uncompressed(kind) if deep else {}))


def simulated(clean: Sequence[Path], *, depth: Depth = EIGHT_BITS, colourless: bool = False) -> Simulated:
    """What :func:`simulate` makes of clean photographs; of those that come with noiseda it is read.

    Args:
        clean: clean photographs.
        depth: of the files that they are to look like.
        colourless: whether they are to be grey.

    Raises:
        UserError: where no photograph has flat places.
    """
    if depth == EIGHT_BITS and {path.parent for path in clean} == {FOLDER / "clean"}:
        with safe_open(LOOKS, "pt") as file:
            if file.metadata()["rules"] == _rules(clean):
                kinds, strengths, looks = (file.get_tensor(name) for name in _names(colourless))
                known = zip(map(list(CANDIDATES).__getitem__, kinds.tolist()), strengths.tolist(), strict=True)
                return list(known), looks
    return simulate(clean, SEED, depth=depth, colourless=colourless)


def keep_looks(clean: Sequence[Path], out: Path) -> None:
    """Write what :func:`simulated` reads.

    Args:
        clean: the photographs that come with noiseda.
        out: the file.
    """
    tensors: dict[str, Tensor] = {}
    for colourless in (False, True):
        known, looks = simulate(clean, SEED, colourless=colourless)
        kinds = torch.tensor([list(CANDIDATES).index(kind) for kind, _ in known], dtype=torch.uint8)
        strengths = torch.tensor([strength for _, strength in known], dtype=torch.float64)
        tensors |= dict(zip(_names(colourless), (kinds, strengths, looks), strict=True))
    save_file(tensors, out, {"rules": _rules(clean)})


def _names(colourless: bool) -> list[str]:
    return [f"{'grey' if colourless else 'colour'}.{part}" for part in ("candidates", "strengths", "looks")]


def _rules(clean: Sequence[Path]) -> str:
    """All that decides what is simulated, beside the photographs and the code."""
    return json.dumps([CANDIDATES, SIMULATIONS, [path.name for path in clean]])


def simulate(
    clean: Sequence[Path],
    seed: int,
    count: int = SIMULATIONS,
    *,
    depth: Depth = EIGHT_BITS,
    colourless: bool = False,
) -> tuple[list[tuple[str, float]], Tensor]:
    """Degrade clean photographs by every candidate.

    Args:
        clean: clean photographs, taken in turn.
        seed: seed of all draws.
        count: how many of each candidate.
        depth: of the files that they are to look like.
        colourless: whether they are to be grey.

    Returns:
        Candidate and strength of each simulated photograph, and its statistics (N, 11).

    Raises:
        UserError: where no photograph has flat places.
    """
    generator = keyed("matched", seed)
    rows, looks = [], []
    sources = middles(clean, PHOTOGRAPHS, depth.white)
    for index in bar(range(count), "looking"):
        for kind, bounds in CANDIDATES.items():
            strength = log_uniform(bounds, generator)
            photograph = middle(sources[index % len(sources)], _SIMULATED)
            photograph = without_colour(photograph)[:1].contiguous() if colourless else photograph
            degraded = candidate(kind, strength, deep=depth.deep)(photograph, generator)
            look = noise_statistics((degraded.clamp(0, 1) * depth.levels).round() / depth.levels, depth.levels)
            if look is not None:
                rows.append((kind, strength))
                looks.append(look)
    if not looks:
        raise UserError("--degradation.kind matched: no photograph of --clean has flat places of 32 x 32 pixels")
    return rows, torch.stack(looks)


@one_thread()
def noise_statistics(image: Tensor, levels: float = 255.0) -> Tensor | None:
    """Statistics of the noise of an image's flat places.

    Args:
        image: (C, H, W) in [0, 1].
        levels: steps from black to white: less than one of them is no noise.

    Returns:
        (11,): log deviation of luma and of chroma; correlation of luma with its neighbours at 1, the diagonal, 2 and 4
        pixels, and of chroma at 1, 2 and 4; log of the variance in darker places over that in brighter ones; how bright
        they are. Chroma is not a number in grey images. None where fewer than six patches are neither clipped nor
        without noise.
    """
    image = middle(image, _REAL)
    if min(image.shape[-2:]) < SIDE:
        return None
    patches = F.unfold(image.expand(3, -1, -1)[None], SIDE, stride=SIDE)[0].T.reshape(-1, 3, SIDE * SIDE)
    level = patches.mean(dim=(1, 2))
    rest = torch.einsum("ij,njk->nik", OPPONENT, _without_plane(patches)).reshape(-1, 3, SIDE, SIDE)
    structure = F.avg_pool2d(rest[:, :1], 8).flatten(1).var(dim=1)
    noisy = rest[:, 0].flatten(1).var(dim=1) > (0.3 / levels) ** 2
    usable = ((level > 0.06) & (level < 0.94) & noisy).nonzero()[:, 0]
    if len(usable) < LEAST and Depth(levels).deep:  # night skies: in fine steps dark places show their noise too
        clipped = ((patches <= 0) | (patches >= 1)).float().mean(dim=(1, 2))
        usable = ((clipped < CLIPPED) & noisy).nonzero()[:, 0]
    if len(usable) < LEAST:
        return None
    flattest = usable[structure[usable].argsort()[: max(LEAST, len(usable) // 10)]]
    rest, level = rest[flattest], level[flattest]
    least = max(1e-9 * (255 / levels) ** 2, 1e-13)  # float32 is no finer
    variance = rest.square().mean(dim=(2, 3)).clamp(min=least)  # (N, 3)

    def correlation(down: int, right: int) -> Tensor:
        one, other = rest[..., : SIDE - down, : SIDE - right], rest[..., down:, right:]
        middle: Tensor = ((one * other).mean(dim=(2, 3)) / variance).median(dim=0).values
        return middle

    one, two, four = ((correlation(0, lag) + correlation(lag, 0)) / 2 for lag in (1, 2, 4))
    typical = variance.median(dim=0).values
    order, half = level.argsort(), len(level) // 2
    darker, brighter = (variance[part, 0].mean().log() for part in (order[:half], order[half:]))
    luma = [typical[0].log() / 2, one[0], correlation(1, 1)[0], two[0], four[0]]
    chroma = [typical[1:].mean().log() / 2, *(lag[1:].mean() for lag in (one, two, four))]
    if typical[1:].max() <= least:
        chroma = [torch.tensor(torch.nan)] * len(chroma)
    return torch.stack([*luma, *chroma, darker - brighter, level.median()])


def _without_plane(patches: Tensor) -> Tensor:
    """(N, C, SIDE^2) less the plane that fits each best."""
    down, right = torch.meshgrid(torch.linspace(-1, 1, SIDE), torch.linspace(-1, 1, SIDE), indexing="ij")
    basis, _ = torch.linalg.qr(torch.stack([torch.ones(SIDE * SIDE), down.flatten(), right.flatten()], dim=1))
    rest: Tensor = patches - (patches @ basis) @ basis.T
    return rest


def middle(image: Tensor, side: int) -> Tensor:
    """The middle of an image (C, H, W), at most ``side`` pixels a side."""
    top, left = (max(0, (length - side) // 2) for length in image.shape[-2:])
    return image[:, top : top + side, left : left + side]


def middles(paths: Sequence[Path], count: int, white: int = FULL) -> list[Tensor]:
    """The middle of some photographs, evenly spread over the files.

    Args:
        paths: files.
        count: how many at most.
        white: the white level of files of 16 bits (:mod:`noiseda.data.depth`).

    Returns:
        Images (C, H, W) in [0, 1], at most 512 pixels a side; what cannot be read is left out, as it is from training.
    """
    count = min(count, len(paths))
    found = []
    for path in (paths[index * len(paths) // count] for index in range(count)):
        try:
            found.append(middle(shown([read(path)], white)[0], _REAL))
        except ImageError:
            continue
    return found
