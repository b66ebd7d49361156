"""The absolute table, first step: measure rivals and networks on every set.

    OMP_NUM_THREADS=1 python -m noiseda_research.classical DATA LINES [--sets NAME...] [--rivals NAME...]
        [--crop SIDE] [--strengths S...]

DATA is a folder with what the sets need: ``denoising/polyu/test``, ``denoising/sidd-small/test``,
``denoising/oct/test`` and ``clean/kodak24`` for noise, ``deraining/rain100l/test`` for rain, ``deblurring/levin/test``
and ``deblurring/gopro`` for blur, ``jpeg/live1`` for JPEG. LINES is a file of JSON, one line an image. The same command
goes on where it was stopped. ``python -m noiseda_research.classical.table LINES`` prints the table.

A rival NAME=PATH is a network of noiseda, by its weights. Of the others, median is for rain, unsharp and
richardson-lucy are for blur, rejpeg is for JPEG. Those for noise serve for JPEG too. Blur is scored at the best whole
shift.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from noiseda_research.classical.measure import measure, plan
from noiseda_research.classical.pictures import SETS
from noiseda_research.classical.rivals import RIVALS


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the images")
    parser.add_argument("lines", type=Path, help="file that gets a line of JSON for each image")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS, metavar="NAME", help=", ".join(SETS))
    parser.add_argument(
        "--rivals", nargs="+", default=list(RIVALS), metavar="NAME", help=f"{', '.join(RIVALS)}, or NAME=PATH"
    )
    parser.add_argument("--crop", type=int, help="side in pixels of the middle of each image; whole images by default")
    parser.add_argument("--strengths", nargs="+", type=float, default=[], help="those tried, as the rival counts them")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for line in measure(asked.data, asked.lines, plan(asked.sets, asked.rivals, asked.crop, asked.strengths)):
        at = "" if line.parameter is None else f" at {line.parameter:.3g}"
        print(f"{line.set} {line.picture} {line.rival}{at}: {line.psnr:.2f} dB, {line.seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
