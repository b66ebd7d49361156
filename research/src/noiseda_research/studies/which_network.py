"""Which network learns most in a second of one core: `python -m noiseda_research.studies.which_network PHOTOGRAPHS OUT`.

PHOTOGRAPHS is what `noiseda_research.ready.photographs make` wrote. Degraded crops are made once, so that all networks
see the same ones; each network then gets so many seconds of processor time, in which its rate rises and falls to zero.
Scored is the moving average of its weights on crops of held-out photographs. Run it alone on the core, with one thread.
"""

import argparse
import copy
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda import RestorerSettings, UNet, charbonnier, photographs
from noiseda.data import generator
from noiseda.restoration import ResidualUNet, build_restorer
from noiseda_research.ready.mixture import Wide


def balanced(restored: Tensor, target: Tensor, degraded: Tensor) -> Tensor:
    """The error of each sample; (B,). An input less than a step of 8 bits away from its target counts as one step.

    An absolute error alone learns most from the noisiest samples, PSNR as much from all; this lies between them.
    """
    left, before = ((image - target).abs().flatten(1).mean(dim=1) for image in (restored, degraded))
    return left / (before + 1 / 255).sqrt()


class Gated(nn.Module):
    """NAFNet's block (Chen et al. 2022): 1x1, depthwise 3x3, product of halves, channel attention, 1x1; no norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.widen, self.spread = nn.Conv2d(width, 2 * width, 1), nn.Conv2d(2 * width, 2 * width, 3, 1, 1, 1, 2 * width)
        self.attend, self.mix = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.feed, self.back = nn.Conv2d(width, 2 * width, 1), nn.Conv2d(width, width, 1)
        for last in (self.mix, self.back):
            nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        left, right = self.spread(self.widen(x)).chunk(2, 1)
        gated = left * right
        x = x + self.mix(gated * self.attend(gated.mean((2, 3), keepdim=True)))
        left, right = self.feed(x).chunk(2, 1)
        back: Tensor = self.back(left * right)
        return x + back


class Cheap(nn.Module):
    """A residual block whose second convolution is 1x1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        added: Tensor = self.second(F.relu(self.first(x)))
        return x + added


def with_blocks(make: Callable[[int], nn.Module], width: int, blocks: list[int], fold: int) -> nn.Module:
    """The residual U-Net with other blocks in its stages."""
    network = ResidualUNet(width=width, blocks=blocks, fold=fold)
    for stages in (network.down, network.up):
        for index, stage in enumerate(stages):
            wide = int(next(stage.parameters()).shape[0])
            stages[index] = nn.Sequential(*(make(wide) for _ in stage.children()))
    return network


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "unet": lambda: UNet(width=16),
    "nafnet": lambda: build_restorer(RestorerSettings(network="nafnet", width=10, blocks=[1, 1, 1, 1, 2, 1, 1, 1, 1])),
    "residual": lambda: ResidualUNet(width=16, blocks=[1] * 7),
    "residual-deep": lambda: ResidualUNet(width=16, blocks=[1, 1, 2, 4, 2, 1, 1]),
    "residual-half": lambda: ResidualUNet(width=32, blocks=[1, 1, 2, 1, 1], fold=2),
    "residual-half-wide": lambda: ResidualUNet(width=32, blocks=[1] * 7, fold=2),
    "cheap-half": lambda: with_blocks(Cheap, 32, [2, 2, 3, 2, 2], 2),
    "gated-half": lambda: with_blocks(Gated, 32, [2, 2, 3, 2, 2], 2),
}
LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "charbonnier": lambda restored, target, degraded: charbonnier(restored, target),
    "balanced": balanced,
    "psnr": lambda restored, target, degraded: (
        0.05 * torch.log((restored - target).square().flatten(1).mean(dim=1) + 1e-6)
    ),
}


def crops(folder: Path, count: int, side: int, purpose: str) -> tuple[Tensor, Tensor]:
    """Degraded and clean crops, (count, 3, side, side), in half precision."""
    images, degrade = photographs(folder, degradation=Wide()).synthetic, Wide()
    inner = slice(degrade.margin, degrade.margin + side)
    x, y = torch.empty(2, count, 3, side, side, dtype=torch.float16)
    for index in range(count):
        draw = generator(0, purpose, index)
        _, (clean,) = images.draw(index, side + 2 * degrade.margin, draw, 3)
        x[index], y[index] = degrade(clean, draw)[:, inner, inner], clean[:, inner, inner]
    return x, y


def psnr(network: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        errors = [
            (network(a.float()).clamp(0, 1) - b.float()).square().mean((1, 2, 3))
            for a, b in zip(torch.split(x, 8), torch.split(y, 8), strict=True)
        ]
    return float((-10 * torch.log10(torch.cat(errors))).mean())


def train(network: nn.Module, x: Tensor, y: Tensor, seconds: float, rate: float, loss: str) -> tuple[nn.Module, int]:
    """Train for so many seconds of processor time; the moving average, and the number of steps."""
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    draw, used, step = torch.Generator().manual_seed(0), 0.0, 0
    while used < seconds:
        began, done = time.process_time(), used / seconds
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, done / 0.05 + 0.01) * 0.5 * (1 + math.cos(math.pi * done))
        chosen = torch.randint(len(x), (8,), generator=draw).tolist()
        places = torch.randint(x.shape[-1] - 63, (8, 2), generator=draw).tolist()
        here = [
            (one, ..., slice(top, top + 64), slice(left, left + 64))
            for one, (top, left) in zip(chosen, places, strict=True)
        ]
        degraded, target = (
            torch.stack([pool[place] for place in here]).float().contiguous(memory_format=torch.channels_last)
            for pool in (x, y)
        )
        torch.autograd.backward(LOSSES[loss](network(degraded), target, degraded).mean())
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            decay = min(0.998, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
        step += 1
        used += time.process_time() - began
    return average, step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("out", type=Path, help="folder of the crops")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--loss", default="charbonnier", choices=list(LOSSES))
    parser.add_argument("--crops", type=int, default=3000)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    for part, count, side in (("train", asked.crops, 256), ("held-out", 96, 192)):
        if not (asked.out / f"{part}.pt").exists():
            torch.save(crops(asked.photographs / part, count, side, part), asked.out / f"{part}.pt")
    (x, y), (vx, vy) = (torch.load(asked.out / f"{part}.pt", mmap=True) for part in ("train", "held-out"))
    for name in asked.networks:
        torch.manual_seed(0)
        network = NETWORKS[name]()
        parameters = sum(weight.numel() for weight in network.parameters())
        average, steps = train(network, x, y, asked.seconds, asked.rate, asked.loss)
        score = psnr(average, vx, vy)
        print(
            f"{name:20} {parameters / 1e6:.2f} M, {steps} steps, rate {asked.rate}, {asked.loss}: {score:.2f} dB",
            flush=True,
        )


if __name__ == "__main__":
    main()
