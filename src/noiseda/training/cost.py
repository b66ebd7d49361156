"""What a run would do and cost, found out without training and without writing anything."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from noiseda.config import AdaptSettings
from noiseda.data.batches import Batch
from noiseda.training.beside import list_others
from noiseda.training.build import build_objective, check_baseline, check_degradation, list_images
from noiseda.training.plan import resolve
from noiseda.training.room import check_room
from noiseda.training.run_directory import as_begun, check_claim
from noiseda.training.start import check_start


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
    """

    settings: AdaptSettings
    images: dict[str, int]
    others: list[str]
    parameters: dict[str, int]
    forward_gmac: float
    sample_tflop: float
    samples: int
    run_pflop: float

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
            "forward": f"{self.forward_gmac:.3g} GMAC a sample ({training.patch} x {training.patch} pixels)",
            "step": f"{self.samples} samples a process, {self.samples * self.sample_tflop:.3g} TFLOP with backward",
            "run": f"{training.steps} steps, {self.run_pflop:.3g} PFLOP a process"
            if self.settings.minutes is None
            else f"as many steps as fit into {self.settings.minutes:g} minutes",
            "out": f"{self.settings.out} (dry run: nothing is written)",
        }
        return "\n".join(f"{name:<12}{text}" for name, text in rows.items())


def describe(settings: AdaptSettings) -> Description:
    """Check the settings, list the images and count the arithmetic of a run; nothing is decoded, trained or written.

    Raises:
        UserError: as :func:`noiseda.training.adapt` does before it starts.
    """
    asked = as_begun(settings, settings.out / "settings.yaml")
    asked.check()
    settings = resolve(asked).settings
    check_room(settings)
    check_claim(asked, int(os.environ.get("WORLD_SIZE", "1")))
    groups = list_images(settings)
    check_degradation(settings)
    check_start(settings.restorer)
    check_baseline(settings)
    training, channels = settings.training, settings.restorer.channels
    # Fake tensors have a shape but no memory; FLOPs are counted from shapes. Networks of others are detected by their
    # weights, and so are built for real.
    real = settings.restorer.weights is not None or not settings.restorer.network.startswith("unet")
    with nullcontext() if real else FakeTensorMode():
        objective = build_objective(replace(settings, restorer=replace(settings.restorer, start=None)))
    with FakeTensorMode(allow_non_fake_inputs=True), FlopCounterMode(display=False) as counter:
        images = torch.rand(1, channels, training.patch, training.patch)
        draws = objective.draw(images, torch.Generator())
        totals = [0]
        for progress in (0.0, 1.0) if objective.real_from else (1.0,):  # before it learns from real images, and after
            terms = objective(Batch(images, images, images, images, (), progress), draws)
            forward = counter.get_total_flops() - totals[-1]
            torch.autograd.backward(objective.losses(terms, progress)["loss"])
            totals.append(counter.get_total_flops())
        early, sample = totals[1], totals[-1] - totals[-2]
    restorer = sum(parameter.numel() for parameter in objective.restorer.parameters())
    everything = sum(parameter.numel() for parameter in objective.parameters())
    samples, begins = training.batch * training.gradient_accumulation, objective.real_from
    return Description(
        settings=settings,
        images={flag: len(found) for flag, found in groups.items()},
        others=list_others(settings, groups, quiet=False),
        parameters={"restorer": restorer, "thrown_away": everything - restorer},
        forward_gmac=forward / 2e9,
        sample_tflop=sample / 1e12,
        samples=samples,
        run_pflop=training.steps * samples * (begins * early + (1 - begins) * sample) / 1e15,
    )
