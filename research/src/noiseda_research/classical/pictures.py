"""The sets of the absolute table: real photographs, three simulated phones, white noise of known strength."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from noiseda import DegradationSettings, from_uint8, read_image, to_uint8
from noiseda.data import paired_folder
from noiseda.estimation import middle
from noiseda.settings_file import read_settings
from noiseda_research.comparison.matrix import MATRICES, SimulatedSettings
from noiseda_research.comparison.runs import simulated
from noiseda_research.ready.measure import REAL, WHITE, pairs

PHONES: Mapping[str, str] = {"phone": "phone-test", "dark-phone": "dark-phone-test", "other-phone": "other-phone-test"}
"""Simulated phones -> their name in the matrix ``denoise``, whose very images they are."""

FOLDERS: Mapping[str, str] = {"oct": "denoising/oct/test"}
"""Real images that are not photographs -> folder with ``input/`` and ``target/``."""

SETS = (*REAL, *PHONES, *FOLDERS, *WHITE)
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
        data: folder with ``denoising`` and ``clean``.
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
    elif name in FOLDERS:
        for image, truth in paired_folder(data / FOLDERS[name]):
            yield image.stem, read_image(image).pixels, read_image(truth).pixels
    else:
        yield from pairs(data, name)
