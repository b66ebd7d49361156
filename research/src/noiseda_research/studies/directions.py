"""Does what a strategy learns by point towards the truth? The pull of each of its errors, on photographs with a truth.

    python -m noiseda_research.studies.directions --truth DIR/denoising/sidd-small/test RUN [RUN ...]

RUN is the folder of a finished run of noiseda adapt; DIR/... has the folders input and target. The gradient of each
error of the run's strategy is averaged over batches that were not learnt from, and the network takes one tiny step
against it. Printed is how the restored photographs move:

* to truth: cosine between their move and the way to the truth, of all pixels together; its sign says whether the
  squared error falls.
* at best: dB that the best length of that move would gain, -10 log10(1 - cosine^2); 0 where it points away.
* to blur: cosine with the way to a slightly blurred restored photograph.
* steady: cosine between the moves by either half of the batches. Near 0 it is chance.

--restorer FILE puts the same network into all runs, so that only what teaches it differs.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda import load, settings_from
from noiseda.adaptation import Objective
from noiseda.data import DomainBatches, generator, paired_folder
from noiseda.estimation import middle
from noiseda.images import read
from noiseda.settings_file import read_settings
from noiseda.training import build_objective, latest_checkpoint, list_images, load_domains
from noiseda_research.studies.guidance import blurred

UNSEEN = 10_000_000
TINY = 0.05 / 255


def cosine(first: Tensor, second: Tensor) -> float:
    """Of two tensors of one shape, all elements together; 0 where one of them is nothing."""
    return float(F.cosine_similarity(first.flatten(), second.flatten(), dim=0))


def middles(folder: Path, side: int) -> tuple[Tensor, Tensor]:
    """The middles of all noisy photographs of a folder and of their truths, (B, C, side, side) each."""
    pairs = [[middle(read(path).pixels, side) for path in pair] for pair in paired_folder(folder)]
    noisy, truth = zip(*pairs, strict=True)
    return torch.stack(noisy), torch.stack(truth)


def ready(folder: Path, restorer: Path | None) -> tuple[Objective[Any], DomainBatches]:
    """The strategy of a finished run as it was at the end, and its batches."""
    plan = folder / "plan.yaml"
    settings = settings_from(read_settings(plan), str(plan))
    domains, _, _ = load_domains(settings, list_images(settings), settings.cache or folder / "cache")
    size, side = settings.training.batch, settings.training.side
    batches = DomainBatches(domains, size=size, patch=side, channels=settings.restorer.channels, seed=settings.seed)
    objective, state = build_objective(settings), latest_checkpoint(folder / "checkpoints")
    assert state is not None, f"{folder} has no checkpoint"
    objective.load_state_dict(state["strategy"])
    objective.restorer.load_state_dict(state["average"] if restorer is None else load(restorer).state_dict())
    return objective.eval(), batches


def gradients(objective: Objective[Any], batches: DomainBatches, numbers: range) -> dict[str, list[Tensor]]:
    """The mean gradient of each error with respect to the restorer's weights."""
    weights = list(objective.restorer.parameters())
    found: dict[str, list[Tensor]] = {}
    for number in numbers:
        batch = dataclasses.replace(batches[UNSEEN + number], progress=1.0)
        errors = objective(batch, objective.draw(batch.y_syn, generator("directions", number))).errors
        for name, error in errors.items():
            if not error.requires_grad:
                continue
            own = torch.autograd.grad(error.mean(), weights, retain_graph=True, allow_unused=True)
            filled = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, own, strict=True)]
            kept = found.setdefault(name, [torch.zeros_like(weight) for weight in weights])
            for total, gradient in zip(kept, filled, strict=True):
                total += gradient / len(numbers)
    return found


@torch.no_grad()
def moved(objective: Objective[Any], against: list[Tensor], noisy: Tensor, before: Tensor) -> Tensor:
    """How restored images (B, C, H, W) move when the weights take a step so short that they move by TINY."""
    length = math.sqrt(sum(float(gradient.square().sum()) for gradient in against))
    step, move = 1e-5, torch.zeros_like(before)
    if not length:
        return move
    for _ in range(2):  # the first finds out how long a step is
        network = copy.deepcopy(objective.restorer)
        for weight, gradient in zip(network.parameters(), against, strict=True):
            weight.sub_(gradient, alpha=step / length)
        move = network(noisy).float() - before
        step *= TINY / max(float(move.square().mean().sqrt()), 1e-12)
    return move


def measure(folder: Path, restorer: Path | None, noisy: Tensor, truth: Tensor, count: int) -> None:
    """Print the rows of one run."""
    objective, batches = ready(folder, restorer)
    with torch.no_grad():
        before = objective.restorer(noisy).float()
    halves = [gradients(objective, batches, range(start, start + count // 2)) for start in (0, count // 2)]
    for name in halves[0].keys() & halves[1].keys():  # a hinge that is at rest has no gradient
        both = [(one + other) / 2 for one, other in zip(*(half[name] for half in halves), strict=True)]
        move, *parts = (moved(objective, own, noisy, before) for own in (both, *(half[name] for half in halves)))
        right = cosine(move, truth - before)
        best = -10 * math.log10(1 - right**2) if right > 0 else 0.0
        figures = f"{right:+.3f} | {best:.2f} | {cosine(move, blurred(before) - before):+.3f} | {cosine(*parts):+.2f}"
        print(f"| {folder.name} | {name} | {figures} |", flush=True)


def main() -> None:
    """Measure every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--truth", type=Path, required=True, help="folder with input and target")
    parser.add_argument("--restorer", type=Path, help="weights that all runs are asked about")
    parser.add_argument("--crop", type=int, default=128, help="side of the middles that are restored")
    parser.add_argument("--batches", type=int, default=48)
    asked = parser.parse_args()
    noisy, truth = middles(asked.truth, asked.crop)
    print("| run | error | to truth | at best, dB | to blur | steady |\n|---|---|---|---|---|---|")
    for folder in asked.runs:
        measure(folder, asked.restorer, noisy, truth, asked.batches)


if __name__ == "__main__":
    main()
