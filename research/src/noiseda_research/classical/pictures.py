"""The sets of the absolute table: real photographs, three simulated phones, white noise of known strength."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from noiseda import DegradationSettings, from_uint8, read_image, to_uint8
from noiseda.data import paired_folder
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
        yield Pair(stem, middle(degraded, crop), middle(target, crop))


def known_sigma(name: str) -> int | None:
    """The deviation of the noise of a set, of 255, where it is white and known."""
    return WHITE.get(name)


def middle(image: Tensor, side: int | None) -> Tensor:
    """The middle of an image (C, H, W), at most ``side`` pixels a side; all of it for None."""
    if side is None:
        return image
    top, left = (max(0, (length - side) // 2) for length in image.shape[-2:])
    return image[:, top : top + side, left : left + side]


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
