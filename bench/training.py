"""The training step against the method as published: samples/s, memory, arithmetic, waiting for data.

    python -m bench.training [--device cuda] [--out FILE.json]

The rival is ``tests/reference/step.py``: fp32, channels-first, one pass of a network for each input, no compilation; same
networks, batch and patch. Ours is what ``noiseda adapt`` runs, on photographs that are degraded as it goes. Each
measurement is a process of its own, rivals by turns; the best step counts. Once the contrastive hinge is 0, which takes
some hundred steps, ours leaves out a backward pass that would add nothing: both states are measured.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bench.processes import in_a_process, main_of_a_case, show


@dataclass(frozen=True)
class Case:
    """What one process measures."""

    rival: bool = False
    size: str = "paper"
    batch: int = 2
    patch: int = 128
    asleep: bool = True
    steps: int = 2
    """Steps that are timed, after a first one."""
    device: str = "cpu"
    precision: str = "auto"
    compile: bool = False
    recompute: bool = False
    searched: bool = False
    """Whether cuDNN tries its algorithms out for each shape; which one wins may differ from run to run."""
    workers: int = 0
    strategy: str = "noise-space"
    width: int = 0
    """Width of the restorer; 0: that of the size."""
    stem: int = 0
    """Stem of the noise predictor; 0: that of the size."""


def measure(device: str = "cpu") -> dict[str, float]:
    """All figures by name."""
    found = {f"matmul.{name}.tflops": rate for name, rate in matrix_rates(device).items()}
    gpu = device != "cpu"
    ours = Case(device=device, batch=24 if gpu else 2, steps=40 if gpu else 2, workers=8 if gpu else 0)
    rival = replace(ours, rival=True, workers=0, steps=12 if gpu else 2)
    kinds = {"plain": rival, "ours": ours, "awake": replace(ours, asleep=False, steps=ours.steps // 2)}
    kinds["recompute"] = replace(ours, recompute=True, steps=ours.steps // 2)
    if gpu:
        kinds |= {"plain-tf32": replace(rival, precision="tf32"), "searched": replace(ours, searched=True)}
        kinds |= {"restorer alone": replace(ours, strategy="synthetic")}
        kinds |= {"compiled": replace(ours, compile=True)}
    found |= compare("paper", kinds, found)
    small = replace(ours, size="small", batch=64 if gpu else 6, patch=48, steps=60 if gpu else 10)
    found |= compare("small", {"plain": replace(small, rival=True, workers=0), "ours": small}, found)
    found["paper.speed_ratio_awake"] = found["paper.awake.samples_per_s"] / found["paper.plain.samples_per_s"]
    for name in ("paper", "small"):
        found[f"{name}.speed_ratio"] = found[f"{name}.ours.samples_per_s"] / found[f"{name}.plain.samples_per_s"]
        found[f"{name}.memory_ratio"] = found[f"{name}.ours.peak_gib"] / found[f"{name}.plain.peak_gib"]
    found["paper.memory_ratio_recompute"] = found["paper.recompute.peak_gib"] / found["paper.plain.peak_gib"]
    return found


def growth(device: str = "cpu") -> dict[str, float]:
    """Samples/s of ours with the small networks against batch, patch, network width, stem and processes."""
    base = Case(size="small", batch=6, patch=48, steps=3, device=device)
    cases = {f"batch {batch}": replace(base, batch=batch) for batch in (1, 6, 24)}
    cases |= {f"patch {patch}": replace(base, patch=patch) for patch in (32, 128)}
    cases |= {f"restorer width {width}": replace(base, width=width) for width in (48,)}
    cases |= {"predictor stem 1": replace(base, patch_size=1)}
    cases |= {"synthetic only": replace(base, strategy="synthetic")}
    found = {
        f"growth.{name}.samples_per_s": in_a_process(__file__, case)["samples_per_s"] for name, case in cases.items()
    }
    for processes in (1, 2):
        rate = in_a_process(__file__, replace(base, steps=8), processes=processes)["samples_per_s"]
        found[f"growth.processes {processes}, one thread each.samples_per_s"] = rate
    return found


def compare(group: str, cases: dict[str, Case], found: dict[str, float]) -> dict[str, float]:
    """The figures of rivals, one after the other."""
    figures: dict[str, float] = {}
    for name, case in cases.items():
        measured = in_a_process(__file__, case)
        figures |= {f"{group}.{name}.{key}": value for key, value in measured.items()}
        kind = "fp32" if case.rival or "matmul.bf16.tflops" not in found else "bf16"
        figures[f"{group}.{name}.share_of_matmul"] = measured["tflops"] / found[f"matmul.{kind}.tflops"]
    return figures


def matrix_rates(device: str) -> dict[str, float]:
    """TFLOP/s of products of square matrices, the best of ten, in the types that the device multiplies in hardware."""
    from noiseda.precision import computes_bf16

    side = 2048 if device == "cpu" else 4096
    types = {"fp32": torch.float32} | ({"bf16": torch.bfloat16} if computes_bf16(torch.device(device)) else {})
    rates = {}
    for name, dtype in types.items():
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        best = 1e9
        for _ in range(10):
            began = time.perf_counter()
            a @ b
            _finish(device)
            best = min(best, time.perf_counter() - began)
        rates[name] = 2e-12 * side**3 / best
    return rates


# -- one case ----------------------------------------------------------------------------------------------------------


def one(case: Case) -> dict[str, float]:
    """Measure a case in this process."""
    seconds, arithmetic, waiting = plain_steps(case) if case.rival else our_steps(case)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if case.device != "cpu":
        peak = torch.cuda.max_memory_allocated()
    best = min(seconds[1:])
    return {
        "samples_per_s": case.batch / best,
        "peak_gib": peak / 2**30,
        "tflop_per_sample": arithmetic / case.batch / 1e12,
        "tflops": arithmetic / best / 1e12,
        "waiting_for_data": waiting,
        "first_step_s": seconds[0],
    }


def networks(case: Case):
    """The settings of both networks."""
    from noiseda.config import PredictorSettings, RestorerSettings

    if case.size == "small":
        small = PredictorSettings()
        return RestorerSettings(width=case.width or RestorerSettings().width), replace(
            small, patch_size=case.stem or small.stem
        )
    paper = PredictorSettings(width=64, channel_mults=[1, 2, 4, 8], blocks=2, patch_size=1, attention=True, dropout=0.2)
    return RestorerSettings(width=case.width or 64), paper


def plain_steps(case: Case) -> tuple[list[float], float, float]:
    """Steps of the rival on random images, which cost it no time."""
    from noiseda.diffusion import build_predictor
    from tests.diffusion.stacked import Stacked
    from tests.reference.predictor import PaperPredictor
    from tests.reference.step import PlainStep
    from tests.reference.unet import PaperUNet

    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = case.precision == "tf32"
    restorer, predictor = networks(case)
    judge = PaperPredictor() if case.size == "paper" else Stacked(build_predictor(predictor))
    plain = PlainStep(PaperUNet(restorer.width).to(case.device), judge.to(case.device))
    shape = (case.batch, 3, case.patch, case.patch)
    swap = torch.arange(case.batch, device=case.device) % 2 == 0

    def step() -> None:
        images = [torch.rand(shape, device=case.device) for _ in range(3)]
        eps, level = torch.randn(shape, device=case.device), torch.rand(case.batch, device=case.device)
        plain.step(*images, eps, level, swap, ~swap, progress=0.5)
        _finish(case.device)

    return *_timed(step, case.steps), 0.0


def our_steps(case: Case) -> tuple[list[float], float, float]:
    """Steps of ``noiseda adapt``: seconds of each, arithmetic of one, share of the time spent waiting for data."""
    import skimage.data
    from torch.utils.flop_counter import FlopCounterMode

    from noiseda.config import AdaptSettings, DegradationSettings, TrainingSettings
    from noiseda.images import Picture, from_uint8, write
    from noiseda.training import loop
    from noiseda.training.interrupt import StopRequest
    from noiseda.training.logger import read_log
    from noiseda.training.run import prepare

    torch.backends.cudnn.benchmark = case.searched
    loop.save = lambda run: None  # checkpoints are not what is measured
    restorer, predictor = networks(case)
    gap = 1 if case.device == "cpu" else 10
    with tempfile.TemporaryDirectory() as place:
        for name, picture in {"clean": skimage.data.astronaut(), "real": skimage.data.chelsea()}.items():
            Path(place, name).mkdir()
            pixels = from_uint8(torch.from_numpy(picture).permute(2, 0, 1))
            write(Picture(pixels), Path(place, name, "photograph.png"))
        settings = AdaptSettings(
            clean=Path(place, "clean"),
            real=Path(place, "real"),
            out=Path(place, "out"),
            degradation=DegradationSettings(kind="white+camera"),
            strategy=case.strategy,
            proxy_pairs=0,
            restorer=restorer,
            predictor=predictor,
            training=TrainingSettings(
                steps=case.steps, batch=case.batch, patch=case.patch, learning_rate=1e-4, lr_schedule="constant", max_grad_norm=0,
                log_every=gap, device=case.device, compile=case.compile, recompute=case.recompute, workers=case.workers,
                precision="auto" if case.precision == "tf32" else case.precision, picture_every=10**6,
            ),
        )  # fmt: skip
        run = prepare(settings)
        if case.asleep and case.strategy == "noise-space":
            run.objective.settings = replace(run.objective.settings, margin=-1e6)
            run.objective._was_active = False
        counter = FlopCounterMode(display=False)
        counting = counter if run.accelerator.num_processes == 1 and not case.compile else nullcontext()
        began = time.perf_counter()
        in_pieces, loop.suits = loop.suits, lambda *given: False  # what other threads compute is not counted
        with counting, StopRequest() as stop:  # the first step: compiled, counted, not timed
            run.done = case.steps - 1
            loop.train(run, stop)
        loop.suits = in_pieces
        first = time.perf_counter() - began
        run.done = 0
        with StopRequest() as stop:
            loop.train(run, stop)
        if not run.accelerator.is_main_process:
            return [1.0, 1.0], 0.0, 0.0  # the first process measures for all
        lines = read_log(settings.out / "log.jsonl")[-(case.steps // gap) :]
        seconds = [case.batch / line["samples_per_second"] for line in lines]  # the rate is that of all processes
        waiting = sum(line["waiting_for_data"] for line in lines) / len(lines)
    return [first, *seconds], counter.get_total_flops(), waiting


def _timed(step, count: int) -> tuple[list[float], float]:
    from torch.utils.flop_counter import FlopCounterMode

    seconds = []
    counter = FlopCounterMode(display=False)
    for number in range(1 + count):
        began = time.perf_counter()
        with nullcontext() if number else counter:
            step()
        seconds.append(time.perf_counter() - began)
    return seconds, counter.get_total_flops()


def _finish(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def main() -> None:
    """Measure, or be one of the measuring processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    found = measure(arguments.device) | growth(arguments.device)
    show(found, arguments.out)


if __name__ == "__main__":
    main_of_a_case(lambda case: one(Case(**case)), main)
