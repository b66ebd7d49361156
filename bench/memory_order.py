"""Channels-last against channels-first, networks in training by turns: `python -m bench.memory_order`, one thread.

Ratios are of the least of some forward and backward passes in fp32, first / last: above 1, channels-last is faster.
`ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2` before the command leaves AVX-512 out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor, nn

import noiseda
from noiseda.diffusion import NoisePredictor
from noiseda.precision import to_memory_format
from noiseda.restoration import UNet

ROUNDS, PASSES = 3, 4
ORDERS = {"first": torch.contiguous_format, "last": torch.channels_last}
Case = tuple[nn.Module, int, int, int]
"""A network, images, their side, and how many of them it is given at once."""


def cases() -> Mapping[str, Case]:
    """What is measured, by name."""
    return {
        "U-Net of width 8, 16 x 32": (UNet(width=8), 16, 32, 1),
        "U-Net of width 24, 6 x 48": (UNet(width=24), 6, 48, 1),
        "the paper's U-Net, 1 x 128": (UNet(), 1, 128, 1),
        "ready weights, 6 x 48": (noiseda.load("denoise"), 6, 48, 1),
        "predictor of 1.1 M, 16 x 32": (NoisePredictor(width=32, channel_mults=(1, 2), patch_size=2), 16, 32, 3),
        "predictor, blocks of 4, 16 x 32": (NoisePredictor(width=32, channel_mults=(1, 2), patch_size=4), 16, 32, 3),
        "predictor of width 64, 8 x 48": (NoisePredictor(width=64, channel_mults=(1, 2, 4), patch_size=2), 8, 48, 3),
    }


def seconds(network: nn.Module, given: list[Tensor]) -> float:
    """How long a forward and a backward pass take."""
    image, *seen = given
    network.zero_grad()
    began = time.perf_counter()
    restored: Tensor = network(image, tuple(seen), torch.full((len(image),), 500.0)) if seen else network(image)
    torch.autograd.backward(restored.square().mean())
    return time.perf_counter() - began


def main() -> None:
    torch.set_num_threads(1)
    print(f"{torch.backends.cpu.get_cpu_capability()}\n\n| network | first, s | last, s | ratio |\n|---|---|---|---|")
    for name, (network, count, side, given) in cases().items():
        taken = {order: list[float]() for order in ORDERS}
        for _ in range(ROUNDS):
            for order, layout in ORDERS.items():
                to_memory_format(network.train(), layout)
                images = [torch.rand(count, 3, side, side).contiguous(memory_format=layout) for _ in range(given)]
                taken[order] += [seconds(network, images) for _ in range(PASSES)]
        first, last = (min(taken[order]) for order in ORDERS)
        print(f"| {name} | {first:.3f} | {last:.3f} | {first / last:.2f} |", flush=True)


if __name__ == "__main__":
    main()
