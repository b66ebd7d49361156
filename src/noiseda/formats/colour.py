"""Colours that a file describes without an ICC profile, and the profile that says the same.

Sources: PNG (third edition), section 11.3.2; ITU-T H.273 (code points of cICP); ICC.1:2022 (profiles).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Point: TypeAlias = tuple[float, float]
Array: TypeAlias = NDArray[Any]
Primaries: TypeAlias = tuple[Point, Point, Point, Point]
"""Chromaticities (x, y) of white, red, green and blue."""

D65: Point = (0.3127, 0.3290)
BT709: Primaries = (D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_PRIMARIES: Mapping[int, Primaries] = {
    1: BT709,
    4: ((0.310, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: (D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: (D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: (D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: (D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: (D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: (D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
_CURVE_POINTS = 4096
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclass(frozen=True)
class Colour:
    """How samples become light: of which primaries, and along which curve."""

    primaries: Primaries = BT709
    gamma: float | None = None
    """Light = sample ** gamma; None: along ``curve``."""
    curve: tuple[float, ...] | None = None
    """Light at evenly spaced samples from 0 to 1; None (and no gamma): sRGB's."""
    cicp: tuple[int, int, int, int] | None = None
    """Code points of H.273: primaries, transfer, matrix, full range."""

    @property
    def is_srgb(self) -> bool:
        """Whether a file that says nothing of its colours means the same."""
        near = all(
            abs(a - b) < 2e-3
            for ours, srgb in zip(self.primaries, BT709, strict=True)
            for a, b in zip(ours, srgb, strict=True)
        )
        return near and self.gamma is None and self.curve is None

    @property
    def is_hdr(self) -> bool:
        """Whether the curve is PQ's or HLG's, whose light goes beyond the white of a page."""
        return self.cicp is not None and self.cicp[1] in (16, 18)

    def profile(self, channels: int) -> bytes | None:
        """An ICC profile that says the same; None where the primaries span no colours.

        Args:
            channels: 1 (grey) or 3 (RGB).
        """
        matrix = _to_d50(self.primaries)
        if matrix is None:
            return None
        curve = _curve_tag(self.gamma, self.curve)
        tags: list[tuple[bytes, bytes]] = [(b"desc", _text("as the file's own chunks say")), (b"cprt", _text("CC0"))]
        tags.append((b"wtpt", _xyz(_D50)))
        if self.cicp is not None:
            tags.append((b"cicp", b"cicp" + bytes(4) + bytes(self.cicp)))
        if channels == 1:
            tags.append((b"kTRC", curve))
        else:
            tags += [(name, _xyz(matrix[:, i])) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))]
            tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
        return _packed(tags, b"GRAY" if channels == 1 else b"RGB ")


def from_cicp(codes: tuple[int, int, int, int]) -> Colour | None:
    """The colours of cICP's four code points; None where they are not known, or not those of RGB."""
    primaries, transfer, matrix, full = codes
    if primaries not in _PRIMARIES or matrix != 0 or full != 1:
        return None
    if transfer in _GAMMAS:
        return Colour(_PRIMARIES[primaries], gamma=_GAMMAS[transfer], cicp=codes)
    if transfer == 13:
        return Colour(_PRIMARIES[primaries], cicp=codes)
    if transfer not in _CURVES:
        return None
    light = _CURVES[transfer](np.linspace(0, 1, _CURVE_POINTS))
    return Colour(_PRIMARIES[primaries], curve=tuple(float(value) for value in light), cicp=codes)


def _bt709(sample: Array) -> Array:
    return np.where(sample < 0.081, sample / 4.5, ((sample + 0.099) / 1.099) ** (1 / 0.45))


def _pq(sample: Array) -> Array:
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = sample ** (1 / m2)
    return (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg(sample: Array) -> Array:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(sample <= 0.5, sample**2 / 3, (np.exp((sample - c) / a) + b) / 12)


_GAMMAS: Mapping[int, float] = {4: 2.2, 5: 2.8, 8: 1.0}
_CURVES: Mapping[int, Callable[[Array], Array]] = {
    1: _bt709, 6: _bt709, 14: _bt709, 15: _bt709, 16: _pq, 18: _hlg
}  # fmt: skip


def _srgb(sample: Array) -> Array:
    return np.where(sample <= 0.04045, sample / 12.92, ((sample + 0.055) / 1.055) ** 2.4)


def _to_d50(primaries: Primaries) -> Array | None:
    """(3, 3): linear RGB -> XYZ under D50, as profiles have it (Bradford's adaptation)."""
    if any(y <= 0 for _, y in primaries):
        return None
    white, *rest = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in primaries)
    columns = np.stack(rest, axis=1)
    if abs(np.linalg.det(columns)) < 1e-9:
        return None
    matrix = columns * np.linalg.solve(columns, white)
    scale = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adapted: Array = np.linalg.inv(_BRADFORD) @ (scale[:, None] * (_BRADFORD @ matrix))
    return adapted if np.isfinite(adapted).all() and np.abs(adapted).max() < 4 else None


def _curve_tag(gamma: float | None, curve: tuple[float, ...] | None) -> bytes:
    if gamma is not None:
        return b"para" + bytes(4) + struct.pack(">HH", 0, 0) + _fixed(gamma)
    light = _srgb(np.linspace(0, 1, _CURVE_POINTS)) if curve is None else np.array(curve)
    return b"curv" + bytes(4) + struct.pack(">I", len(light)) + (light * 65535 + 0.5).astype(">u2").tobytes()


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: Array) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(float(value)) for value in values)


def _text(text: str) -> bytes:
    content = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(content), 28) + content


def _packed(tags: list[tuple[bytes, bytes]], space: bytes) -> bytes:
    """A display profile of version 4.4 (ICC.1:2022, section 7); equal tags share their bytes."""
    table, body, places = b"", b"", dict[bytes, int]()
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags:
        if content not in places:
            places[content] = start + len(body)
            body += content + bytes(-len(content) % 4)
        table += name + struct.pack(">II", places[content], len(content))
    header = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x04400000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + b"".join(_fixed(v) for v in _D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
