"""Drawn patterns beside the photographs: meshes, weaves, stripes, print and text, as fine as noise and not noise.

    python -m noiseda_research.ready.patterns photographs/train photographs/train --count 48

Photographs of nature have next to none of them. A network that never saw a mesh takes it for strong noise and wipes it
out: of two photographs of an office chair it lost 7.6 and 6.2 dB. Each pattern is drawn three times as large, bent a
little, lit by a smooth light, and shrunk.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from noiseda import find_images

Picture = NDArray[np.float64]
Draws = np.random.Generator

SIDE = 512
FINE = 3
"""So many times as large is it drawn."""

PERIODS = (2.6, 16.0)
"""Shortest and longest period, in pixels of what is kept."""


def mesh(draws: Draws, _: Picture) -> Picture:
    """Round holes on a lattice."""
    u, v = _lattice(draws)
    distance = np.hypot(u - np.round(u), v - np.round(v))
    return _step(draws.uniform(0.25, 0.42) - distance, 0.06)


def weave(draws: Draws, _: Picture) -> Picture:
    """Threads over and under each other."""
    u, v = _lattice(draws)
    over = (np.floor(u) + np.floor(v)) % 2 == 0
    round_u, round_v = (np.abs(np.sin(math.pi * one)) for one in (u, v))
    woven: Picture = np.where(over, round_u, round_v)
    return woven ** draws.uniform(0.3, 2.0)


def stripes(draws: Draws, _: Picture) -> Picture:
    """Lines side by side: blinds, ribs, corduroy."""
    u, _v = _lattice(draws)
    return _step(np.sin(2 * math.pi * u) - draws.uniform(-0.6, 0.6), draws.uniform(0.1, 1.0))


def checks(draws: Draws, _: Picture) -> Picture:
    """Squares, or the lines between tiles."""
    u, v = _lattice(draws)
    if draws.random() < 0.5:
        return ((np.floor(u) + np.floor(v)) % 2).astype(np.float64)
    edge = np.minimum(np.abs(u - np.round(u)), np.abs(v - np.round(v)))
    return _step(edge - draws.uniform(0.05, 0.2), 0.04)


def halftone(draws: Draws, light: Picture) -> Picture:
    """A photograph in print: dots that are larger where it is dark."""
    u, v = _lattice(draws, periods=(2.6, 8.0))
    distance = np.hypot(u - np.round(u), v - np.round(v))
    return _step(distance - 0.72 * np.sqrt(1 - light), 0.08)


def text(draws: Draws, _: Picture) -> Picture:
    """Letters in lines."""
    side = SIDE * FINE
    page = Image.new("L", (side, side), 0)
    pen, size = ImageDraw.Draw(page), int(draws.uniform(7, 26) * FINE)
    font = ImageFont.load_default(size)
    letters = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:-()    ")
    for top in range(0, side, int(1.25 * size)):
        pen.text((0, top), "".join(draws.choice(letters, 4 * side // size)), fill=255, font=font)
    turned = page.rotate(draws.choice([0, 0, 90, draws.uniform(-30, 30)]), resample=Image.Resampling.BICUBIC)
    return np.asarray(turned, dtype=np.float64) / 255


KINDS: tuple[Callable[[Draws, Picture], Picture], ...] = (mesh, mesh, weave, stripes, checks, halftone, text)


def pattern(draws: Draws, photograph: Picture) -> Image.Image:
    """One pattern in two colours, shaded; where it ends, smooth colour goes on.

    Args:
        draws: source of every draw.
        photograph: (SIDE * FINE, SIDE * FINE) in [0, 1], brightness of a photograph, which lights it.
    """
    kinds = [KINDS[draws.integers(len(KINDS))](draws, photograph) for _ in range(2)]
    where = _step(_smooth(draws, 2.0) - 0.5, draws.uniform(0.01, 0.1))  # one pattern here, another there
    drawn = where * kinds[0] + (1 - where) * kinds[1]
    contrast = draws.uniform(0.15, 1.0)
    drawn = contrast * drawn + (1 - contrast) * _smooth(draws, 3.0)
    plain = _step(_smooth(draws, 2.0) - draws.uniform(0.3, 0.6), 0.02)
    drawn = plain * drawn + (1 - plain) * _smooth(draws, 1.0)
    dark, bright = draws.uniform(0, 0.35, 3), draws.uniform(0.4, 1, 3)
    light = 0.4 + 0.6 * _smooth(draws, 1.5)
    colours = (dark + (bright - dark) * drawn[..., None]) * light[..., None]
    large = Image.fromarray((255 * colours).clip(0, 255).astype(np.uint8))
    return large.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _lattice(draws: Draws, periods: tuple[float, float] = PERIODS) -> tuple[Picture, Picture]:
    """Two coordinates in periods of a lattice that is turned, sheared and a little bent."""
    down, right = (axis / FINE for axis in np.mgrid[: SIDE * FINE, : SIDE * FINE].astype(np.float64))
    period = math.exp(draws.uniform(math.log(periods[0]), math.log(periods[1])))
    angle, shear = draws.uniform(0, math.pi), draws.uniform(-0.4, 0.4)
    bend = draws.uniform(0, 12) * period
    right = right + bend * _smooth(draws, 1.0)
    down = down + bend * _smooth(draws, 1.0)
    u = (math.cos(angle) * right + math.sin(angle) * down) / period
    v = (math.cos(angle) * down - math.sin(angle) * right) / (period * draws.uniform(0.7, 1.4)) + shear * u
    return u, v


def _smooth(draws: Draws, waves: float) -> Picture:
    """A smooth picture in [0, 1]."""
    down, right = (axis / (SIDE * FINE) for axis in np.mgrid[: SIDE * FINE, : SIDE * FINE].astype(np.float64))
    found = np.zeros_like(down)
    for _ in range(3):
        a, b = draws.uniform(-waves, waves, 2)
        found += np.sin(2 * math.pi * (a * down + b * right + draws.random()))
    smooth: Picture = (found - found.min()) / (np.ptp(found) + 1e-9)
    return smooth


def _step(values: Picture, width: float) -> Picture:
    """0 below zero and 1 above, with a slope of some width between."""
    return np.clip(0.5 + values / width, 0, 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="those that light the patterns and that are printed")
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    files = [path for path in find_images(asked.photographs) if not path.stem.startswith("pattern-")]
    asked.out.mkdir(parents=True, exist_ok=True)
    for number in range(asked.count):
        draws = np.random.default_rng((asked.seed, number))
        with Image.open(files[draws.integers(len(files))]) as opened:
            light = opened.convert("L").resize((SIDE * FINE, SIDE * FINE), Image.Resampling.BICUBIC)
        pattern(draws, np.asarray(light, dtype=np.float64) / 255).save(asked.out / f"pattern-{number:02d}.png")


if __name__ == "__main__":
    main()
