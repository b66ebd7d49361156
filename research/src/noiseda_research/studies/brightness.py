"""How much of what is left of noisy photographs is brightness alone: one number for each colour of an image?

    OMP_NUM_THREADS=1 python -m noiseda_research.studies.brightness DIR/denoising/sidd-small/adapt WEIGHTS... [--side 160]

The mean of a noisy photograph may differ from that of its truth. Where it is always darker, the tone curve after the
noise made it so (:class:`noiseda.restoration.Unbiased`). Where it is darker as often as brighter, the light or the
truth has changed between two pictures, and nobody can know it.

Of middles of the images: what the input has too much, in 1/255, its mean and deviation over images, and how many are
darker; then for the input and each network mean PSNR, mean PSNR had each colour of an image the mean of its truth, and
the share of the squared error that this is. Targets are read: never give a set by which figures are reported.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, pstdev

from torch import Tensor

from noiseda import load, read_image
from noiseda.data import paired_folder
from noiseda.estimation import middle
from noiseda.evaluation import psnr
from noiseda.inference import restore_tensor


def parted(restored: Tensor, truth: Tensor) -> tuple[float, float, float, float]:
    """PSNR, PSNR with the mean of the truth, squared error, and that of the mean; images (C, H, W) in [0, 1]."""
    error = restored - truth
    off = error.mean((1, 2), keepdim=True)
    both = [psnr(image.clamp(0, 1)[None], truth[None]).item() for image in (restored, restored - off)]
    return both[0], both[1], error.square().mean().item(), off.square().mean().item()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("weights", type=Path, nargs="*")
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--every", type=int, default=1, help="take every so many pairs alone")
    asked = parser.parse_args(arguments)
    networks = {str(path): load(path) for path in asked.weights}
    rows: dict[str, list[tuple[float, float, float, float]]] = {"input": [], **{name: [] for name in networks}}
    offsets = []
    for one, other in paired_folder(asked.pairs)[:: asked.every]:
        x, y = (middle(read_image(path).pixels, asked.side).contiguous() for path in (one, other))
        offsets.append(255 * (x - y).mean().item())
        rows["input"].append(parted(x, y))
        for name, network in networks.items():
            rows[name].append(parted(restore_tensor(network, x).clamp(0, 1), y))
    darker = sum(offset < 0 for offset in offsets)
    print(f"{len(offsets)} images, {fmean(offsets):+.2f} ± {pstdev(offsets):.2f} of 255; {darker} of them are darker\n")
    print("| | PSNR | with the truth's mean | share of the squared error |\n|---|---|---|---|")
    for name, found in rows.items():
        scores, without, errors, means = (list(each) for each in zip(*found, strict=True))
        print(f"| {name} | {fmean(scores):.2f} | {fmean(without):.2f} | {sum(means) / sum(errors):.0%} |")


if __name__ == "__main__":
    main()
