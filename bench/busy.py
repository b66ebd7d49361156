"""Training beside other busy processes: samples a second, in pieces of the batch and as a whole.

    python -m bench.busy [--beside 0 1 4] [--steps 40] [--rounds 2]

The default network on random images, batch 6, patches of 48 x 48, fp32. A fair share is what the cores leave: of two,
beside one busy process two thirds, beside four a third. Pieces and whole batches take turns in one run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from pathlib import Path
from statistics import median

import torch

import noiseda
from noiseda import Batch, Terms, TrainingSettings, UNet
from noiseda.training import read_log

SIZE, PATCH = 6, 48


class Whole(noiseda.SyntheticOnly):
    """The same objective, of which nothing is said: its batches are measured as a whole, by all cores together."""

    def forward(self, batch: Batch, draws: None) -> Terms:
        """As it is."""
        return super().forward(batch, draws)


def draw(generator: torch.Generator) -> noiseda.Sample:
    clean = torch.rand(3, PATCH, PATCH, generator=generator)
    return noiseda.Sample(clean + 0.1 * torch.randn(clean.shape, generator=generator), clean)


def samples_a_second(objective: type[noiseda.SyntheticOnly], steps: int) -> float:
    """Of the second half of a short run."""
    torch.manual_seed(0)
    model = UNet(width=24)
    every = max(1, steps // 4)
    training = TrainingSettings(
        steps=steps, batch=SIZE, patch=PATCH, precision="fp32", device="cpu",
        log_every=every, checkpoint_every=10**6, picture_every=10**6,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        noiseda.fit(model, objective(model), draw, out=place, training=training)
        lines = read_log(Path(place, "log.jsonl"))
    return float(median(line["samples_per_second"] for line in lines[len(lines) // 2 :]))


def spin() -> None:
    while True:
        pass


def measure(beside: int, steps: int, rounds: int) -> dict[str, float]:
    """Samples a second of both ways beside so many busy processes."""
    others = [multiprocessing.get_context("spawn").Process(target=spin, daemon=True) for _ in range(beside)]
    for other in others:
        other.start()
    try:
        found = [
            (samples_a_second(noiseda.SyntheticOnly, steps), samples_a_second(Whole, steps)) for _ in range(rounds)
        ]
    finally:
        for other in others:
            other.terminate()
    pieces, whole = zip(*found, strict=True)
    return {"pieces": median(pieces), "whole": median(whole)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=int, nargs="+", default=[0, 1, 4])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    cores, idle = torch.get_num_threads(), None
    print("| busy beside | in pieces | whole | pieces / whole | pieces, of the fair share |\n|---|---|---|---|---|")
    for beside in asked.beside:
        found = measure(beside, asked.steps, asked.rounds)
        idle = idle or found["pieces"]
        fair = idle * cores / (cores + beside)
        print(
            f"| {beside} | {found['pieces']:.1f} | {found['whole']:.1f} | {found['pieces'] / found['whole']:.2f} "
            f"| {found['pieces'] / fair:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
