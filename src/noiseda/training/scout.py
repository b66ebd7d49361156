"""How much stronger noise is than flat places show it, tried out on the network itself.

Cameras smooth flat places, some a lot and some not at all, and in looks alone they cannot be told apart. Networks that
learnt noise as strong as it looks, up to 1.6 and up to 2.5 times as strong can: Stein's estimate
(:mod:`noiseda.adaptation.risk`) of their error on the user's own photographs tells which, where most of these agree
(docs/results.md has how often they do). It needs a network that can already restore: the one that a run starts from.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from noiseda.adaptation.strategy import charbonnier
from noiseda.data.batches import generator
from noiseda.data.degradations import Degradation
from noiseda.data.draws import integer
from noiseda.data.look_alikes import look_alikes
from noiseda.data.matching import PROCESSED, Matched, some
from noiseda.inference import restore_tensor
from noiseda.precision import autocast
from noiseda.restoration import Restorer, load
from noiseda.restoration.foreign import Foreign
from noiseda.storage import atomic
from noiseda.training.verdict import SMALLEST, Pairs, estimate

CANDIDATES = (1.0, 1.6, 2.5)
"""Largest factors between noise as it is and as it looks; each copy of the network sees factors from 1 to its own."""

MAJORITY = 2 / 3
"""Share of the photographs on which one of them must do best to be taken in place of the usual factor."""

CAMERA = 0.25
"""Share of what is found to have gone through a camera that makes it worth the time."""

STEPS, RATE = 400, 3e-4
"""Steps of each copy, and the learning rate, which falls to zero."""

PATCH, BATCH = 64, 8

PHOTOGRAPHS, LEAST = 48, 8
"""The user's photographs on which the error is estimated, at most and at least, evenly spread."""

FLAT = 0.02
"""Share of their tiles that show what noise is. In what is less flat, texture is taken for noise, and whoever removes
it is taken for right."""

POOL = 480
"""Pairs, 128 pixels a side, that each copy learns from."""


def smoothing(
    like: Matched,
    real: Sequence[Path],
    clean: Sequence[Path],
    start: Path,
    kept: Path,
    *,
    seed: int,
    say: Callable[[str], None],
) -> float:
    """Choose among ``CANDIDATES``; what was chosen before for the same photographs and network is read again.

    Args:
        like: what was found of the photographs' noise.
        real: real photographs.
        clean: clean photographs.
        start: weights of a network that was not adapted to the photographs.
        kept: file for what is found.
        seed: seed of all draws.
        say: tells what takes so long.

    Returns:
        The factor; what ``like`` has where nothing can be told: where little noise went through a camera, no clean
        photograph is large enough, no flat place shows the noise, or the photographs do not agree; and for networks of
        others, of which it was not measured and which may take hours.
    """
    if sum(kind in PROCESSED for kind, _ in like.found) < CAMERA * len(like.found):
        return like.smoothed
    asked = {
        "candidates": list(CANDIDATES),
        "learning": [STEPS, RATE, PATCH, BATCH, POOL],
        "voting": [PHOTOGRAPHS, FLAT, MAJORITY],
        "found": [list(row) for row in like.found],
        "start": hashlib.sha256(start.read_bytes()).hexdigest(),
    }
    if kept.exists():
        document = json.loads(kept.read_text())
        if document["asked"] == asked:
            return float(document["smoothed"])
    network = load(start)
    if isinstance(network, Foreign):
        return like.smoothed
    photographs = [image for image in some(clean, POOL) if min(image.shape[-2:]) >= SMALLEST]
    error = estimate(real, network, seed, PHOTOGRAPHS, flat=FLAT) if photographs and len(real) >= LEAST else None
    if error is None:
        return like.smoothed
    say("trying out how strong their noise is where it is not flat: another minute or two")
    errors = []
    for factor in CANDIDATES:
        one = copy.deepcopy(network)
        _learn(one, _pool(replace(like, smoothed=factor), photographs, network.channels, seed), seed)
        errors.append(error(partial(restore_tensor, one)).restored)
    best = Counter(CANDIDATES[row.index(min(row))] for row in zip(*errors, strict=True))
    first, votes = best.most_common(1)[0]
    found = first if votes >= MAJORITY * best.total() else like.smoothed
    with atomic(kept) as file:
        document = {"asked": asked, "smoothed": found, "photographs on which each is best": best}
        file.write(json.dumps(document, indent=1).encode())
    return found


def _pool(degrade: Degradation, photographs: Sequence[Tensor], channels: int, seed: int) -> Pairs:
    images = [image.expand(3, -1, -1) if channels == 3 else image.mean(dim=0, keepdim=True) for image in photographs]
    return look_alikes(degrade, images, POOL, generator(seed, "scout"))


def _learn(network: Restorer, pool: Pairs, seed: int) -> None:
    """Train on patches of some pairs."""
    draws = generator(seed, "scout's patches")
    network.train().requires_grad_(True)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)
    for _ in range(STEPS):
        patches = zip(*(_patch(pool[integer(0, len(pool) - 1, draws)], draws) for _ in range(BATCH)), strict=True)
        x, y = (torch.stack(images).contiguous(memory_format=torch.channels_last) for images in patches)
        with autocast("auto", x.device):
            restored = network(x)
        optimizer.zero_grad()
        torch.autograd.backward(charbonnier(restored.float(), y).mean())
        optimizer.step()
        falling.step()
    network.eval()


def _patch(pair: tuple[Tensor, Tensor], draws: torch.Generator) -> tuple[Tensor, Tensor]:
    side = min(PATCH, *pair[0].shape[-2:])
    top, left = (integer(0, length - side, draws) for length in pair[0].shape[-2:])
    x, y = (image[:, top : top + side, left : left + side] for image in pair)
    return x, y
