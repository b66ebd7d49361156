"""The sets of the absolute table.

Noise: real photographs, three simulated phones, white noise of known strength. Rain that was drawn, blur, JPEG.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from noiseda import DegradationSettings, find_images, from_uint8, read_image, to_uint8
from noiseda.data import paired_folder
from noiseda.estimation import middle
from noiseda.evaluation import ProtocolName
from noiseda.images import jpeg
from noiseda.settings_file import read_settings
from noiseda_research.comparison.matrix import MATRICES, SimulatedSettings
from noiseda_research.comparison.runs import simulated
from noiseda_research.ready.measure import REAL, WHITE, pairs

PHONES: Mapping[str, str] = {"phone": "phone-test", "dark-phone": "dark-phone-test", "other-phone": "other-phone-test"}
"""Simulated phones -> their name in the matrix ``denoise``, whose very images they are."""

FOLDERS: Mapping[str, str] = {"oct": "denoising/oct/test"}
"""Real images that are not photographs -> folder with ``input/`` and ``target/``."""

RAIN: Mapping[str, str] = {"rain100l": "deraining/rain100l/test"}
"""Rain that was drawn -> folder with ``input/`` and ``target/``."""

BLUR: Mapping[str, str] = {"levin": "deblurring/levin/test", "gopro": "deblurring/gopro"}
"""Cameras that shook, and frames of a film that were averaged -> folder with ``input/`` and ``target/``."""

JPEG: Mapping[str, tuple[str, int]] = {f"live1-{quality}": ("jpeg/live1", quality) for quality in (10, 20, 40)}
"""Compressed here, with chroma at 4:2:0 -> folder of clean images, and the quality."""

LEFT_OUT: Mapping[str, frozenset[str]] = {"rain100l": frozenset({"4", "47", "58"})}
"""Images of scenes that were seen before: 4 and 47 in the training part of Rain100L, 58 in its test part."""

SETS = (*REAL, *PHONES, *FOLDERS, *WHITE, *RAIN, *BLUR, *JPEG)
"""Every set by name."""


@dataclass(frozen=True)
class Pair:
    """An image and its truth, (C, H, W) in [0, 1]; white noise that is not clipped goes beyond."""

    name: str
    degraded: Tensor
    target: Tensor


def pictures(data: Path, name: str, crop: int | None = None) -> Iterator[Pair]:
    """The images of a set.

    Args:
        data: folder with ``denoising``, ``clean``, ``deraining``, ``deblurring`` and ``jpeg``, as far as asked for.
        name: one of :data:`SETS`.
        crop: side in pixels of the middle that is cut out; None for whole images.

    Yields:
        Pairs, one after the other.
    """
    for stem, degraded, target in _whole(data, name):
        if crop is not None:
            degraded, target = middle(degraded, crop), middle(target, crop)
        yield Pair(stem, degraded, target)


def known_sigma(name: str) -> int | None:
    """The deviation of the noise of a set, of 255, where it is white and known."""
    return WHITE[name][1] if name in WHITE else None


def protocol_of(name: str) -> ProtocolName:
    """How a set is scored: blur at the best shift, since its pairs are aligned only up to some pixels."""
    return "deblur" if name in BLUR else "rgb"


def _whole(data: Path, name: str) -> Iterator[tuple[str, Tensor, Tensor]]:
    if name in PHONES:
        wanted = read_settings(MATRICES / "denoise.yaml")["simulated"][PHONES[name]]
        asked = wanted["degradation"]
        low, high = asked["strength"]
        settings = SimulatedSettings(
            degradation=DegradationSettings(kind=asked["kind"], strength=(low, high)), count=wanted["count"]
        )
        clean = Path(wanted["clean"].replace("{data}", str(data)))
        for path, degraded, target in simulated(settings, PHONES[name], clean):
            yield path.stem, from_uint8(to_uint8(degraded)), target
    elif name in JPEG:
        where, quality = JPEG[name]
        for path in find_images(data / where):
            target = read_image(path).pixels
            yield path.stem, jpeg(target, quality), target
    elif folder := {**FOLDERS, **RAIN, **BLUR}.get(name):
        for image, truth in paired_folder(data / folder):
            if image.stem not in LEFT_OUT.get(name, ()):
                yield image.stem, read_image(image).pixels, read_image(truth).pixels
    else:
        yield from pairs(data, name)
