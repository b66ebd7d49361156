"""PSNR on a real test set against the time spent in training: synthetic-only, the plain step as published, and ours.

    python -m noiseda_research.studies.time_to_quality --data DIR [--seconds 200] [--points 10] [--out runs/time-to-quality]

DIR holds clean/bsds500 and denoising/polyu. The same small networks from the same random weights, the same batches and
draws, constant learning rate, averaged weights; only the step differs. The clock stands still while a network is
scored. The curve is looked at, nothing is chosen by it. Writes ``curves.json`` and ``curves.png``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import matplotlib
import torch

matplotlib.use("Agg")
from matplotlib import pyplot
from torch import Tensor

from noiseda import AdaptSettings, DegradationSettings, NoiseSpace, TrainingSettings, read_image
from noiseda.data import paired_folder
from noiseda.evaluation import psnr
from noiseda.inference import restore_tensor
from noiseda.training import MovingAverage, Steps, StopRequest, prepare, provenance
from noiseda.training import train as train_to_the_end

RATE, DECAY = 3e-4, 0.999  # at 1e-3 a run without clipping, which the plain step has none of, went astray
ARMS = {
    "synthetic": "synthetic-only",
    "plain": "noise space, plain step as published (fp32)",
    "ours": "noise space, ours",
}


class Clock:
    """Training time and scores; ``at`` scores when the next point is due and says whether the time is over."""

    def __init__(self, seconds: float, points: int, pairs: list[tuple[Tensor, Tensor]]) -> None:
        self.due = [seconds * (point / points) ** 1.5 for point in range(1, points + 1)]  # denser at the start
        self.pairs = pairs
        self.curve: list[dict[str, float]] = []
        self.spent, self.since = 0.0, time.perf_counter()

    def at(self, network: torch.nn.Module, step: int) -> bool:
        """Score after step number ``step`` where a point is due; whether it was the last."""
        spent = self.spent + time.perf_counter() - self.since
        if spent >= self.due[0]:
            self.spent = spent
            scores = [float(psnr(restore_tensor(network, x)[None], y[None])) for x, y in self.pairs]
            self.curve.append({"seconds": spent, "steps": step, "psnr": sum(scores) / len(scores)})
            print(self.curve[-1], flush=True)
            del self.due[0]
            self.since = time.perf_counter()
        return not self.due


class TimeIsOverError(Exception):
    """Ends a run."""


def train(arm: str, settings: AdaptSettings, clock: Clock) -> None:
    """Train until the time is over."""
    run = prepare(settings)
    if arm == "plain":
        assert isinstance(run.objective, NoiseSpace)
        # The repository's own transcription: run this from its root.
        from tests.diffusion.stacked import Stacked
        from tests.reference.step import PlainStep

        steps = Steps(run.batches, run.objective, run.training.steps)
        plain = PlainStep(
            run.objective.restorer, Stacked(run.objective.denoiser.network), learning_rate=RATE, decay=DECAY
        )
        for net in (plain.restorer, plain.predictor, *plain.averages):
            net.to(memory_format=torch.contiguous_format)
        average = MovingAverage(plain.restorer, DECAY)  # the same weights scored as ours
        number, over = 0, False
        clock.since = time.perf_counter()
        while not over:
            batch, draws = (step := steps[number]).batch, step.draws
            swaps = (order[:, 0] == 3 for order in (draws.order, draws.order_swapped))
            progress = number / settings.training.steps
            plain.step(batch.x_syn, batch.y_syn, batch.x_real, draws.eps, draws.alpha_bar, *swaps, progress=progress)
            average.update(plain.restorer, number)
            number += 1
            over = clock.at(average.network, number)
        return
    update = MovingAverage.update

    def timed(self: MovingAverage, network: torch.nn.Module, step: int) -> None:
        update(self, network, step)
        if clock.at(self.network, step + 1):
            raise TimeIsOverError

    MovingAverage.update = timed  # type: ignore[method-assign]
    clock.since = time.perf_counter()
    try:
        with StopRequest() as stop:
            train_to_the_end(run, stop)
    except TimeIsOverError:
        pass
    finally:
        MovingAverage.update = update  # type: ignore[method-assign]


def draw(curves: dict[str, list[dict[str, float]]], title: str, out: Path) -> None:
    figure, axis = pyplot.subplots(figsize=(7, 4), constrained_layout=True)
    for arm, curve in curves.items():
        label = f"{ARMS[arm]} ({curve[-1]['steps']} steps)"
        axis.plot([p["seconds"] for p in curve], [p["psnr"] for p in curve], marker=".", label=label)
    axis.set(xlabel="seconds of training", ylabel="PSNR (dB)", title=title)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    figure.savefig(out, dpi=110)


def main() -> None:
    """Train the three arms one after the other and draw their curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/time-to-quality"))
    parser.add_argument("--seconds", type=float, default=200.0, help="of training, for each arm")
    parser.add_argument("--points", type=int, default=10, help="of each curve")
    arguments = parser.parse_args()
    polyu = arguments.data / "denoising/polyu"
    pairs = [(read_image(x).pixels, read_image(y).pixels) for x, y in paired_folder(polyu / "test")]
    curves = {}
    for arm in ARMS:
        settings = AdaptSettings(
            clean=arguments.data / "clean/bsds500",
            real=polyu / "adapt/input",
            out=arguments.out / arm,
            cache=arguments.out / "cache",
            degradation=DegradationSettings(kind="white"),
            strategy="synthetic" if arm == "synthetic" else "noise-space",
            training=TrainingSettings(
                steps=6000, learning_rate=RATE, ema_decay=DECAY, lr_schedule="constant", max_grad_norm=0, checkpoint_every=10**6,
                picture_every=10**6,
            ),
        )  # fmt: skip
        print(arm, flush=True)
        clock = Clock(arguments.seconds, arguments.points, pairs)
        train(arm, settings, clock)
        curves[arm] = clock.curve
        document = {"made_by": provenance(), "curves": curves}
        (arguments.out / "curves.json").write_text(json.dumps(document, indent=2))
    draw(curves, f"PolyU test, {len(pairs)} photographs", arguments.out / "curves.png")


if __name__ == "__main__":
    main()
