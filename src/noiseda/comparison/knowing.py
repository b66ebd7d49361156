"""Knowing without truth: how well label-free signals rank the networks of a comparison, over strategies and steps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from scipy.stats import spearmanr
from torch import Tensor

from noiseda.adaptation.risk import Restore, RiskEstimate
from noiseda.comparison.scores import restore_any, spread
from noiseda.data.batches import generator
from noiseda.errors import UserError
from noiseda.evaluation.borrowed import borrowed_pairs, score
from noiseda.evaluation.label_free import SIGNALS, centre, signals
from noiseda.images import find_images, read
from noiseda.restoration import load
from noiseda.storage import atomic

SIDE = 256
"""Largest side, in pixels, of the part of an image that is looked at."""

LENDERS, PAIRS = 24, 64
"""Images that lend noise (and as many that wear it), and pairs made of them."""

PROBED = 8
"""Images that the risk is estimated on."""

NAMES = (*SIGNALS, "borrowed noise", "estimated risk")
"""All signals; the last two are minus the PSNR on clean patches under borrowed noise, and Stein's estimate."""


def signals_of(run: Path, real: Path, clean: Path, judge: Path, images: int, kept: Path) -> dict[int, dict[str, float]]:
    """The label-free signals of a run's snapshots, on some of the unlabelled images that it was adapted to.

    Args:
        run: the run's folder.
        real: folder of unlabelled images.
        clean: folder of clean ones, of anything, to wear borrowed noise.
        judge: weights that were not adapted to the images, which tell how strong their noise is.
        images: how many of the unlabelled images are looked at, evenly spread.
        kept: file of the signals; where it is of the same images, what is in it is read instead.

    Returns:
        Step -> signal -> value; the estimated risk is not a number where the images show no noise.
    """
    asked = {"real": str(real), "clean": str(clean), "images": images}
    before = json.loads(kept.read_text()) if kept.exists() else {}
    found: dict[str, dict[str, float]] = before["signals"] if before.get("of") == asked else {}
    missing = [
        (path, set(NAMES) - set(found.get(path.stem, ()))) for path in sorted((run / "snapshots").glob("*.safetensors"))
    ]
    if any(names for _, names in missing):
        measures = _measures(real, clean, judge, images, set().union(*(names for _, names in missing)))
        for path, names in missing:
            network = load(path)
            for measure in measures if names else ():
                known = measure(lambda x, network=network: restore_any(network, x))  # type: ignore[misc]
                found.setdefault(path.stem, {}).update(known)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic(kept) as file:
            file.write(json.dumps({"of": asked, "signals": found}).encode())
    return {int(step): values for step, values in sorted(found.items())}


def _measures(
    real: Path, clean: Path, judge: Path, images: int, wanted: set[str]
) -> list[Callable[[Restore], dict[str, float]]]:
    """Functions that measure a restorer, enough of them for the signals that are wanted."""
    measures: list[Callable[[Restore], dict[str, float]]] = []
    if wanted & set(SIGNALS):
        chosen = [centre(image, SIDE) for image in _some(real, images)]
        measures.append(lambda restore: signals(restore, chosen))
    if "borrowed noise" in wanted:
        borrowed, truth = borrowed_pairs(
            _some(real, LENDERS), _some(clean, LENDERS), count=PAIRS, generator=generator("borrowed", str(real))
        )
        measures.append(lambda restore: {"borrowed noise": -score(torch.stack([*map(restore, borrowed)]), truth)})
    if "estimated risk" in wanted:
        network = load(judge)
        try:
            risk = RiskEstimate(
                _some(real, PROBED), lambda x: restore_any(network, x), generator("estimated risk", str(real))
            )
        except UserError:  # too small, or without noise: nothing can be told
            measures.append(lambda restore: {"estimated risk": math.nan})
        else:
            measures.append(lambda restore: {"estimated risk": risk(restore).mean})
    return measures


def _some(folder: Path, count: int) -> list[Tensor]:
    paths = find_images(folder)
    return [read(paths[index]).pixels for index in spread(len(paths), count)]


def agreement(points: Sequence[tuple[Mapping[str, float], float]]) -> dict[str, Any]:
    """How each signal goes along with the true PSNR over many networks.

    Args:
        points: (signals, PSNR) of each network, all on the same images.

    Returns:
        Signal -> ``rank``, Spearman's correlation with -PSNR (1: lower is always better), and ``lost``, the PSNR (dB)
        by which the network with the lowest signal falls short of the best; not a number where a signal is none.
    """
    truth = [psnr for _, psnr in points]
    result = {}
    for name in NAMES:
        values = [found[name] for found, _ in points]
        if any(map(math.isnan, values)):
            result[name] = {"rank": math.nan, "lost": math.nan, "networks": len(points)}
            continue
        rank = float(spearmanr(values, [-psnr for psnr in truth]).statistic)
        picked = truth[values.index(min(values))]
        result[name] = {"rank": rank, "lost": max(truth) - picked, "networks": len(points)}
    return result


def markdown(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """A table: signals in rows, sets in columns.

    Args:
        found: set -> what :func:`agreement` returned.
    """
    rows = [["signal", *(f"{name}: rank, dB lost" for name in found)], ["---"] * (len(found) + 1)]
    for signal in NAMES:
        rows.append([signal, *(f"{of[signal]['rank']:+.2f}, {of[signal]['lost']:.2f}" for of in found.values())])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
