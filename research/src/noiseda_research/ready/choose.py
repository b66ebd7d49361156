"""Teach the chooser of a network with groups by itself, in minutes, before the whole is trained on from there.

    python -m noiseda_research.ready.choose PHOTOGRAPHS WEIGHTS OUT [--patches 3400] [--steps 3000]

WEIGHTS are those of a U-Net that sees pilots; OUT is the same network with groups, a chooser that has learnt, and a
head that adds nothing yet. Patches are degraded, and their pilots made, once; they are kept in memory (2 GB).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

import noiseda
from noiseda.data import PooledBatches
from noiseda_research.ready.mixture import Wide
from noiseda_research.ready.train import negative_psnr, with_groups
from noiseda_research.ready.varied import Varied

PATCH = 96
AT_ONCE = 16
RATE = 3e-3


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="what noiseda_research.ready.photographs made, its train/")
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--patches", type=int, default=3400)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--weaker", type=float, default=Wide.weaker, help="share of images with little noise")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)

    torch.manual_seed(asked.seed)
    network = with_groups(noiseda.load(asked.weights))
    groups, chooser = network.pilots, network.chooser
    assert groups is not None, "it was given them"
    assert chooser is not None, "and what chooses of them"
    wide = Wide(weaker=asked.weaker)
    clean = noiseda.photographs(asked.photographs, degradation=wide).synthetic
    batches = PooledBatches(Varied(images=clean), wide, size=AT_ONCE, patch=PATCH, seed=asked.seed)
    drawn = [batches[number] for number in range(-(-asked.patches // AT_ONCE))]
    degraded, target = torch.cat([batch.x_syn for batch in drawn]), torch.cat([batch.y_syn for batch in drawn])
    changes = torch.cat([groups(some).half() for some in torch.split(degraded, AT_ONCE)])

    optimizer = torch.optim.Adam(chooser.parameters(), lr=RATE)
    draws = torch.Generator().manual_seed(asked.seed)
    for step in range(asked.steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, 10 * step / asked.steps + 0.05) * (1 - step / asked.steps)
        some = torch.randint(len(degraded), (AT_ONCE,), generator=draws)
        found = degraded[some] + chooser(degraded[some], changes[some].float())
        loss = negative_psnr(found, target[some]).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1}: {-10 * float(loss):.2f} dB", flush=True)
    noiseda.save_weights(
        asked.out, network.tensors(), architecture=network.architecture, arguments=network.arguments, task="denoise"
    )


if __name__ == "__main__":
    main()
