"""The whole job on embedded data: adapt, restore, measure, look; in minutes on a modest machine.

The photographs are those that scikit-image ships. Of each, the left part is a clean training image; the right part is
seen through a *simulated* camera: its upper half is the unlabelled "real" image, its lower half is held out.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from skimage import data as photographs

from noiseda import plain_yaml
from noiseda.config import AdaptSettings, DegradationSettings, TrainingSettings
from noiseda.data.batches import generator
from noiseda.data.camera import Camera
from noiseda.errors import UserError
from noiseda.evaluation.protocols import PROTOCOLS
from noiseda.evaluation.report import compare
from noiseda.evaluation.sheet import Row, sheet
from noiseda.images import Picture, from_uint8, read, write
from noiseda.inference import restore_files
from noiseda.provenance import provenance
from noiseda.settings_file import read_settings
from noiseda.storage import atomic
from noiseda.strategies import StrategyName
from noiseda.training import adapt

NOTE = "Simulated camera: these 'real' images are photographs seen through a simulated phone camera."
CAMERA = Camera(strength=(6000.0, 12000.0))
TEST_SIDE = 192


@dataclass(frozen=True)
class QuickstartReport:
    """What the quickstart made.

    Attributes:
        folder: where it lies.
        psnr: mean PSNR (dB, RGB, 8 bits) over the held-out images: input, synthetic, adapted.
        seconds: wall-clock time of everything.
    """

    folder: Path
    psnr: dict[str, float]
    seconds: float


def quickstart(out: Path = Path("runs/quickstart"), seed: int = 0, steps: int = 300) -> QuickstartReport:
    """Adapt to a simulated phone camera, restore held-out images, and write pictures and figures.

    Args:
        out: Folder for data, weights, restored pictures, sheet.png and summary.json.
        seed: Seed of everything that is drawn, the simulated camera included.
        steps: Training steps, the same for the network with and without adaptation.

    Returns:
        The figures.

    Raises:
        UserError: A flag is out of range; a file cannot be written; the folder holds a quickstart with another seed,
            number of steps or camera, whose images would mix with these.
    """
    console = Console(stderr=True, highlight=False)
    began = time.perf_counter()
    _claim(out, seed, steps)
    test = write_data(out / "data", seed)
    console.print(f"[bold]noiseda quickstart[/bold] (seed {seed})\n{NOTE}")

    base = AdaptSettings(
        task="denoise",
        clean=out / "data" / "clean",
        real=out / "data" / "real",
        cache=out / "data" / "cache",
        degradation=DegradationSettings(kind="white"),  # the default would know the simulated camera already
        proxy_pairs=0,  # likewise
        seed=seed,
        training=TrainingSettings(steps=steps, predictor_learning_rate=1e-3, log_every=100),
    )
    strategies: dict[str, StrategyName] = {"synthetic": "synthetic", "adapted": "noise-space"}
    folders = {"input": test / "input"}
    summaries = {}
    for name, strategy in strategies.items():
        console.print(f"\n[bold]{name}[/bold]: {steps} steps, strategy {strategy}")
        summaries[name] = adapt(replace(base, strategy=strategy, out=out / "runs" / name))
        weights = out / f"{name}.safetensors"
        _save(weights, summaries[name].weights.read_bytes())
        folders[name] = out / "restored" / name
        restore_files(weights, str(test / "input"), folders[name], overwrite=True)

    names = sorted(path.stem for path in (test / "target").iterdir())
    reports = {
        column: compare({n: (folder / f"{n}.png", test / "target" / f"{n}.png") for n in names}, PROTOCOLS["rgb"])
        for column, folder in folders.items()
    }
    psnr = {column: _number(report.mean["psnr"]) for column, report in reports.items()}
    ssim = {column: _number(report.mean["ssim"]) for column, report in reports.items()}
    _draw(out / "sheet.png", test, folders, names, steps, seed)
    report = QuickstartReport(out, psnr, round(time.perf_counter() - began, 1))
    summary = {
        "note": NOTE,
        "camera": {"iso": CAMERA.strength},
        "held_out_images": len(names),
        "steps": steps,
        "seed": seed,
        "psnr": psnr,
        "ssim": ssim,
        "seconds": {"total": report.seconds, **{name: made.seconds for name, made in summaries.items()}},
        "made_by": provenance(),
    }
    _save(out / "summary.json", json.dumps(summary, indent=2).encode())
    _show(console, report)
    return report


def write_data(folder: Path, seed: int) -> Path:
    """Write the quickstart's images: ``clean/``, ``real/``, and ``test/`` with ``input/`` and ``target/``.

    Returns:
        The folder of the test pairs.
    """
    sources = {
        "astronaut": photographs.astronaut(),
        "cat": photographs.chelsea(),
        "coffee": photographs.coffee(),
        "rocket": photographs.rocket(),
        "motorcycle": photographs.stereo_motorcycle()[0],
    }
    for index, (name, array) in enumerate(sources.items()):
        pixels = from_uint8(torch.from_numpy(array).permute(2, 0, 1).contiguous())
        height, width = pixels.shape[1] // 2, pixels.shape[2] // 2
        side_h, side_w = min(TEST_SIDE, height), min(TEST_SIDE, width)
        target = pixels[:, height : height + side_h, width : width + side_w]
        _write(pixels[:, :, :width], folder / "clean" / f"{name}.png")
        real = CAMERA(pixels[:, :height, width:], generator(seed, "camera", "real", index))
        _write(real, folder / "real" / f"{name}.png")
        _write(target, folder / "test" / "target" / f"{name}.png")
        _write(CAMERA(target, generator(seed, "camera", "test", index)), folder / "test" / "input" / f"{name}.png")
    return folder / "test"


def _write(pixels: torch.Tensor, path: Path) -> None:
    """Write an image unless it stands there already: a second quickstart continues the first."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out: {path.parent} cannot be made: {error.strerror or error}") from error
    if not path.exists():
        write(Picture(pixels), path)


def _claim(out: Path, seed: int, steps: int) -> None:
    """Note whose folder this is, or find that it holds another quickstart."""
    if seed < 0 or steps < 1:
        raise UserError(f"--seed must be at least 0 and --steps at least 1, not {seed} and {steps}")
    path = out / "settings.yaml"
    ours = {"seed": seed, "steps": steps, "camera_iso": list(CAMERA.strength)}
    theirs = read_settings(path) if path.exists() else ours
    changed = [f"{name} {theirs.get(name)}, not {value}" for name, value in ours.items() if theirs.get(name) != value]
    if changed:
        raise UserError(
            f"--out {out} holds a quickstart with {'; '.join(changed)}. "
            "Give another --out, or remove that folder to start anew"
        )
    _save(path, plain_yaml.dump(ours).encode())


def _save(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as file:
            file.write(content)
    except OSError as error:
        raise UserError(f"--out: {path} cannot be written: {error.strerror or error}") from error


def _draw(path: Path, test: Path, folders: dict[str, Path], names: list[str], steps: int, seed: int) -> None:
    rows = []
    for name in names:
        target = read(test / "target" / f"{name}.png").pixels
        images = {column: read(folder / f"{name}.png").pixels for column, folder in folders.items()}
        rows.append(Row(name, {**images, "target": target}, target))
    sheet(
        rows,
        path,
        title="noiseda quickstart: before and after",
        subtitle=NOTE,
        footer=f"synthetic and adapted: {steps} steps each, seed {seed}; figures are PSNR in dB (RGB, 8 bits)",
    )


def _number(score: float | str) -> float:
    assert isinstance(score, float), score
    return score


def _show(console: Console, report: QuickstartReport) -> None:
    table = Table(title="held-out images, simulated camera", caption="PSNR in dB, RGB, mean over the images")
    table.add_column("")
    table.add_column("PSNR", justify="right")
    for column, value in report.psnr.items():
        table.add_row(column, f"{value:.2f}")
    console.print(table)
    for name in ("sheet.png", "summary.json", "adapted.safetensors", "restored"):
        console.print(f"  {report.folder / name}", markup=False, soft_wrap=True)
    console.print(f"{report.seconds / 60:.1f} minutes")
