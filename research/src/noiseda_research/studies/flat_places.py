"""Is the noise of flat places that of the whole photograph? True and estimated noise, by brightness.

    python -m noiseda_research.studies.flat_places WEIGHTS PAIRS [PAIRS ...]

WEIGHTS is a restorer, in whose results flat patches are looked for, as --strategy flat-noise does; PAIRS are folders
with input/ and target/, whose truth is only looked at. Prints, for each band of brightness, the standard deviation of
the true noise (input - target, each patch without its mean) in flat patches and in all others, and what is estimated
from the flat ones alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda import load, read_image
from noiseda.data import paired_folder, spread
from noiseda.estimation import NoiseBank
from noiseda.inference import restore_tensor

PATCH, BANDS, PHOTOGRAPHS, SIDE = 48, 8, 20, 240


def patches(image: Tensor) -> Tensor:
    """(3, H, W) -> (N, 3, PATCH, PATCH), of its upper left part."""
    cut = F.unfold(image[None, :, :SIDE, :SIDE], PATCH, stride=PATCH)[0].T
    return cut.reshape(-1, len(image), PATCH, PATCH)


def deviation(noise: Tensor) -> str:
    """Of patches, each without its mean."""
    if not len(noise):
        return "-"
    return f"{(noise - noise.mean((2, 3), keepdim=True)).square().mean().sqrt():.4f}"


def main() -> None:
    """Measure every folder and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("pairs", type=Path, nargs="+")
    arguments = parser.parse_args()
    network = load(arguments.weights)
    for folder in arguments.pairs:
        pairs = paired_folder(folder)
        found: list[tuple[Tensor, ...]] = []
        for index in spread(len(pairs), PHOTOGRAPHS):
            x, y = (read_image(path).pixels for path in pairs[index])
            found.append((patches(x), patches(y), patches(restore_tensor(network, x))))
        x, y, restored = (torch.cat(parts) for parts in zip(*found, strict=True))
        bank = NoiseBank(channels=x.shape[1], patch=PATCH, share=0.15)
        flat, estimate, _ = bank.keep(x, restored)
        band_of = (y.flatten(1).mean(dim=1) * BANDS).long().clamp(0, BANDS - 1)
        print(f"\n{folder}: {len(x)} patches, {int(flat.sum())} of them flat\n")
        print("| brightness | patches | flat | true, flat | estimated, flat | true, elsewhere |")
        print("|---" * 6 + "|")
        for band in range(BANDS):
            here = band_of == band
            cells = [deviation(z[here & m]) for z, m in ((x - y, flat), (estimate, flat), (x - y, ~flat))]
            if here.any():
                low = band / BANDS
                print(
                    f"| {low:.2f} to {low + 1 / BANDS:.2f} | {here.sum()} | {(here & flat).sum()} | {' | '.join(cells)} |"
                )


if __name__ == "__main__":
    main()
