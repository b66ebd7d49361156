"""Adapt to real images and score on their test folders: input, synthetic-only, adapted; several seeds.

    python -m noiseda_research.studies.real_images --data DIR --out runs/real-images --seeds 0,1,2 [--from-scratch]

Of each task and seed one network is trained on synthetic pairs first; from there, both arms train for the same number of
further steps: on synthetic pairs alone, and adapted. With --from-scratch both arms train for all these steps from random
weights instead, as in the paper. DIR holds the layout of the table below. Every step is a command of noiseda, printed before it runs; what is done is not
done again, so that the same command continues after a stop. Ends with ``results.json`` and a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from noiseda import Picture, Task, find_images, read_image, write_image
from noiseda.data import Drops, White, generator
from noiseda.tasks import TASKS

WHITE = "clean/bsds500"
STEPS = {"denoise": (4000, 1000), "derain": (2500, 800), "deblur": (2000, 600)}
"""Of each task: steps on synthetic pairs first, then further steps of both arms."""
RATE = 3e-4
"""Learning rate of the further steps."""


@dataclass(frozen=True)
class Experiment:
    """One real domain: how the synthetic pairs come about, what is adapted to, what is scored and how."""

    name: str
    task: Task
    synthetic: str
    """Flags for the synthetic pairs; runs with the same flags share their synthetic-only network."""
    real: str
    test: str
    protocol: str
    column: str = "psnr"
    more: str = ""


EXPERIMENTS = (
    Experiment("sidd-small", "denoise", f"--clean {WHITE}", "denoising/sidd-small/adapt/input", "denoising/sidd-small/test", "rgb", more="--degradation.kind white"),
    Experiment("polyu", "denoise", f"--clean {WHITE}", "denoising/polyu/adapt/input", "denoising/polyu/test", "rgb", more="--degradation.kind white"),
    Experiment("rain-drops (simulated)", "derain", "--pairs deraining/rain100l/train", "@drops/adapt", "@drops/test", "derain-y", more="--degradation.kind pairs"),
    Experiment("rain100l (synthetic test)", "derain", "--pairs deraining/rain100l/train", "deraining/real-internet/input", "deraining/rain100l/test", "derain-y", more="--degradation.kind pairs"),
    Experiment("levin", "deblur", f"--clean {WHITE}", "deblurring/levin/adapt/input", "deblurring/levin/test", "deblur", "psnr_best_shift", "--restorer.channels 1"),
)  # fmt: skip


def simulate_drops(data: Path, folder: Path) -> None:
    """A stand-in for real rain whose truth is known: another renderer than the one trained on, on other photographs."""
    drops = Drops()
    sources = [
        ("adapt/input", None, find_images(data / WHITE)[:100]),
        ("test/input", "test/target", find_images(data / "clean/kodak24")),
    ]
    for inputs, targets, paths in sources:
        for path in paths:
            place = folder / inputs / f"{path.stem}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            clean = read_image(path).pixels
            if not place.exists():
                write_image(Picture(drops(clean, generator("drops", path.stem))), place)
            if targets:
                (folder / targets).mkdir(parents=True, exist_ok=True)
                if not (folder / targets / place.name).exists():
                    write_image(Picture(clean), folder / targets / place.name)


def white_noise(data: Path, folder: Path) -> None:
    """The synthetic test of denoising: what adaptation costs or gains where no real image is involved."""
    white = White(strength=(25.0, 25.0), clip=True)
    for path in find_images(data / "clean/kodak24"):
        clean = read_image(path).pixels
        for half, pixels in (("input", white(clean, generator("white", path.stem))), ("target", clean)):
            (folder / half).mkdir(parents=True, exist_ok=True)
            write_image(Picture(pixels), folder / half / f"{path.stem}.png")


def call(command: str) -> None:
    """Run one command of noiseda, printed first."""
    print(f"$ noiseda {command}", flush=True)
    status = subprocess.run([sys.executable, "-m", "noiseda", *shlex.split(command)]).returncode
    if status:
        raise SystemExit(f"exit status {status}")


def score(restored: Path, target: Path, protocol: str, out: Path) -> dict[str, float]:
    """Mean of every measure."""
    if not (out / "metrics.json").exists():
        call(f"evaluate {restored} {target} --protocol {protocol} --out {out}")
    found: dict[str, float] = json.loads((out / "metrics.json").read_text())["mean"]
    return found


def one(
    experiment: Experiment, seed: int, data: Path, out: Path, flags: str, from_scratch: bool
) -> list[dict[str, Any]]:
    """Train with and without adaptation, restore the test folders with both, score both and the input."""

    def place(path: str) -> Path:
        return out / path[1:] if path.startswith("@") else data / path

    flag, folder = experiment.synthetic.split()
    start, further = STEPS[experiment.task]
    label = f"{experiment.name.split()[0]}-{experiment.protocol}"
    first = out / "runs" / f"{experiment.task}-start-{seed}"
    common = f"adapt --config {experiment.task}-small {flag} {data / folder} {experiment.more} --seed {seed} --cache {out / 'cache'} --training.picture_every 1000"
    onward = f"--restorer.start {first / 'restorer.safetensors'} --training.lr_schedule cosine --training.max_regression_db null --ship_worse --training.steps {further} --training.learning_rate {RATE} --training.predictor_learning_rate 1e-3"
    if from_scratch:
        onward = f"--training.steps {start + further}"
    runs = {
        "start": (first, f"--strategy synthetic --training.steps {start}"),
        "synthetic": (out / "runs" / f"{experiment.task}-synthetic-{seed}", f"--strategy synthetic {onward}"),
        "adapted": (out / "runs" / f"{label}-adapted-{seed}", f"--real {place(experiment.real)} {onward}"),
    }
    if from_scratch:
        del runs["start"]
    summaries = {}
    for name, (run, more) in runs.items():
        if not (run / "summary.json").exists():
            call(f"{common} {more} {flags} --out {run}")
        summaries[name] = json.loads((run / "summary.json").read_text())

    tests = {experiment.name: (label, place(experiment.test))}
    if TASKS[experiment.task].estimator == "noise":
        tests[f"white noise 25, adapted to {experiment.name}"] = (f"{label}-white", out / "white")
    results = []
    for title, (tag, test) in tests.items():
        scores = {"input": score(test / "input", test / "target", experiment.protocol, out / "scores" / f"{tag}-input")}
        for name, (run, _) in runs.items():
            measured, restored = out / "scores" / f"{tag}-{name}-{seed}", out / "restored" / f"{tag}-{name}-{seed}"
            if not (measured / "metrics.json").exists():
                call(f"restore {run / 'restorer.safetensors'} {test / 'input'} {restored} --overwrite --format png")
            scores[name] = score(restored, test / "target", experiment.protocol, measured)
        seconds = {name: summary["seconds"] for name, summary in summaries.items()}
        made_by = {name: summary["made_by"] for name, summary in summaries.items()}
        results.append(
            {
                "test": title,
                "seed": seed,
                "column": experiment.column,
                "scores": scores,
                "seconds": seconds,
                "made_by": made_by,
            }
        )
    return results


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: mean over the seeds, plus or minus their standard deviation."""
    kinds = [kind for kind in ("input", "start", "synthetic", "adapted") if kind in results[0]["scores"]]
    lines = [
        f"| test set | seeds | measure | {' | '.join(kinds)} | adapted - synthetic, by seed |",
        "|---" * (len(kinds) + 4) + "|",
    ]
    for title in dict.fromkeys(result["test"] for result in results):
        of = [result for result in results if result["test"] == title]
        seeds = ", ".join(str(result["seed"]) for result in of)
        for column in dict.fromkeys((of[0]["column"], "ssim")):
            digits = 4 if column == "ssim" else 2
            cells = [_spread([result["scores"][kind][column] for result in of], digits) for kind in kinds]
            gains = [f"{r['scores']['adapted'][column] - r['scores']['synthetic'][column]:+.{digits}f}" for r in of]
            lines.append(f"| {title} | {seeds} | {column} | {' | '.join(cells)} | {', '.join(gains)} |")
    return "\n".join(lines)


def _spread(values: list[float], digits: int) -> str:
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(set(values)) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def main() -> None:
    """Run what is asked for, seed by seed, and write the results after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/real-images"))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", default="", help="names of experiments, separated by commas; all by default")
    parser.add_argument("--from-scratch", action="store_true", help="both arms start from random weights")
    parser.add_argument("--flags", default="", help="further flags of every noiseda adapt")
    arguments = parser.parse_args()
    if not (arguments.out / "drops/test/target").exists():
        simulate_drops(arguments.data, arguments.out / "drops")
    if not (arguments.out / "white/target").exists():
        white_noise(arguments.data, arguments.out / "white")
    wanted = [e for e in EXPERIMENTS if not arguments.only or e.name.split()[0] in arguments.only.split(",")]
    results = []
    for seed in map(int, arguments.seeds.split(",")):
        for experiment in wanted:
            results += one(experiment, seed, arguments.data, arguments.out, arguments.flags, arguments.from_scratch)
            document = {"flags": arguments.flags, "threads": torch.get_num_threads(), "results": results}
            (arguments.out / "results.json").write_text(json.dumps(document, indent=2))
    print(table(results))


if __name__ == "__main__":
    main()
