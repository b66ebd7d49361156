"""Knowing without truth: how well label-free signals rank the networks of a comparison, over strategies and steps."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean

import torch
from scipy.stats import spearmanr
from torch import Tensor

from noiseda import Task, UserError, find_images, load, read_image
from noiseda.assessment import BlurredAgain, Restore, RiskEstimate, look_of, proxy_pairs
from noiseda.data import depth_of, generator, spread
from noiseda.estimation import MatchedBlur
from noiseda.evaluation import SIGNALS, Niqe, borrowed_pairs, borrowed_score, centre, psnr, signals
from noiseda.inference import restore_tensor
from noiseda.precision import FULL, fastest
from noiseda.restoration import task_of
from noiseda.storage import atomic
from noiseda.tasks import TASKS

SIDE = 256
"""Largest side, in pixels, of the part of an image that is looked at."""

LENDERS, PAIRS = 24, 64
"""Images that lend noise (and as many that wear it), and pairs made of them."""

PROBED = 8
"""Images that the risk is estimated on."""

APART = 0.05
"""Difference of PSNR (dB) from which one network counts as better than another."""

NAMES = (*SIGNALS, "NIQE", "borrowed noise", "estimated risk", "look-alikes", "blurred again")
"""All signals; the last five: the naturalness of the restored images as against clean ones, minus the PSNR on clean
patches under borrowed noise, Stein's estimate, minus the PSNR on clean patches degraded as the images look, and the
squared error of these images, restored and blurred again (which is for blur alone)."""


def signals_of(run: Path, real: Path, clean: Path, judge: Path, images: int, kept: Path) -> dict[int, dict[str, float]]:
    """The label-free signals of a run's snapshots, on some of the unlabelled images that it was adapted to.

    Args:
        run: the run's folder.
        real: folder of unlabelled images.
        clean: folder of clean ones, of anything, to wear borrowed noise.
        judge: weights that were not adapted to the images, which estimate how strong their noise is.
        images: how many of the unlabelled images are looked at, evenly spread.
        kept: file of the signals; where it is of the same images, what is in it is read instead. Beside its folder
            is kept what the images look like.

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
        wanted = frozenset().union(*(names for _, names in missing))
        measures = _measures(real, clean, judge, images, wanted, kept.parent.parent)
        for path, names in missing:
            network = load(path, fastest())
            for measure in measures if names else ():
                known = measure(lambda x, network=network: restore_tensor(network, x))  # type: ignore[misc]
                found.setdefault(path.stem, {}).update(known)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic(kept) as file:
            file.write(json.dumps({"of": asked, "signals": found}).encode())
    return {int(step): values for step, values in sorted(found.items())}


@lru_cache(maxsize=2)
def _measures(
    real: Path, clean: Path, judge: Path, images: int, wanted: frozenset[str], memory: Path
) -> list[Callable[[Restore], dict[str, float]]]:
    """Functions that measure a restorer, enough of them for the signals that are wanted."""
    measures: list[Callable[[Restore], dict[str, float]]] = []
    deep = depth_of(find_images(real), FULL)
    if wanted & set(SIGNALS):
        chosen = [centre(image, SIDE) for image in _some(real, images)]
        measures.append(lambda restore: signals(restore, chosen))
    if "NIQE" in wanted:
        measures.append(_naturalness(_some(clean, LENDERS), [centre(image, SIDE) for image in _some(real, images)]))
    if "borrowed noise" in wanted:
        borrowed, truth = borrowed_pairs(
            _some(real, LENDERS),
            _some(clean, LENDERS),
            count=PAIRS,
            generator=generator("borrowed", str(real)),
            levels=deep.levels,
        )
        measures.append(
            lambda restore: {"borrowed noise": -borrowed_score(torch.stack([*map(restore, borrowed)]), truth)}
        )
    if "estimated risk" in wanted:
        network = load(judge, fastest())
        try:
            draws = generator("estimated risk", str(real))
            risk = RiskEstimate(_some(real, PROBED), lambda x: restore_tensor(network, x), draws, levels=deep.levels)
        except UserError:  # too small, or without noise: nothing can be estimated
            measures.append(lambda restore: {"estimated risk": math.nan})
        else:
            measures.append(lambda restore: {"estimated risk": risk(restore).mean})
    if wanted & {"look-alikes", "blurred again"}:
        measures += on_look_alikes(real, clean, memory, task_of(judge))
    return measures


def on_look_alikes(real: Path, clean: Path, memory: Path, task: Task) -> list[Callable[[Restore], dict[str, float]]]:
    """Minus the mean PSNR on look-alikes, and the error of the images blurred again; not a number where none is known.

    Rain is not matched to photographs: its look-alikes are what the task's usual degradation makes.
    """
    of = hashlib.sha256(f"{real} {clean}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    kept = memory / f"{'kernels' if TASKS[task].estimator == 'blur' else 'matched'}-{of}.json"
    deep = depth_of(find_images(real), FULL)
    try:
        like = look_of(task, find_images(real), find_images(clean), kept, 0, deep)
        again = BlurredAgain(_some(real, PROBED), linear=like.linear) if isinstance(like, MatchedBlur) else None
    except UserError:
        return [lambda restore: {"look-alikes": math.nan, "blurred again": math.nan}]
    pairs = proxy_pairs(like, _some(clean, PAIRS), PAIRS, generator("look-alikes", str(real)), deep.levels)
    return [
        lambda restore: {"look-alikes": -fmean(float(psnr(restore(x)[None], y[None])) for x, y in pairs)},
        lambda restore: {"blurred again": again(restore).mean if again else math.nan},
    ]


def _naturalness(clean: Sequence[Tensor], real: Sequence[Tensor]) -> Callable[[Restore], dict[str, float]]:
    """NIQE of the restored images; not a number where they, or the clean ones, are too small for it."""
    try:
        niqe = Niqe(clean)
        niqe(real)
    except UserError:
        return lambda restore: {"NIQE": math.nan}
    return lambda restore: {"NIQE": niqe([restore(image) for image in real])}


def _some(folder: Path, count: int) -> list[Tensor]:
    paths = find_images(folder)
    return [read_image(paths[index]).pixels for index in spread(len(paths), count)]


@dataclass(frozen=True)
class Point:
    """A snapshot of a run.

    Attributes:
        strategy: the row it belongs to.
        seed: its seed.
        step: the step it was taken after.
        signals: signal -> value.
        psnr: the truth, in dB.
    """

    strategy: str
    seed: int
    step: int
    signals: Mapping[str, float]
    psnr: float


def agreement(points: Sequence[Point], reference: str) -> dict[str, dict[str, float]]:
    """How each signal goes along with the true PSNR over the networks of a set.

    Args:
        points: all snapshots, scored on the same images.
        reference: the row that the last snapshots of all others are compared with, seed by seed.

    Returns:
        Signal -> ``rank``, Spearman's correlation with -PSNR (1: lower is always better); ``lost``, the PSNR (dB) by
        which the network with the lowest signal falls short of the best; ``stopping``, what is gained (dB, mean over
        runs) by taking the snapshot of a run that has its lowest signal instead of its last; ``right``, the share of
        the runs that differ from the reference by more than ``APART`` for which the signal says in which direction, and
        ``judged``, their number. Not a number where the signal is none or there is nothing to measure.
    """
    truth = [point.psnr for point in points]
    runs: dict[tuple[str, int], list[Point]] = {}
    for point in sorted(points, key=lambda point: point.step):
        runs.setdefault((point.strategy, point.seed), []).append(point)
    result = {}
    for name in NAMES:
        values = [point.signals[name] for point in points]
        if any(map(math.isnan, values)):
            nothing = dict.fromkeys(("rank", "lost", "stopping", "right"), math.nan)
            result[name] = nothing | {"judged": 0, "networks": len(points)}
            continue
        picked = truth[values.index(min(values))]
        gains = [min(run, key=lambda point: point.signals[name]).psnr - run[-1].psnr for run in runs.values()]
        right = _verdicts(name, {run: snapshots[-1] for run, snapshots in runs.items()}, reference)
        result[name] = {
            "rank": float(spearmanr(values, [-psnr for psnr in truth]).statistic),
            "lost": max(truth) - picked,
            "stopping": fmean(gains),
            "right": fmean(right) if right else math.nan,
            "judged": len(right),
            "networks": len(points),
        }
    return result


def _verdicts(name: str, last: Mapping[tuple[str, int], Point], reference: str) -> list[bool]:
    """For every run that clearly differs from the reference of its seed, whether the signal shows which is better."""
    right = []
    for (strategy, seed), point in last.items():
        other = last.get((reference, seed))
        if other is None or strategy == reference or abs(point.psnr - other.psnr) < APART:
            continue
        right.append((point.signals[name] < other.signals[name]) == (point.psnr > other.psnr))
    return right


def markdown(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """A table: signals in rows, sets in columns.

    Args:
        found: set -> what :func:`agreement` returned.
    """
    columns = [f"{name}: rank, dB lost, dB by stopping, verdicts right" for name in found]
    rows = [["signal", *columns], ["---"] * (len(found) + 1)]
    for signal in NAMES:
        cells = []
        for of in found.values():
            value = of[signal]
            share = f"{100 * value['right']:.0f}% of {value['judged']}" if value["judged"] else "-"
            cells.append(f"{value['rank']:+.2f}, {value['lost']:.2f}, {value['stopping']:+.2f}, {share}")
        rows.append([signal, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
