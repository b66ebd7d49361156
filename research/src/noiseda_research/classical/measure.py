"""Measuring rivals and networks on the same images by the same protocol: a line of JSON for each image."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from noiseda import UserError, load
from noiseda.suggestions import nearest
from noiseda_research.classical.pictures import Pair, known_sigma, pictures, protocol_of
from noiseda_research.classical.rival import Rival
from noiseda_research.classical.rivals import RIVALS
from noiseda_research.classical.scores import score
from noiseda_research.comparison.scores import restore_whole
from noiseda_research.ready.measure import Restore


@dataclass(frozen=True)
class Line:
    """What a rival made of an image."""

    set: str
    crop: int | None
    """Side of the middle that was cut out; None where the image was whole."""
    picture: str
    rival: str
    parameter: float | None
    """The strength, as the rival counts it (noise: of 255); None where it has none to be told."""
    told: bool
    """Whether the strength was told from outside, not found in the image."""
    psnr: float
    """Of a blurred image at the best whole shift."""
    ssim: float
    """Of a blurred image at that same shift."""
    seconds: float
    """Of processor time, the estimate of the strength among them."""
    megapixels: float

    @property
    def work(self) -> Work:
        """What was asked for."""
        return Work(self.set, self.crop, self.rival, self.parameter if self.told else None)


@dataclass(frozen=True)
class Work:
    """A rival on a set; at one strength, or at the one it finds."""

    set: str
    crop: int | None
    rival: str
    strength: float | None


def plan(sets: Sequence[str], rivals: Sequence[str], crop: int | None, strengths: Sequence[float] = ()) -> list[Work]:
    """What is to be measured, in order.

    Args:
        sets: names of :data:`noiseda_research.classical.pictures.SETS`.
        rivals: names of :data:`noiseda_research.classical.rivals.RIVALS`, or NAME=PATH for weights: other weights
            need another NAME, by which their lines are found again.
        crop: side of the middle that is cut out; None for whole images.
        strengths: those that are tried, instead of those that each rival's table has.

    Raises:
        UserError: where there is no such rival.
    """
    for name in rivals:
        named, weights, _ = name.partition("=")
        if weights and named in RIVALS:
            raise UserError(f"--rivals {name}: {named} is a rival's own name; give the weights another one")
        if not weights and name not in RIVALS:
            raise UserError(
                f"--rivals: {name!r} is none of {', '.join(RIVALS)}{nearest(name, RIVALS)}; weights are NAME=PATH"
            )
    return [
        Work(where, crop, name, strength)
        for where in sets
        for name in rivals
        for strength in _strengths(RIVALS.get(name), where, strengths)
    ]


def _strengths(rival: Rival | None, where: str, asked: Sequence[float]) -> Sequence[float | None]:
    if rival is None or not rival.tried:
        return [None]
    known = known_sigma(where)
    if asked:
        return asked
    return [known] if rival.told_sigma and known is not None else rival.tried


def measure(data: Path, lines: Path, works: Sequence[Work]) -> Iterator[Line]:
    """Carry out what no line is of yet; a line is added as soon as an image is done.

    Args:
        data: folder of the sets, as :func:`noiseda_research.classical.pictures.pictures` reads it.
        lines: file of the lines, made where it does not stand; one process at a time writes to it.
        works: what is to be measured.

    Yields:
        Each new line.

    Raises:
        UserError: where a package, a set or weights are missing.
    """
    _open_for_more(lines)
    done = {(line.work, line.picture) for line in read_lines(lines)}
    kept: dict[tuple[str, int | None], list[Pair]] = {}
    for work in works:
        name, _, weights = work.rival.partition("=")
        named = Work(work.set, work.crop, name, work.strength)
        place = (work.set, work.crop)
        if place not in kept:
            kept.clear()
            kept[place] = list(pictures(data, *place))
        left = [pair for pair in kept[place] if (named, pair.name) not in done]
        network = _network(Path(weights)) if weights and left else None
        for pair in left:
            line = _line(named, pair, network)
            with lines.open("a") as file:
                file.write(json.dumps(asdict(line)) + "\n")
            yield line


def read_lines(lines: Path) -> list[Line]:
    """The lines of a file; none where there is no file. A last one that was cut off while it was written is left out.

    Raises:
        UserError: where another line is none of these.
    """
    if not lines.exists():
        return []
    try:
        return [Line(**json.loads(text)) for text in lines.read_text().split("\n")[:-1]]
    except (TypeError, ValueError) as error:
        raise UserError(f"{lines} holds other lines than those of a measurement: {error}") from error


def _open_for_more(lines: Path) -> None:
    """Make the folder, and cut a line off that was not written to its end: the next must not go on from it."""
    lines.parent.mkdir(parents=True, exist_ok=True)
    if lines.exists():
        whole = lines.read_bytes().rpartition(b"\n")
        os.truncate(lines, len(whole[0]) + len(whole[1]))


def _network(weights: Path) -> Restore:
    network = load(weights)
    return lambda image: restore_whole(network, image)


def _line(work: Work, pair: Pair, network: Restore | None) -> Line:
    began = time.process_time()
    with torch.no_grad():
        restored, strength = _restored(work, pair.degraded) if network is None else (network(pair.degraded), None)
    seconds = time.process_time() - began
    found = score(restored, pair.target, protocol_of(work.set))
    return Line(
        set=work.set,
        crop=work.crop,
        picture=pair.name,
        rival=work.rival,
        parameter=strength,
        told=work.strength is not None,
        psnr=found["psnr"],
        ssim=found["ssim"],
        seconds=seconds,
        megapixels=pair.target[0].numel() / 1e6,
    )


def _restored(work: Work, degraded: Tensor) -> tuple[Tensor, float | None]:
    """The restored image, and the strength it was restored with."""
    rival, image = RIVALS[work.rival], degraded.permute(1, 2, 0).contiguous().numpy()
    strength = rival.estimate(image) if rival.estimate else work.strength
    restored = torch.from_numpy(rival.restore(image, strength or 0.0).copy()).permute(2, 0, 1)
    return restored, strength
