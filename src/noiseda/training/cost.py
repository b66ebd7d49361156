"""What a run would do and cost, found out without training and without writing anything."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from noiseda.config import AdaptSettings
from noiseda.data.batches import Batch
from noiseda.data.drawn import DrawnBatches, Sample
from noiseda.training.beside import list_others
from noiseda.training.build import build_objective, check_baseline, check_degradation, list_images
from noiseda.training.fitting import begin
from noiseda.training.interrupt import StopRequest
from noiseda.training.loop import train
from noiseda.training.plan import resolve
from noiseda.training.room import check_room
from noiseda.training.run_directory import as_begun, check_claim
from noiseda.training.start import check_predictor, check_start
from noiseda.training.state import Case

TIMED = 6
"""Steps that are timed."""

CHEAP = 0.5
"""TFLOP of a step up to which some are timed: they take seconds on a processor."""


@dataclass(frozen=True)
class Description:
    """What a run would do, on each of its processes.

    Attributes:
        settings: those of the run.
        images: number of images (or pairs) by flag; none of them was decoded.
        others: what the folders hold that is not taken, a line each.
        parameters: number of weights of the restorer, and of all that is thrown away after training.
        forward_gmac: multiply-accumulates of one sample through all networks, forward, in 1e9.
        sample_tflop: floating-point operations of one sample, forward and backward, in 1e12.
        samples: samples of each domain in a step.
        run_pflop: floating-point operations of the whole run, in 1e15.
        minutes: that the steps of the run would take on this machine, by a few of them; None where none was timed.
    """

    settings: AdaptSettings
    images: dict[str, int]
    others: list[str]
    parameters: dict[str, int]
    forward_gmac: float
    sample_tflop: float
    samples: int
    run_pflop: float
    minutes: float | None = None

    def __str__(self) -> str:
        """A small table, as ``--dry-run`` prints it."""
        training = self.settings.training
        rows = {
            "task": f"{self.settings.task}, strategy {self.settings.strategy}"
            + (", degradation matched to the photographs" if self.settings.matches else ""),
            "images": ", ".join(f"--{flag} {count}" for flag, count in self.images.items()),
            **{"" if index else "beside": line for index, line in enumerate(self.others)},
            "restorer": f"{self.parameters['restorer']:,} parameters",
            "thrown away": f"{self.parameters['thrown_away']:,} parameters",
            "forward": f"{self.forward_gmac:.3g} GMAC a sample ({training.side} x {training.side} pixels)",
            "step": f"{self.samples} samples a process, {self.samples * self.sample_tflop:.3g} TFLOP with backward",
            "run": f"{training.steps} steps, {self.run_pflop:.3g} PFLOP a process{self._time}"
            if self.settings.minutes is None
            else f"as many steps as fit into {self.settings.minutes:g} minute{'s' * (self.settings.minutes != 1)}",
            "out": f"{self.settings.out} (dry run: nothing is written)",
        }
        return "\n".join(f"{name:<12}{text}" for name, text in rows.items())

    @property
    def _time(self) -> str:
        if self.minutes is None:
            return ""
        shown = f"{self.minutes:.2g}" if self.minutes < 10 else f"{self.minutes:.0f}"
        return f", about {shown} minutes on this machine (by {TIMED} of them; scoring comes on top)"


def describe(settings: AdaptSettings, *, timed: bool = False) -> Description:
    """Check the settings, list the images and count the arithmetic of a run; nothing is decoded or written.

    Args:
        settings: what is asked for.
        timed: time some steps too, where that takes seconds and the run is one of steps.

    Raises:
        UserError: as :func:`noiseda.training.adapt` does before it starts.
    """
    asked = as_begun(settings, settings.out / "settings.yaml")
    asked.check()
    settings = resolve(asked).settings
    settings.check_patch()
    check_room(settings)
    check_claim(asked, int(os.environ.get("WORLD_SIZE", "1")))
    groups = list_images(settings)
    check_degradation(settings)
    check_start(settings.restorer)
    check_predictor(settings)
    check_baseline(settings)
    training, channels = settings.training, settings.restorer.channels
    # Fake tensors have a shape but no memory; FLOPs are counted from shapes. Networks of others are detected by their
    # weights, and so are built for real.
    real = settings.restorer.weights is not None or not settings.restorer.network.startswith("unet")
    with nullcontext() if real else FakeTensorMode():
        start, judge = replace(settings.restorer, start=None), replace(settings.predictor, start=None)
        objective = build_objective(replace(settings, restorer=start, predictor=judge))
    with FakeTensorMode(allow_non_fake_inputs=True), FlopCounterMode(display=False) as counter:
        images = torch.rand(1, channels, training.side, training.side)
        draws = objective.draw(images, torch.Generator())
        totals = [0]
        known = torch.tensor([True])  # one that reminds the network has those beside it restored, too
        for progress in (0.0, 1.0) if objective.real_from else (1.0,):  # before it learns from real images, and after
            terms = objective(Batch(images, images, images, images, (), progress, known), draws)
            forward = counter.get_total_flops() - totals[-1]
            torch.autograd.backward(objective.losses(terms, progress)["loss"])
            totals.append(counter.get_total_flops())
        early, sample = totals[1], totals[-1] - totals[-2]
    restorer = sum(parameter.numel() for parameter in objective.restorer.parameters())
    everything = sum(parameter.numel() for parameter in objective.parameters())
    samples, begins = training.batch * training.gradient_accumulation, objective.real_from
    step_tflop = samples * sample / 1e12
    timed = timed and settings.minutes is None and step_tflop <= CHEAP and "WORLD_SIZE" not in os.environ
    return Description(
        minutes=training.steps * seconds_a_step(settings) / 60 if timed else None,
        settings=settings,
        images={flag: len(found) for flag, found in groups.items()},
        others=list_others(settings, groups, quiet=False),
        parameters={"restorer": restorer, "thrown_away": everything - restorer},
        forward_gmac=forward / 2e9,
        sample_tflop=sample / 1e12,
        samples=samples,
        run_pflop=training.steps * samples * (begins * early + (1 - begins) * sample) / 1e15,
    )


def seconds_a_step(settings: AdaptSettings) -> float:
    """How long a step takes on this machine, by :data:`TIMED` of them on made-up images; nothing of them remains.

    Args:
        settings: of the run, with nothing left open.
    """
    training, shape = settings.training, (4, settings.restorer.channels, *(settings.training.side,) * 2)
    quiet = TIMED + 1
    brief = replace(
        training, steps=TIMED, log_every=quiet, checkpoint_every=quiet, picture_every=quiet, snapshot_every=0, workers=0
    )

    def draw(random: torch.Generator) -> Sample:
        return Sample(*torch.rand(shape, generator=random))

    batches = _Reminding(draw, settings)
    objective = build_objective(replace(settings, training=brief))
    with tempfile.TemporaryDirectory() as folder, StopRequest() as stop:
        case = Case(settings.task, settings.strategy)
        run = begin(objective.restorer, objective, batches, out=folder, training=brief, seed=settings.seed, case=case)
        train(run, stop, trial=True)
        return run.seconds / TIMED


class _Reminding(DrawnBatches):
    """Batches of a run of one process, whose share of synthetic images reminds the network of what it knew."""

    def __init__(self, draw: Callable[[torch.Generator], Sample], settings: AdaptSettings) -> None:
        training = settings.training
        super().__init__(
            draw, size=training.batch, seed=settings.seed, gradient_accumulation=training.gradient_accumulation
        )
        self._share = settings.degradation.remembered or 0.0

    def __getitem__(self, number: int) -> Batch:
        chances = [torch.rand((), generator=one) for one in self.generators("known", number)]
        return replace(super().__getitem__(number), known=torch.stack(chances) < self._share)
