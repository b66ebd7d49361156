"""Large photographs and folders of them: peak memory and speed of ``noiseda restore`` as users run it.

    python -m bench.large_photograph [--megapixels 100] [--kinds png jpg tif16] [--folder 20] [--out FILE.json]
    OMP_NUM_THREADS=1 python -m bench.large_photograph --kinds --folder 20

For each kind, a photograph (one of scikit-image's, continued by mirroring, with a little noise) is written, and the
command restores it in a process of its own, with a small U-Net whose last layer is random. Peak memory is what the system
says of that process (VmHWM: Linux only). Then a folder of medium photographs is restored in turns with reading and
writing beside the network, and one step after the other: with the same network, which leaves reading and writing what is left of the processor; and with a
stand-in that waits 20 ms a tile, as for a GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
import torch
from torch import Tensor

from bench.processes import show
from noiseda import raster
from noiseda.inference.files import restore_jobs
from noiseda.inference.tiling import Model
from noiseda.raster import Raster
from noiseda.restoration import UNet, save_weights

KINDS = ("png", "jpg", "tif16")
ROOT = Path(__file__).resolve().parents[1]


def measure(megapixels: float = 100, kinds: tuple[str, ...] = KINDS, folder: int = 20) -> dict[str, float]:
    """All figures by name."""
    found: dict[str, float] = {"megapixels": megapixels, "threads": torch.get_num_threads()}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        weights = network(place / "small.safetensors")
        found["help.peak_gib"] = command(place, "--help")[0]
        for kind in kinds:
            found |= {f"{kind}.{key}": value for key, value in large(place, weights, kind, megapixels).items()}
        if folder:
            for name, model in {"small": _small(), "elsewhere": _elsewhere}.items():
                figures = side_by_side(place, folder, model)
                found |= {f"folder.{name}.{key}": value for key, value in figures.items()}
    return found


def large(place: Path, weights: Path, kind: str, megapixels: float) -> dict[str, float]:
    """Restore one large photograph."""
    suffix, bits = (kind[:-2], 16) if kind.endswith("16") else (kind, 8)
    source, target = place / f"large.{suffix}", place / f"restored.{suffix}"
    raster.write(photograph(megapixels, bits), source)
    peak, seconds, said = command(place, str(weights), str(source), str(target), "--device", "cpu")
    rate = re.search(r"\((.*) megapixels/s\)", said)
    size = source.stat().st_size / 2**20
    for path in (source, target):
        path.unlink()
    return {
        "peak_gib": peak,
        "command_s": seconds,
        "megapixels_per_s": float(rate[1]) if rate else float("nan"),
        "file_mib": size,
    }


def command(place: Path, *words: str) -> tuple[float, float, str]:
    """Run ``noiseda restore``: its peak memory in GiB, its time in seconds, and what it says."""
    began, peak = time.perf_counter(), 0
    log = place / "said.txt"
    with log.open("w+") as said:
        done = subprocess.Popen(
            [sys.executable, "-m", "noiseda", "restore", *words], cwd=ROOT, stdout=said, stderr=subprocess.STDOUT
        )
        while done.poll() is None:
            peak = max(peak, _high_water(done.pid))
            time.sleep(0.01)
    seconds, text = time.perf_counter() - began, log.read_text()
    if done.returncode:
        raise SystemExit(f"noiseda restore {' '.join(words)}: {text[-2000:]}")
    return peak / 2**20, seconds, text


def side_by_side(place: Path, count: int, model: Model, megapixels: float = 1, rounds: int = 1) -> dict[str, float]:
    """Megapixels/s of a folder of JPEGs and PNGs, with reading and writing beside the network and without: the best."""
    jobs = []
    for index in range(count):
        source = place / f"medium-{index}.{('jpg', 'png')[index % 2]}"
        raster.write(photograph(megapixels, 8, seed=index), source)
        jobs.append((source, place / "out" / source.name))
    rates: dict[bool, list[float]] = {True: [], False: []}
    for aside in (False, True) * rounds:
        with contextlib.redirect_stderr(io.StringIO()):
            report = restore_jobs(model, jobs, tile=512, overlap=64, precision="auto", max_megapixels=200, aside=aside)
        rates[aside].append(report.megapixels / report.seconds)
    best = {aside: max(found) for aside, found in rates.items()}
    return {
        "images": count,
        "one_after_another.megapixels_per_s": best[False],
        "side_by_side.megapixels_per_s": best[True],
        "ratio": best[True] / best[False],
    }


def photograph(megapixels: float, bits: int, name: str = "coffee", seed: int = 0) -> Raster:
    """A photograph of any size, 3 : 2, that repeats (mirrored) at no multiple of a tile's step, with noise of its own."""
    image = getattr(skimage.data, name)()  # (h, w, 3)
    width = round((megapixels * 1.5e6) ** 0.5)
    height = round(megapixels * 1e6 / width)
    rows, columns = (_mirrored(length, side) for length, side in zip((height, width), image.shape, strict=False))
    generator = np.random.default_rng(seed)
    samples = np.empty((height, width, 3), np.uint16 if bits == 16 else np.uint8)
    top = 2**bits - 1
    for start in range(0, height, 256):
        part = image[rows[start : start + 256]][:, columns].astype(np.int32) * (top // 255)
        part += generator.integers(-(top // 100), top // 100 + 1, part.shape, dtype=np.int32)
        samples[start : start + 256] = part.clip(0, top)
    return Raster(samples)


def network(path: Path) -> Path:
    """The file of a small U-Net."""
    state = _small().state_dict()
    arguments = {"width": 8, "depth": 4, "channels": 3}
    save_weights(path, state, architecture="unet", arguments=arguments, task="denoise")
    return path


def _small() -> UNet:
    torch.manual_seed(0)
    model = UNet(width=8)
    torch.nn.init.normal_(model.head.weight, std=0.02)  # it starts at zero, where it would change nothing
    return model.eval()


def _elsewhere(tile: Tensor) -> Tensor:
    time.sleep(0.02)
    return tile


def _mirrored(length: int, side: int) -> np.ndarray:
    index = np.arange(length) % (2 * side)
    return np.minimum(index, 2 * side - 1 - index)


def _high_water(pid: int) -> int:
    """The most memory a process has had so far, in KiB."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:  # it has just ended
        found = None
    return int(found[1]) if found else 0


def main() -> None:
    """Print the figures, one a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=100)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--folder", type=int, default=20, help="photographs in the folder; 0: no folder")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = measure(arguments.megapixels, tuple(arguments.kinds), arguments.folder)
    show(found, arguments.out)


if __name__ == "__main__":
    main()
