"""What a network's second look is worth: its first estimate, what each strength makes of that, and their mixture.

    python -m noiseda_research.studies.second_look PAIRS WEIGHTS [--side 128]

PAIRS is a folder with ``input`` and ``target``; WEIGHTS are those of a U-Net that looks again. For the middles of its
images: mean PSNR of each. Beside it, the share of the noise's energy that is one offset for a whole middle, as where the
light changed between two exposures: no network can know it. Targets are read: never give a set by which figures are
reported.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from noiseda import UserError, load, read_image
from noiseda.data import paired_folder
from noiseda.estimation import middle
from noiseda.evaluation import psnr
from noiseda.restoration import STRENGTHS, ResidualUNet


def looks(network: ResidualUNet, degraded: Tensor) -> dict[str, Tensor]:
    """What is found of an image (C, H, W), whose sides are multiples of 8, on the way to what is returned last."""
    with torch.no_grad():
        changes = network.looked_again_at(degraded[None])[0]
        first, *again = (degraded + change for change in torch.split(changes, len(degraded)))
        found = {"input": degraded, "first": first}
        found |= {f"again at {strength:g}": one for strength, one in zip(STRENGTHS, again, strict=True)}
        return found | {"mixture": network.restore(degraded[None])[0]}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line.

    Raises:
        UserError: the weights are of another network.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--side", type=int, default=128, help="of the middles, in pixels: a multiple of 8")
    asked = parser.parse_args(arguments)
    network = load(asked.weights).eval()
    if not isinstance(network, ResidualUNet) or network.second is None:
        raise UserError(f"{asked.weights}: a U-Net that looks again was expected")
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
