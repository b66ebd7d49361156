"""Is what a network leaves of noise in places where the photographs are too soft to have any structure?

    python -m noiseda_research.studies.soft_photographs DIR/denoising/polyu/adapt WEIGHTS... [--scenes REGEX]

DIR/denoising/polyu/adapt holds pairs. For the middles of its images, 128 pixels a side: how soft they are, and for each
weights PSNR of the output, of the output seen through a Gaussian of 0.5 pixels (a rise says that the highest
frequencies hold more noise than structure), and the share of the noise that is left, <output - target, input - target>
over <input - target, input - target>. Targets are read: never give a set by which figures are reported.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

import torch
from torch import Tensor

from noiseda import load, read_image
from noiseda.data import gaussian, paired_folder
from noiseda.estimation import middle, softness
from noiseda.evaluation import psnr

SIDE, AROUND = 128, 16
BLUR = 0.5


def looked_at(network: torch.nn.Module, pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[float, float, float, float]:
    """PSNR of input, output and softened output, and the share of the noise that is left; means over the pairs."""
    rows = []
    for degraded, target in pairs:
        whole = middle(degraded, SIDE + 2 * AROUND)
        with torch.no_grad():
            restored = network(whole[None])[0].clamp(0, 1)
        x, y, out, soft = (middle(image, SIDE) for image in (whole, target, restored, gaussian(restored, BLUR)))
        noise = x - y
        left = float((noise * (out - y)).sum() / noise.square().sum())
        rows.append((*(psnr(image[None], y[None]).item() for image in (x, out, soft)), left))
    one, two, three, four = zip(*rows, strict=True)
    return fmean(one), fmean(two), fmean(three), fmean(four)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--scenes", default="", help="look at files alone whose name this regular expression is in")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    files = [pair for pair in paired_folder(asked.pairs) if re.search(asked.scenes, pair[0].name)]
    pairs = [(read_image(one).pixels, read_image(other).pixels) for one, other in files]
    widths = [width for degraded, _ in pairs if (width := softness(degraded)) is not None]
    print(f"{len(pairs)} pairs; softness of the inputs: median {median(widths):.2f} pixels, of {len(widths)}")
    print("| weights | input | output | seen through 0.5 pixels | noise left |\n|---|---|---|---|---|")
    for weights in asked.weights:
        x, out, soft, left = looked_at(load(weights).eval(), pairs)
        print(f"| {weights.parent.name}/{weights.stem} | {x:.2f} | {out:.2f} | {soft:.2f} | {left:.2f} |", flush=True)


if __name__ == "__main__":
    main()
