"""Channels-last against channels-first, networks in training by turns: `python -m bench.memory_order`, one thread.

Ratios are of the least of some forward and backward passes in fp32, first / last: above 1, channels-last is faster.
`ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2` before the command leaves AVX-512 out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

import noiseda
from noiseda.diffusion import NoisePredictor
from noiseda.restoration import UNet

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
        "predictor of 0.77 M, 16 x 32": (NoisePredictor(width=32, channel_mults=(1, 2), patch_size=2), 16, 32, 3),
        "predictor, blocks of 4, 16 x 32": (NoisePredictor(width=32, channel_mults=(1, 2), patch_size=4), 16, 32, 3),
        "predictor of width 64, 8 x 48": (NoisePredictor(width=64, channel_mults=(1, 2, 4), patch_size=2), 8, 48, 3),
    }


def learnt(network: nn.Module, given: list[Tensor]) -> None:
    """A forward and a backward pass."""
    network.zero_grad()
    image, *seen = given
    levels = torch.full((len(image),), 500.0)
    restored: Tensor = network(image, tuple(seen), levels) if seen else network(image)
    torch.autograd.backward(restored.square().mean())


def seconds(run: Callable[[], None], times: int = 3) -> float:
    """The least of some runs."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return min(taken)


def main() -> None:
    torch.set_num_threads(1)
    print(f"{torch.backends.cpu.get_cpu_capability()}\n\n| network | first, s | last, s | ratio |\n|---|---|---|---|")
    for name, (network, count, side, given) in cases().items():
        best = dict.fromkeys(ORDERS, float("inf"))
        for _ in range(3):
            for order, layout in ORDERS.items():
                network = network.train().to(memory_format=layout)  # type: ignore[call-overload]
                images = [torch.rand(count, 3, side, side).contiguous(memory_format=layout) for _ in range(given)]
                learnt(network, images)
                best[order] = min(best[order], seconds(lambda: learnt(network, images)))  # noqa: B023 - called at once
        print(f"| {name} | {best['first']:.3f} | {best['last']:.3f} | {best['first'] / best['last']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
