"""Whole images against tiles: the largest difference in 1/255, and whether a seam shows where tiles meet.

    python -m bench.seams [--weights FILE.safetensors] [--photos FOLDER] [--noise 25] [--out FILE.json]

Without weights, a small U-Net learns to denoise for a minute. Without a folder, scikit-image's photographs are continued
by mirroring to 2 megapixels; all are cropped so that tiles share no more than the overlap. White noise of standard deviation ``--noise`` / 255 is added (0: none). The seam is the mean
|second difference| across the lines where tiles blend, over that elsewhere; ``seam.whole`` is the same of the whole image,
where nothing meets: what the photographs themselves have there. Tile and overlap of 0 stand for the defaults, whose
largest difference and seam are ``difference`` and ``seam``.
"""

from __future__ import annotations

import argparse
import inspect
import itertools
import sys
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.large_photograph import photograph
from bench.processes import show
from noiseda.images import find_images, from_samples, read
from noiseda.inference import restore_tensor
from noiseda.inference.tiling import spans
from noiseda.restoration import UNet, load

DEFAULTS = {name: inspect.signature(restore_tensor).parameters[name].default for name in ("tile", "overlap")}


def measure(
    weights: Path | None = None,
    photos: Path | None = None,
    *,
    noise: float = 25,
    tilings: tuple[tuple[int, int], ...] = ((0, 0),),
    limit: int = 4,
) -> dict[str, float]:
    """All figures by name; of several photographs the worst difference and the mean seam."""
    model = load(weights) if weights else denoiser(noise / 255)
    found: dict[str, float] = {"parameters": sum(p.numel() for p in model.parameters())}
    pictures = _pictures(photos, noise / 255, limit)
    found["photographs"] = len(pictures)
    for tile, overlap in tilings:
        tile, overlap = tile or DEFAULTS["tile"], overlap or DEFAULTS["overlap"]
        errors, seams, others = [], [], []
        for picture in pictures:
            height, width = (_tight(side, tile, overlap) for side in picture.shape[1:])
            cropped = picture[:, :height, :width]
            whole = restore_tensor(model, cropped, tile=None, overlap=0, precision="fp32")
            tiled = restore_tensor(model, cropped, tile=tile, overlap=overlap, precision="fp32")
            errors.append(255 * (whole - tiled).abs())
            seams.append(seam(tiled, tile, overlap))
            others.append(seam(whole, tile, overlap))
        name = f"tile {tile} overlap {overlap}"
        found[f"{name}.max_255"] = max(error.max().item() for error in errors)
        found[f"{name}.mean_255"] = _mean(error.mean().item() for error in errors)
        found[f"{name}.seam"] = _mean(seams)
        found[f"{name}.seam.whole"] = _mean(others)
        if (tile, overlap) == (DEFAULTS["tile"], DEFAULTS["overlap"]):
            found |= {"difference": found[f"{name}.max_255"], "seam": found[f"{name}.seam"]}
    return found


def seam(image: Tensor, tile: int, overlap: int) -> float:
    """Mean |second difference| across the lines where tiles blend, over that elsewhere."""
    inside: list[Tensor] = []
    outside: list[Tensor] = []
    for turned in (image, image.transpose(1, 2)):  # (C, H, W): across rows, then across columns
        bend = (turned[:, 2:] - 2 * turned[:, 1:-1] + turned[:, :-2]).abs()
        places = spans(turned.shape[1], tile, overlap)
        near = torch.zeros(bend.shape[1], dtype=torch.bool)
        for (_, stop, _), (start, _, _) in itertools.pairwise(places):
            middle, reach = (start + stop) // 2, max(overlap // 4, 1)
            near[middle - reach - 1 : middle + reach - 1] = True
        inside.append(bend[:, near].flatten())
        outside.append(bend[:, ~near].flatten())
    return (torch.cat(inside).mean() / torch.cat(outside).mean()).item()


def denoiser(std: float, *, width: int = 8, steps: int = 400, seed: int = 0) -> UNet:
    """A U-Net of the paper's depth that has learnt to take white noise off scikit-image's photographs."""
    torch.manual_seed(seed)
    model = UNet(width=width)
    image = from_samples(photograph(1.0, 8).samples)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(steps):
        corners = torch.randint(0, min(image.shape[1:]) - 64, (8, 2)).tolist()
        clean = torch.stack([image[:, top : top + 64, left : left + 64] for top, left in corners])
        loss = (model((clean + std * torch.randn_like(clean)).clamp(0, 1)) - clean).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def _pictures(folder: Path | None, std: float, limit: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    clean = (
        [read(path).pixels for path in find_images(folder)[:limit]]
        if folder
        else [from_samples(photograph(2.0, 8, name).samples) for name in ("coffee", "astronaut", "chelsea")]
    )
    return [(pixels + std * torch.randn(pixels.shape, generator=generator)).clamp(0, 1) for pixels in clean]


def _tight(length: int, tile: int, overlap: int) -> int:
    """The longest side at which neighbouring tiles share no more than the overlap."""
    step = (tile - overlap) // 16 * 16
    return tile + (length - tile) // step * step if length > tile else length


def _mean(values) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def main() -> None:
    """Print the figures, one a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--noise", type=float, default=25)
    parser.add_argument("--tilings", default="0,0", help="tile,overlap pairs, separated by blanks")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    tilings = tuple(tuple(map(int, pair.split(","))) for pair in arguments.tilings.split())
    found = measure(arguments.weights, arguments.photos, noise=arguments.noise, tilings=tilings)
    show(found, arguments.out)


if __name__ == "__main__":
    main()
