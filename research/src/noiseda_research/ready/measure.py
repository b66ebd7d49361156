"""The absolute table: PSNR of weights, and of BM3D, on real photographs and on white noise of known strength.

    python -m noiseda_research.ready.measure DATA WEIGHTS [WEIGHTS...] [--sets NAME...] [--out FILE]

DATA is a folder with ``denoising/polyu/test``, ``denoising/sidd-small/test`` and ``clean/kodak24``. In place of weights
``input`` measures what is restored, and ``bm3d:18`` the rival told one sigma of 18 (its package is not of this
project's). White noise is not clipped, as in what is published of DnCNN, FFDNet and DRUNet. ``patterns-5`` is for
``DATA/patterns``, which ``noiseda_research.ready.patterns`` draws with another seed than that of the training.

Beside the means stands the least gain over the input: one picture that is wiped out hides in a mean.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from noiseda import find_images, load, read_image
from noiseda.data import generator, paired_folder
from noiseda.evaluation import PROTOCOLS
from noiseda_research.comparison.scores import restore_whole

REAL = {"polyu": "denoising/polyu/test", "sidd": "denoising/sidd-small/test"}
WHITE = {f"kodak-{sigma}": ("clean/kodak24", sigma) for sigma in (15, 25, 50)} | {"patterns-5": ("patterns", 5)}

Restore = Callable[[Tensor], Tensor]


def pairs(data: Path, name: str) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The name, the input and the target of each image of a set, (C, H, W)."""
    if name in REAL:
        for degraded, target in paired_folder(data / REAL[name]):
            yield degraded.stem, read_image(degraded).pixels, read_image(target).pixels
        return
    folder, sigma = WHITE[name]
    for path in find_images(data / folder):
        clean = read_image(path).pixels
        noise = torch.randn(clean.shape, generator=generator(0, path.stem, sigma))
        yield path.stem, clean + sigma / 255 * noise, clean


def restorer(of: str) -> Restore:
    """What restores an image, by the name that the command line has for it."""
    if of == "input":
        return lambda image: image
    if of.startswith("bm3d:"):
        sigma = float(of.removeprefix("bm3d:")) / 255
        rival = importlib.import_module("bm3d")
        return lambda image: torch.from_numpy(
            rival.bm3d_rgb(image.permute(1, 2, 0).double().numpy(), sigma)
        ).float().permute(2, 0, 1)  # fmt: skip
    network = load(Path(of))
    return lambda image: restore_whole(network, image)


def measure(data: Path, of: str, name: str) -> dict[str, float]:
    """The mean PSNR and SSIM over a set, the least gain of PSNR, and the seconds of processor time a megapixel."""
    restore = restorer(of)
    scores, gains, pixels, seconds = [], [], 0, 0.0
    for _, degraded, target in pairs(data, name):
        began = time.process_time()
        with torch.no_grad():
            restored = restore(degraded)
        seconds += time.process_time() - began
        pixels += target[0].numel()
        scores.append(PROTOCOLS["rgb"].score(restored, target))
        gains.append(scores[-1]["psnr"] - PROTOCOLS["rgb"].score(degraded, target)["psnr"])
    means = {measure: fmean(score[measure] for score in scores) for measure in ("psnr", "ssim")}
    return means | {"least_gain": min(gains), "images": len(scores), "seconds_a_megapixel": 1e6 * seconds / pixels}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--sets", nargs="+", default=[*REAL, *list(WHITE)[:3]], choices=[*REAL, *WHITE])
    parser.add_argument("--out", type=Path, help="file that gets a line of JSON for each")
    asked = parser.parse_args(arguments)
    for of in asked.weights:
        for name in asked.sets:
            found = measure(asked.data, of, name)
            print(f"{of} {name} " + " ".join(f"{key} {value:.4g}" for key, value in found.items()), flush=True)
            if asked.out:
                with asked.out.open("a") as file:
                    file.write(json.dumps({"of": of, "set": name, **found}) + "\n")


if __name__ == "__main__":
    main()
