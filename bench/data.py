"""Batches from a folder of images and from shards of the same images on this disk: samples/s, and their ratio.

    python -m bench.data [--out FILE.json]

Cold: the cache is empty, so that every image is decoded; a folder's before the first batch, shards while the window moves
through them once, the next one beside the batches. Warm: the same batches again. One process without workers, by turns;
the best of the repetitions counts. The photographs are scikit-image's.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import skimage.data
import torch

from bench.processes import show
from noiseda.data.batches import DomainBatches, Domains
from noiseda.data.cache import decode
from noiseda.data.fetch import ShardCache
from noiseda.data.noise import White
from noiseda.data.pack import pack
from noiseda.data.prefetch import Ahead
from noiseda.data.shards import find_shards
from noiseda.data.stream import ShardStream
from noiseda.images import Picture, find_images, from_uint8, write

IMAGES, SIDE, SHARDS = 48, 448, 8
BATCH, PATCH, WINDOW, DRAWS = 16, 64, 4, 16


def measure(repetitions: int = 5) -> dict[str, float]:
    """All figures by name; seconds."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        size = _photographs(place / "folder")
        pack(place / "folder", place / "shards", shard_megabytes=1.05 * size / SHARDS / 1e6)
        for repetition in range(repetitions):
            for source in ("folder", "shards"):
                cache = place / f"{source} {repetition}"
                for state in ("cold", "warm"):
                    name = f"{source}.{state}.samples_per_s"
                    found[name] = max(found.get(name, 0), _rate(place / source, cache))
    for state in ("cold", "warm"):
        found[f"{state}.shards_to_folder"] = (
            found[f"shards.{state}.samples_per_s"] / found[f"folder.{state}.samples_per_s"]
        )
    return found


def _rate(source: Path, cache: Path) -> float:
    """Samples/s of one pass, with all that comes before its first batch."""
    began = time.perf_counter()
    shards = find_shards(source)
    if shards is None:
        images, _ = decode([(path,) for path in find_images(source)], cache, flag="", max_megapixels=200)
    else:
        room = ShardCache(cache, gigabytes=1, max_megapixels=200)
        images = ShardStream(shards, room, flag="", seed=0, purpose="synthetic", window=WINDOW, draws=DRAWS)
    batches = DomainBatches(Domains(images, White()), size=BATCH, patch=PATCH, channels=3, seed=0)
    numbers = range(IMAGES * DRAWS // BATCH)
    with Ahead(batches, numbers, behind=2) as sampler:
        for number in sampler:
            batches[number]
    return len(numbers) * BATCH / (time.perf_counter() - began)


def _photographs(folder: Path) -> int:
    """Write JPEGs, each another part of a photograph; returns their size in bytes."""
    folder.mkdir()
    sources = (skimage.data.astronaut(), skimage.data.coffee()[:, :512], skimage.data.rocket()[:, :512])
    for index in range(IMAGES):
        source = torch.from_numpy(sources[index % len(sources)].copy()).permute(2, 0, 1)
        shifted = source.roll((11 * index, 17 * index), dims=(1, 2))[:, :SIDE, :SIDE]
        write(Picture(from_uint8(shifted.contiguous())), folder / f"{index:03}.jpg")
    return sum(path.stat().st_size for path in folder.iterdir())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    found = measure()
    show(found, arguments.out)


if __name__ == "__main__":
    main()
