"""Scoring the networks of a comparison, image by image; what was scored before is read again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor

from noiseda import Picture, load, read_image, write_image
from noiseda.data import paired_folder, spread
from noiseda.evaluation import PROTOCOLS, ProtocolName, comparable, split_error
from noiseda.inference import restore_tensor
from noiseda.precision import fastest
from noiseda.restoration import Restorer
from noiseda.storage import atomic

Scores = dict[str, dict[str, float]]
"""Image -> measure -> value: those of the protocol, and the parts of the squared error."""


def score(weights: Path | None, test: Path, protocol: ProtocolName, kept: Path, *, pictures: int = 0) -> Scores:
    """Restore the images of a test and score each against its target.

    Args:
        weights: the network; None scores the inputs as they are.
        test: folder with ``input/`` and ``target/``.
        protocol: how to score.
        kept: file of the scores; where it stands and is of the same test, it is read instead.
        pictures: how many of the restored images, evenly spread, are kept as PNG files beside it.

    Raises:
        UserError: where the test is no paired folder, or its images cannot be scored.
    """
    asked = {"test": str(test), "protocol": protocol}
    if kept.exists():
        document = json.loads(kept.read_text())
        if document["of"] == asked:
            scores: Scores = document["scores"]
            return scores
    network = None if weights is None else load(weights, fastest())
    pairs = paired_folder(test)
    wanted = set(spread(len(pairs), pictures))
    scores = {}
    for index, (degraded, target) in enumerate(pairs):
        x, y = (read_image(path).pixels for path in (degraded, target))
        restored = x if network is None else restore_whole(network, x)
        parts = split_error(*comparable(restored, y), x.expand_as(comparable(restored, y)[0]))
        scores[degraded.stem] = PROTOCOLS[protocol].score(restored, y) | dataclasses.asdict(parts)
        if index in wanted:
            place = kept.parent / kept.stem / f"{degraded.stem}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            write_image(Picture(restored), place)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with atomic(kept) as file:
        file.write(json.dumps({"of": asked, "scores": scores}).encode())
    return scores


def name_of(test: Path, protocol: ProtocolName) -> str:
    """A name for the scores on a test: sets that share a test and a protocol share its scores.

    >>> name_of(Path("data/denoising/polyu/test"), "rgb"), name_of(Path("data/simulated/shakes"), "deblur")
    ('polyu-test', 'simulated-shakes-deblur')
    """
    return "-".join([*test.resolve().parts[-2:], *([] if protocol == "rgb" else [protocol])])


def measure_of(protocol: ProtocolName) -> str:
    """The measure that a protocol calls PSNR.

    >>> measure_of("deblur"), measure_of("rgb")
    ('psnr_best_shift', 'psnr')
    """
    return "psnr_best_shift" if PROTOCOLS[protocol].max_shift else "psnr"


def curve(run: Path, test: Path, protocol: ProtocolName, images: int, kept: Path) -> list[dict[str, Any]]:
    """PSNR (dB, as the protocol takes it) of a run's snapshots on some images of a test, to be drawn; none is chosen.

    Args:
        run: the run's folder.
        test: folder with ``input/`` and ``target/``.
        protocol: how its images are scored.
        images: how many of its images are scored, evenly spread.
        kept: file of the curve; where it is of the same images, points in it are read instead.

    Returns:
        Points: step and mean PSNR.
    """
    asked = {"test": str(test), "images": images, "protocol": protocol}
    before = json.loads(kept.read_text()) if kept.exists() else {}
    points: dict[str, float] = before["points"] if before.get("of") == asked else {}
    snapshots = sorted((run / "snapshots").glob("*.safetensors"))
    missing = [path for path in snapshots if path.stem not in points]
    if missing:
        pairs = paired_folder(test)
        chosen = [tuple(read_image(path).pixels for path in pairs[index]) for index in spread(len(pairs), images)]
        for path in missing:
            network = load(path, fastest())
            found = (PROTOCOLS[protocol].score(restore_whole(network, x), y) for x, y in chosen)
            points[path.stem] = fmean(scores[measure_of(protocol)] for scores in found)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic(kept) as file:
            file.write(json.dumps({"of": asked, "points": points}).encode())
    return [{"step": int(step), "psnr": value} for step, value in sorted(points.items())]


def restore_whole(network: Restorer, pixels: Tensor) -> Tensor:
    """Restore an image, (C, H, W) in [0, 1], in tiles where the network asks for some."""
    if network.tiles is None:
        return restore_tensor(network, pixels)
    tile, overlap = network.tiles
    return restore_tensor(network, pixels, tile=tile, overlap=overlap)
