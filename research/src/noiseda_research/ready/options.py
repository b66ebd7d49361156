"""What ``noiseda restore --self-ensemble`` and ``--strength`` bring: PSNR and seconds, on sets with truth.

    python -m noiseda_research.ready.options DATA WEIGHTS [--sets NAME...] [--images N] [--crop SIDE]
                                              [--out FILE]

DATA and the sets are those of ``noiseda_research.ready.measure``; N images evenly spread are taken of
each, and the middle of each where a side is given. Each image is restored once plainly and once over
eight views; all strengths are blended from these two, as the command does. ``input`` is the degraded image.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from noiseda import load
from noiseda.data import spread
from noiseda.evaluation import PROTOCOLS
from noiseda.inference import Model, adjusted, restore_tensor
from noiseda_research.ready.measure import REAL, WHITE, pairs

STRENGTHS = (0.5, 0.75, 0.9, 1.0, 1.1, 1.25)


@dataclass(frozen=True)
class Record:
    """What was measured of an image.

    Attributes:
        set: that it is of.
        image: its name.
        megapixels: its size.
        psnr: dB of each way to restore it, and of the input.
        seconds: of the processor, for one view and for eight.
    """

    set: str
    image: str
    megapixels: float
    psnr: dict[str, float]
    seconds: dict[str, float]


class Once:
    """A network that remembers what it made of the image it saw last, and how long it took.

    Args:
        network: (B, C, H, W) -> the same.
        border: by how much it wants images extended.
        multiple_of: to what multiple it pads them.
    """

    def __init__(self, network: Model, border: int, multiple_of: int) -> None:
        self.network, self.border, self.multiple_of = network, border, multiple_of
        self.channels, self.seconds = 3, 0.0
        self.seen: tuple[Tensor, Tensor] | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Restore; the same image again takes no time."""
        if self.seen is None or not torch.equal(self.seen[0], images):
            began = time.process_time()
            self.seen = images.clone(), self.network(images)
            self.seconds = time.process_time() - began
        return self.seen[1]


def scores(weights: Path, data: Path, name: str, images: int | None, crop: int | None) -> Iterator[Record]:
    """PSNR of each image of a set, restored in each way, one record an image.

    Args:
        weights: of the network.
        data: folder of the sets.
        name: of the set.
        images: how many of it, evenly spread; None is all.
        crop: side of the middle that is taken of each; None is the whole.
    """
    network, there = load(weights), list(pairs(data, name))
    for index in spread(len(there), images or len(there)):
        image, *both = there[index]
        degraded, target = both if crop is None else (middle(pixels, crop) for pixels in both)
        psnr = {"input": PROTOCOLS["rgb"].score(degraded.clamp(0, 1), target)["psnr"]}
        seconds: dict[str, float] = {}
        for ensemble, way in enumerate(("one view", "eight views")):
            seen = adjusted(network, self_ensemble=bool(ensemble), strength=1.0)
            once = Once(seen, network.border, network.multiple_of)
            for strength in STRENGTHS:
                blended = adjusted(once, self_ensemble=False, strength=strength)
                restored = restore_tensor(blended, degraded, tile=None)
                psnr[f"{way}, strength {strength:g}"] = PROTOCOLS["rgb"].score(restored, target)["psnr"]
            seconds[way] = once.seconds
        yield Record(name, image, target[0].numel() / 1e6, psnr, seconds)


def middle(pixels: Tensor, side: int) -> Tensor:
    """The middle of an image, (C, H, W) -> (C, side, side)."""
    top, left = ((length - side) // 2 for length in pixels.shape[1:])
    return pixels[:, top : top + side, left : left + side].contiguous()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--sets", nargs="+", default=["polyu", "sidd", "kodak-25"], choices=[*REAL, *WHITE])
    parser.add_argument("--images", type=int, help="how many of each set")
    parser.add_argument("--crop", type=int, help="side of the middle of each that is taken")
    parser.add_argument("--out", type=Path, help="file that gets a line of JSON for each image")
    asked = parser.parse_args(arguments)
    for name in asked.sets:
        found = []
        for record in scores(asked.weights, asked.data, name, asked.images, asked.crop):
            found.append(record)
            if asked.out:
                with asked.out.open("a") as file:
                    file.write(json.dumps(vars(record)) + "\n")
        for way in found[0].psnr:
            print(f"{name} ({len(found)} images) {way}: {fmean(one.psnr[way] for one in found):.2f} dB", flush=True)
        for way in found[0].seconds:
            seconds = sum(one.seconds[way] for one in found) / sum(one.megapixels for one in found)
            print(f"{name} {way}: {seconds:.1f} seconds of the processor a megapixel", flush=True)


if __name__ == "__main__":
    main()
