"""Is the truth of some pairs softer than their inputs, so that blur is rewarded?

    OMP_NUM_THREADS=1 python -m noiseda_research.studies.soft_truths DIR/denoising/polyu/adapt WEIGHTS [--side 256]

The truth of a photograph may be the mean of many; where things or the camera moved in between, that is blurred. Noise
knows nothing of the truth, so in each band of frequencies the truth's share in the error, <input - truth, truth> over
<truth, truth>, is 0 but for chance. Where it is above, the input has so much more contrast than the truth has.

Of middles of the images: that share in three bands (brightness, cycles a pixel), in the median, since pictures without
structure leave it to chance; mean PSNR of the output, and of the output seen through Gaussians. Pairs are parted by
whether the middle band's share is above --blurred. Targets are read: never give a set by which figures are reported.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

import torch
from torch import Tensor

from noiseda import load, read_image
from noiseda.data import gaussian, paired_folder
from noiseda.estimation import middle
from noiseda.evaluation import psnr
from noiseda.inference import restore_tensor

BANDS = ((0.05, 0.1), (0.1, 0.15), (0.15, 0.2))
SEEN_THROUGH = (0.0, 0.4, 0.6, 0.8)


def shares(degraded: Tensor, truth: Tensor) -> list[float]:
    """The truth's share in the error, in each of :data:`BANDS`; images (C, H, W) in [0, 1]."""
    across, down = (torch.fft.fftfreq(side) for side in (truth.shape[-1], truth.shape[-2]))
    far = (down[:, None].square() + across.square()).sqrt()
    window = torch.hann_window(truth.shape[-2])[:, None] * torch.hann_window(truth.shape[-1])
    brightness = truth.mean(0) - truth.mean()
    error, right = (torch.fft.fft2(window * image) for image in ((degraded - truth).mean(0), brightness))
    found = []
    for low, high in BANDS:
        inside = (far >= low) & (far < high)
        both = (error * right.conj()).real[inside].sum()
        found.append(float(both / right.abs().square()[inside].sum().clamp(min=1e-12)))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--blurred", type=float, default=0.03)
    asked = parser.parse_args(arguments)
    network, rows = load(asked.weights), list[tuple[list[float], list[float]]]()
    for one, other in paired_folder(asked.pairs):
        x, y = (middle(read_image(path).pixels, asked.side) for path in (one, other))
        restored = restore_tensor(network, x)
        seen = [restored if scale == 0 else gaussian(restored, scale) for scale in SEEN_THROUGH]
        rows.append((shares(x, y), [psnr(image.clamp(0, 1)[None], y[None]).item() for image in (x, *seen)]))
        print(one.name, *(f"{value:+.3f}" for value in rows[-1][0]), *(f"{value:.2f}" for value in rows[-1][1]))
    names = [f"{low} to {high}" for low, high in BANDS] + ["input", "output"]
    names += [f"through {scale}" for scale in SEEN_THROUGH[1:]]
    print(f"\n| truth | pairs | {' | '.join(names)} |\n{'|---' * (len(names) + 2)}|")
    for name, soft in (("softer than the input", True), ("as sharp", False)):
        some = [(found, values) for found, values in rows if (found[1] > asked.blurred) == soft]
        if some:
            usual = [median(values) for values in zip(*(found for found, _ in some), strict=True)]
            scores = [fmean(values) for values in zip(*(values for _, values in some), strict=True)]
            cells = [f"{value:+.3f}" for value in usual] + [f"{value:.2f}" for value in scores]
            print(f"| {name} | {len(some)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
