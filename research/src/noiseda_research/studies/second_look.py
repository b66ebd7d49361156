"""What BM3D's second stage is worth after a network: groups of similar blocks are shrunk by what the network found.

    python -m noiseda_research.studies.second_look PAIRS WEIGHTS [--side 128]

PAIRS is a folder with ``input`` and ``target``. For the middles of its images: mean PSNR of the network's output, of
what each strength of the noise makes of it, and of the mean of both. Beside it, the share of the noise's energy that is
one offset for a whole middle, as where the light changed between two exposures: no network can know it. Targets are
read: never give a set by which figures are reported.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor, nn

from noiseda import load, read_image
from noiseda.data import paired_folder
from noiseda.estimation import middle
from noiseda.evaluation import psnr
from noiseda.restoration import STRENGTHS, Groups


def looks(network: nn.Module, degraded: Tensor) -> dict[str, Tensor]:
    """What is made of an image (C, H, W) whose sides are multiples of 4."""
    images, groups = degraded[None], Groups(channels=len(degraded))
    with torch.no_grad():
        first = network(images)
        again = images + torch.unflatten(groups.again(images, first, groups.search(images))[0], 0, (-1, len(degraded)))
    found = {"input": degraded, "network": first[0]}
    for strength, one in zip(STRENGTHS, again, strict=True):
        found |= {f"again at {strength:g}": one, f"mean with {strength:g}": (one + first[0]) / 2}
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--side", type=int, default=128, help="of the middles, in pixels: a multiple of 4")
    asked = parser.parse_args(arguments)
    network = load(asked.weights).eval()
    scores: dict[str, list[float]] = {}
    offsets = []
    for files in paired_folder(asked.pairs):
        degraded, target = (middle(read_image(file).pixels, asked.side) for file in files)
        noise = degraded - target
        offsets.append(float(noise.mean((1, 2)).square().mean() / noise.square().mean().clamp_min(1e-12)))
        for name, image in looks(network, degraded).items():
            scores.setdefault(name, []).append(psnr(image[None].clamp(0, 1), target[None]).item())
    print("| " + " | ".join(scores) + " | offset |\n" + "|---" * (len(scores) + 1) + "|")
    print("| " + " | ".join(f"{fmean(one):.2f}" for one in scores.values()) + f" | {100 * fmean(offsets):.1f}% |")


if __name__ == "__main__":
    main()
