"""What a user gets, on embedded data: restore, adapt, measure, look; in minutes on a modest machine.

The photographs are those that scikit-image ships. Of each, the left part is a clean training image; the right part is
on *simulated* film, none of the degradations that noiseda knows: its upper half is the unlabelled "real" image,
its lower half is held out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from skimage import data as photographs
from skimage.restoration import denoise_nl_means

from noiseda import plain_yaml
from noiseda.config import AdaptSettings, DegradationSettings, TrainingSettings
from noiseda.data.batches import generator
from noiseda.data.film import Film
from noiseda.errors import UserError
from noiseda.evaluation.metrics import psnr
from noiseda.evaluation.protocols import PROTOCOLS
from noiseda.evaluation.report import compare
from noiseda.evaluation.sheet import Row, sheet
from noiseda.images import Picture, from_uint8, read, write
from noiseda.inference import restore_files
from noiseda.provenance import provenance
from noiseda.quickstart_page import quickstart_page
from noiseda.report import write_report
from noiseda.settings_file import read_settings
from noiseda.storage import put
from noiseda.training import adapt

NOTE = "Simulated film: these 'real' images are photographs on simulated film. noiseda knows no degradation like it."
FILM = Film()
TEST_SIDE = 192

_UNMATCHED = {"degradation": DegradationSettings(kind="white+camera"), "proxy_pairs": 0}
TRAINED: Mapping[str, Mapping[str, Any]] = {
    "synthetic": {"strategy": "synthetic", "ship_worse": True, **_UNMATCHED},
    "noise-space": {"strategy": "noise-space", "ship_worse": True, **_UNMATCHED},
    "adapted": {},
}
"""Column -> what is asked for: synthetic pairs alone, the published form, and the default."""

STRENGTHS = (10, 20, 30, 40)
"""Standard deviations, of 255, that non-local means are told; the best of them by the truth is shown."""

SHOWN = ("input", "nl-means", "ready", "adapted")
"""The columns of the sheet, before the target."""


@dataclass(frozen=True)
class QuickstartReport:
    """What the quickstart made.

    Attributes:
        folder: where it lies.
        psnr: mean PSNR (dB, RGB, 8 bits) over the held-out images. Its columns are input, nl-means (scikit-image's, at
            the best of :data:`STRENGTHS`, which no user could choose), ready (the ready weights), and those of
            :data:`TRAINED`, which start from the ready weights.
        seconds: wall-clock time of everything.
    """

    folder: Path
    psnr: dict[str, float]
    seconds: float


def quickstart(out: Path = Path("runs/quickstart"), seed: int = 0, steps: int = 70) -> QuickstartReport:
    """Adapt the ready weights to photographs on simulated film, restore held-out ones, and write pictures and figures.

    Args:
        out: Folder for data, weights, restored pictures, sheet.png and summary.json.
        seed: Seed of everything that is drawn, the film's grain included.
        steps: Training steps, the same for each of the three networks that are trained.

    Returns:
        The figures.

    Raises:
        UserError: A flag is out of range; a file cannot be written; the folder holds a quickstart with another seed,
            number of steps or film, whose images would mix with these.
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
        seed=seed,
        training=TrainingSettings(steps=steps, predictor_learning_rate=1e-3, log_every=100),
    )
    folders = {"input": test / "input"} | {name: out / "restored" / name for name in ("nl-means", "ready", *TRAINED)}
    names = sorted(path.stem for path in (test / "target").iterdir())
    _nl_means(test, names, folders["nl-means"])
    restore_files(Path("denoise"), str(test / "input"), folders["ready"], overwrite=True)
    summaries = {}
    for column, changes in TRAINED.items():
        console.print(f"\n[bold]{column}[/bold]: {steps} steps from the ready weights")
        summaries[column] = adapt(replace(base, **changes, out=out / "runs" / column))
        weights = out / f"{column}.safetensors"
        _save(weights, summaries[column].weights.read_bytes())
        restore_files(weights, str(test / "input"), folders[column], overwrite=True)

    reports = {
        column: compare({n: (folder / f"{n}.png", test / "target" / f"{n}.png") for n in names}, PROTOCOLS["rgb"])
        for column, folder in folders.items()
    }
    decibels = {column: _number(report.mean["psnr"]) for column, report in reports.items()}
    ssim = {column: _number(report.mean["ssim"]) for column, report in reports.items()}
    _draw(out / "sheet.png", test, {column: folders[column] for column in SHOWN}, names, steps, seed)
    made_by = provenance()
    report = QuickstartReport(out, decibels, round(time.perf_counter() - began, 1))
    summary = {
        "note": NOTE,
        "film": asdict(FILM),
        "held_out_images": len(names),
        "steps": steps,
        "seed": seed,
        "psnr": decibels,
        "ssim": ssim,
        "seconds": {"total": report.seconds, **{name: made.seconds for name, made in summaries.items()}},
        "made_by": made_by,
    }
    _save(out / "summary.json", json.dumps(summary, indent=2).encode())
    of_images = {
        column: {name: _number(row["psnr"]) for name, row in report.rows.items()} for column, report in reports.items()
    }
    page = quickstart_page(of_images, folders, test / "target", note=NOTE, seconds=report.seconds, made_by=made_by)
    write_report(out / "report.html", page)
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
        real = FILM(pixels[:, :height, width:], generator(seed, "film", "real", index))
        _write(real, folder / "real" / f"{name}.png")
        _write(target, folder / "test" / "target" / f"{name}.png")
        _write(FILM(target, generator(seed, "film", "test", index)), folder / "test" / "input" / f"{name}.png")
    return folder / "test"


def nl_means(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Non-local means of scikit-image, as its users run them.

    Args:
        image: (C, H, W) in [0, 1].
        sigma: standard deviation of the noise, of 255.
    """
    found = denoise_nl_means(
        image.permute(1, 2, 0).numpy(),
        patch_size=5,
        patch_distance=6,
        h=0.8 * sigma / 255,
        sigma=sigma / 255,
        fast_mode=True,
        channel_axis=-1,
    )
    return torch.from_numpy(found).float().permute(2, 0, 1).clamp(0, 1)


def _nl_means(test: Path, names: list[str], folder: Path) -> None:
    """Restore the held-out images by non-local means, at the strength that is best for them."""
    inputs = [read(test / "input" / f"{name}.png").pixels for name in names]
    targets = [read(test / "target" / f"{name}.png").pixels for name in names]
    tried = [[nl_means(image, sigma) for image in inputs] for sigma in STRENGTHS]
    best = max(
        tried, key=lambda restored: sum(psnr(x[None], y[None]).item() for x, y in zip(restored, targets, strict=True))
    )
    for name, image in zip(names, best, strict=True):
        _write(image, folder / f"{name}.png")


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
    ours = {"seed": seed, "steps": steps, "film": asdict(FILM)}
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
        put(path, content)
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
        footer=f"adapted: {steps} steps from the ready weights, seed {seed}; figures are PSNR in dB (RGB, 8 bits)",
    )


def _number(score: float | str) -> float:
    assert isinstance(score, float), score
    return score


def _show(console: Console, report: QuickstartReport) -> None:
    table = Table(title="held-out images, simulated film", caption="PSNR in dB, RGB, mean over the images")
    table.add_column("")
    table.add_column("PSNR", justify="right")
    for column, value in report.psnr.items():
        table.add_row(column, f"{value:.2f}")
    console.print(table)
    for name in ("report.html", "sheet.png", "summary.json", "adapted.safetensors", "restored"):
        console.print(f"  {report.folder / name}", markup=False, soft_wrap=True)
    console.print(f"{report.seconds / 60:.1f} minutes")
