"""How much worse a network restores the border of a picture, and whether padding the picture before helps.

    python -m noiseda_research.ready.border FOLDER WEIGHTS [--images N] [--side SIDE] [--margin N]
                                            [--pad reflect:16 replicate:16 ...]

FOLDER has ``input`` and ``target``. Of each picture the middle is restored: as it is (the network pads it inside, most
with zeros), padded before and cut afterwards, and together with its true surroundings, which no picture has at its
border. PSNR is of the pixels so far from the border of that middle; the mean is over pictures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from noiseda import load, read_image
from noiseda.data import paired_folder, spread
from noiseda_research.ready.options import middle

RINGS = ((0, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 10**6), (0, 10**6))
"""Distances from the border, from and to; the last is the whole."""

Restore = Callable[[Tensor], Tensor]


def padded(network: Restore, how: str) -> Restore:
    """What restores a picture, (C, H, W), that it pads before, as ``reflect:16``: the mode of torch and the pixels."""
    mode, _, number = how.partition(":")
    width = int(number)

    def restore(image: Tensor) -> Tensor:
        larger = functional.pad(image[None], (width,) * 4, mode=mode)[0]
        return network(larger)[:, width:-width, width:-width]

    return restore


def rings(restored: Tensor, target: Tensor) -> list[float]:
    """PSNR in dB of each of :data:`RINGS`; (C, H, W) in [0, 1] both."""
    error = (restored.clamp(0, 1) - target).square().mean(dim=0)
    rows, columns = (torch.arange(side) for side in error.shape)
    near = [torch.minimum(place, place.flip([0])) for place in (rows, columns)]
    away = torch.minimum(near[0][:, None], near[1])
    return [float(-10 * error[(away >= start) & (away < stop)].mean().log10()) for start, stop in RINGS]


def measure(
    pictures: Sequence[tuple[Tensor, Tensor]], network: Restore, pads: Sequence[str], margin: int
) -> dict[str, tuple[Tensor, float]]:
    """The mean PSNR of each ring, and the seconds of the processor a megapixel, of each way to restore.

    Args:
        pictures: (input, target), (C, H, W) each.
        network: (C, H, W) -> the same.
        pads: as :func:`padded` takes them.
        margin: how far the true surroundings reach.
    """
    ways: dict[str, Restore] = {
        "as it is": network,
        **{how: padded(network, how) for how in pads},
        "input": lambda image: image,
    }
    found: dict[str, list[list[float]]] = {name: [] for name in (*ways, "true surroundings")}
    seconds, pixels = dict.fromkeys(found, 0.0), 0
    for degraded, target in pictures:
        side = target.shape[1] - 2 * margin
        inner, truth = middle(degraded, side), middle(target, side)
        pixels += side**2
        found["true surroundings"].append(rings(middle(network(degraded), side), truth))
        for name, restore in ways.items():
            began = time.process_time()
            restored = restore(inner)
            seconds[name] += time.process_time() - began
            found[name].append(rings(restored, truth))
    return {name: (torch.tensor(values).mean(dim=0), 1e6 * seconds[name] / pixels) for name, values in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--images", type=int, default=24, help="how many, evenly spread")
    parser.add_argument("--side", type=int, default=256, help="of the square that is taken of each, surroundings too")
    parser.add_argument("--margin", type=int, default=40, help="of surroundings on each side")
    parser.add_argument("--pad", nargs="+", default=["reflect:8", "reflect:16", "replicate:8", "replicate:16"])
    asked = parser.parse_args(arguments)
    there = paired_folder(asked.folder)
    chosen = [there[index] for index in spread(len(there), asked.images)]
    pictures = [(middle(x, asked.side), middle(y, asked.side)) for x, y in _read(chosen)]
    network = load(asked.weights)
    with torch.inference_mode():
        found = measure(pictures, lambda image: network(image[None])[0], asked.pad, asked.margin)
    print(f"{len(pictures)} pictures; rings", *(f"{start}-{stop}" for start, stop in RINGS[:-2]), "inside whole")
    for name, (values, seconds) in found.items():
        print(f"{name:18}", *(f"{value:6.2f}" for value in values.tolist()), f" {seconds:.1f} s a megapixel")


def _read(pairs: Sequence[tuple[Path, Path]]) -> list[tuple[Tensor, Tensor]]:
    return [(read_image(degraded).pixels, read_image(target).pixels) for degraded, target in pairs]


if __name__ == "__main__":
    main()
