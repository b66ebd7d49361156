"""Whether training blows up: `python -m noiseda_research.studies.stability PHOTOGRAPHS`, networks x rates x seeds.

Each run is `noiseda.fit` on white noise (sigma 0 to 50) over crops of clean photographs, from random weights. Counted
are the blow-ups that the run noticed, and how many times the median of the hundred steps before the loss of a step was
at most; scored is the moving average of its weights, on crops that were kept apart.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

import noiseda
from noiseda import RestorerSettings, Sample, TrainingSettings, find_images, read_image
from noiseda.restoration import build_restorer
from noiseda.training import read_log

SIDE, HELD = 96, 64


def crops(folder: Path, each: int = 5) -> Tensor:
    """Crops (N, 3, 96, 96) of all photographs of a folder, the same ones every time."""
    draw, found = torch.Generator().manual_seed(0), []
    for path in find_images(folder)[:200]:
        pixels = read_image(path).pixels
        for _ in range(each):
            top, left = (int(torch.randint(side - SIDE, (1,), generator=draw)) for side in pixels.shape[1:])
            found.append(pixels[:, top : top + SIDE, left : left + SIDE])
    return torch.stack(found)


def noisy(clean: Tensor, generator: torch.Generator) -> Tensor:
    sigma = 50 / 255 * torch.rand((*clean.shape[:-3], 1, 1, 1), generator=generator)
    return clean + sigma * torch.randn(clean.shape, generator=generator)


def run(
    training: TrainingSettings, network: RestorerSettings, seed: int, images: Tensor
) -> tuple[object, float, float]:
    """When it blew up, the greatest loss in medians of those before, and PSNR in dB."""
    learnt, held = images[:-HELD], images[-HELD:]

    def draw(generator: torch.Generator) -> Sample:
        index = int(torch.randint(len(learnt), (1,), generator=generator))
        top, left = torch.randint(SIDE - training.side + 1, (2,), generator=generator).tolist()
        clean = learnt[index, :, top : top + training.side, left : left + training.side]
        return Sample(noisy(clean, generator), clean)

    torch.manual_seed(seed)
    model = build_restorer(network)
    with tempfile.TemporaryDirectory() as place:
        done = noiseda.fit(model, noiseda.SyntheticOnly(model), draw, out=place, training=training, seed=seed)
        losses = [line["loss"] for line in read_log(Path(place, "log.jsonl"))]
        best = noiseda.load(done.weights).eval()
    degraded = noisy(held, torch.Generator().manual_seed(99))
    with torch.no_grad():
        errors = torch.cat(
            [
                (best(x).clamp(0, 1) - y).square().mean((1, 2, 3))
                for x, y in zip(torch.split(degraded, 8), torch.split(held, 8), strict=True)
            ]
        )
    greatest = max((now / median(losses[at - 100 : at]) for at, now in enumerate(losses) if at >= 100), default=1.0)
    return done.blew_up, greatest, float((-10 * torch.log10(errors)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--networks", nargs="+", default=["unet", "unet-residual"])
    parser.add_argument("--width", type=int)
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 2e-3, 4e-3])
    parser.add_argument("--scalings", nargs="+", default=["none", "fan_in"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--patch", type=int, default=32)
    asked = parser.parse_args()
    images = crops(asked.photographs)
    print("| network | rate | scaling | seed | blew up at | greatest loss | PSNR |\n" + "|---" * 7 + "|", flush=True)
    for network in asked.networks:
        for rate in asked.rates:
            for scaling in asked.scalings:
                for seed in asked.seeds:
                    training = TrainingSettings(
                        steps=asked.steps, batch=asked.batch, patch=asked.patch, learning_rate=rate, lr_scaling=scaling,
                        ema_decay=0.99, log_every=1, checkpoint_every=10**6, picture_every=10**6, precision="fp32",
                    )  # fmt: skip
                    settings = RestorerSettings(network=network, width=asked.width)
                    blew, greatest, psnr = run(training, settings, seed, images)
                    print(
                        f"| {network} | {rate:g} | {scaling} | {seed} | {blew or '–'} | {greatest:.1f} | {psnr:.2f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
