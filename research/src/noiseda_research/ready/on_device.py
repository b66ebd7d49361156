"""Train ready weights of noise on one device that does everything: a GPU for ten minutes, say.

    python -m noiseda_research.ready.on_device pack PHOTOGRAPHS PACKED --megabytes 60
    python -m noiseda_research.ready.on_device train PACKED OUT --minutes 8 [--device cuda]

``pack`` writes as many of the clean photographs as JPEGs as a transfer takes. ``train`` keeps them in the device's
memory and degrades them there (:mod:`noiseda_research.ready.batched`). It measures its speed for some seconds, fixes
the number of its steps by that, and writes a checkpoint each minute: the same command goes on from there. With
``--more MINUTES`` a finished run goes on, and its rate rises and falls again. ``OUT/restorer.safetensors`` is what
``noiseda_research.ready.publish`` takes.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import noiseda
from noiseda import UserError
from noiseda.images import find_images
from noiseda.restoration import ResidualUNet
from noiseda_research.ready.batched import MARGIN, Mixture
from noiseda_research.ready.train import negative_psnr

TILE = 320
"""Side of the squares that photographs are cut into; random crops are cut from these."""

TRIAL = 12.0
"""Seconds for which the speed is measured."""

RISE = 200
"""Steps in which the rate rises from nothing."""


def pack(photographs: Path, out: Path, megabytes: float, quality: int = 94) -> int:
    """Write photographs as JPEGs of full colour, evenly spread, as many as fit; returns how many.

    Args:
        photographs: folder of clean photographs.
        out: folder to write.
        megabytes: room, in units of 2^20 bytes.
        quality: of the JPEGs.

    Raises:
        UserError: none fits, or there is none; one cannot be read; the folder cannot be written.
    """
    files = find_images(photographs)
    order = [files[index] for index in np.random.default_rng(0).permutation(len(files))]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be made: {error.strerror or error}") from error
    left, count = megabytes * 2**20, 0
    for path in order:
        encoded = io.BytesIO()
        _picture(path).save(encoded, "JPEG", quality=quality, subsampling=0)
        if encoded.tell() > left:
            break
        (out / f"{path.stem}.jpg").write_bytes(encoded.getvalue())
        left, count = left - encoded.tell(), count + 1
    if not count:
        raise UserError(f"{photographs} holds no photograph that fits into --megabytes {megabytes:g}")
    return count


def _picture(path: Path) -> Image.Image:
    try:
        return Image.open(path).convert("RGB")
    except (OSError, SyntaxError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def tiles(photographs: Path, device: torch.device, side: int = TILE) -> Tensor:
    """Photographs cut into overlapping squares, (N, 3, side, side) uint8, in the memory of a device.

    Raises:
        UserError: none is large enough.
    """
    found = []
    for path in find_images(photographs):
        pixels = torch.from_numpy(np.array(_picture(path))).permute(2, 0, 1)
        for top in _places(pixels.shape[1], side):
            found += [pixels[:, top : top + side, left : left + side] for left in _places(pixels.shape[2], side)]
    if not found:
        raise UserError(f"{photographs} holds no photograph of {side} x {side} pixels or more")
    return torch.stack(found).to(device)


def _places(length: int, side: int) -> list[int]:
    """Where squares begin that cover a length with as little overlap as it takes; none where it is too short."""
    count = math.ceil(length / side)
    return [round(i * (length - side) / max(count - 1, 1)) for i in range(count)] if length >= side else []


@dataclass
class Course:
    """How far a run is, and all that its next step depends on beside its networks.

    Attributes:
        step: steps that are done.
        steps: of the whole run; 0 before its speed was measured.
        begun: the step at which the rate last began anew.
        seconds: that it has trained.
        generators: states of the device's generator and of the CPU's.
    """

    step: int = 0
    steps: int = 0
    begun: int = 0
    seconds: float = 0.0
    generators: list[Tensor] = field(default_factory=list)


class Trainer:
    """A restorer that learns from what is degraded on its own device.

    Args:
        photographs: from :func:`tiles`.
        model: the network; it is moved to their device.
        batch: samples in a step.
        patch: side of the patches in pixels, a multiple of 16.
        rate: of AdamW, at its height.
        ema: decay of the moving average of the weights.
        seed: of every draw.
        bf16: whether the network computes in bfloat16.
    """

    def __init__(
        self,
        photographs: Tensor,
        model: ResidualUNet,
        *,
        batch: int,
        patch: int,
        rate: float,
        ema: float = 0.999,
        seed: int = 0,
        bf16: bool = False,
    ) -> None:
        if patch % 16 or patch + 2 * MARGIN > photographs.shape[-1]:
            raise UserError(f"--patch must be a multiple of 16, and {photographs.shape[-1] - 2 * MARGIN} at most")
        self.photographs, self.batch, self.patch, self.rate, self.decay = photographs, batch, patch, rate, ema
        self.device = photographs.device
        self.model: ResidualUNet = model.to(self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.mixture, self.bf16 = Mixture(), bf16
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.host = torch.Generator().manual_seed(seed)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.0, fused=self.device.type == "cuda"
        )
        self.average = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        self.course = Course()
        self.run: Callable[[Tensor], Tensor] = model

    def data(self) -> tuple[Tensor, Tensor]:
        """A batch, degraded and clean; (B, 3, P, P)."""
        count, side = len(self.photographs), self.patch + 2 * MARGIN
        room = self.photographs.shape[-1] - side + 1
        draw = torch.rand(3, self.batch, generator=self.generator, device=self.device)
        which, top, left = ((row * size).long() for row, size in zip(draw, (count, room, room), strict=True))
        places = torch.arange(side, device=self.device)
        rows, columns = (top[:, None] + places)[:, :, None], (left[:, None] + places)[:, None]
        crops = self.photographs[which[:, None, None], :, rows, columns].permute(0, 3, 1, 2).float() / 255
        for turn in (_upside_down, _mirrored, _transposed):
            half = torch.rand(self.batch, 1, 1, 1, generator=self.generator, device=self.device) < 0.5
            crops = torch.where(half, turn(crops), crops)
        noisy, clean = self.mixture(crops, self.generator, self.host)
        return noisy.contiguous(memory_format=torch.channels_last), clean

    def step(self) -> Tensor:
        """Learn from one batch; the loss."""
        noisy, clean = self.data()
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * self.course_of_rate()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            restored = self.run(noisy)
        loss = negative_psnr(restored.float(), clean).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.course.step += 1
        decay = min(self.decay, 1 - 1 / (1 + self.course.step / 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.model.state_dict().values()), 1 - decay)
        return loss.detach()

    def course_of_rate(self) -> float:
        """A rate that rises, and then falls along half a cosine to zero."""
        done = self.course.step - self.course.begun
        if not self.course.steps:
            return min(1.0, (done + 1) / RISE)
        share = done / max(self.course.steps - self.course.begun, 1)
        return min(1.0, (done + 1) / RISE) * (0.5 + 0.5 * math.cos(math.pi * min(share, 1.0)))

    def state(self) -> dict[str, Any]:
        """All that a continued run needs."""
        self.course.generators = [self.generator.get_state(), self.host.get_state()]
        return {
            "model": self.model.state_dict(), "average": self.average, "optimizer": self.optimizer.state_dict(),
            "course": vars(self.course), "arguments": self.model.arguments,
        }  # fmt: skip

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.model.load_state_dict(state["model"])
        self.average = {name: tensor.to(self.device) for name, tensor in state["average"].items()}
        self.optimizer.load_state_dict(state["optimizer"])
        self.course = Course(**state["course"])
        device, host = self.course.generators
        self.generator.set_state(device)
        self.host.set_state(host)


def _upside_down(images: Tensor) -> Tensor:
    return images.flip(2)


def _mirrored(images: Tensor) -> Tensor:
    return images.flip(3)


def _transposed(images: Tensor) -> Tensor:
    return images.transpose(2, 3)


def pace(trainer: Trainer, minutes: float) -> dict[str, float]:
    """Fix the steps of a run by its speed, measured on steps that count; and measure what its data costs."""
    trainer.step()
    _wait(trainer.device)
    began, first = time.perf_counter(), trainer.course.step
    while time.perf_counter() - began < min(TRIAL, 6 * minutes):
        trainer.step()
        _wait(trainer.device)
    each = (time.perf_counter() - began) / (trainer.course.step - first)
    began = time.perf_counter()
    for _ in range(3):
        trainer.data()
    _wait(trainer.device)
    waiting = (time.perf_counter() - began) / 3 / each
    trainer.course.steps = trainer.course.step + max(int((60 * minutes - trainer.course.seconds) / each), 1)
    return {"seconds_a_step": each, "samples_per_s": trainer.batch / each, "share_of_data": waiting}


def train(trainer: Trainer, out: Path, minutes: float, *, more: float = 0.0, stop_at: int | None = None) -> None:
    """Train to the end, or go on with it; a checkpoint each minute.

    Args:
        trainer: what trains.
        out: folder of the run.
        minutes: that it may take.
        more: minutes that a finished run is to go on for, with a new rise and fall of its rate.
        stop_at: a step after which it stops, as if it had been stopped.
    """
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "checkpoint.pt"
    if kept.exists():
        trainer.resume(torch.load(kept, map_location=trainer.device, weights_only=True))
    course = trainer.course
    if more and course.step >= course.steps > 0:
        each = course.seconds / course.step
        course.begun, course.steps = course.step, course.step + max(int(60 * more / each), 1)
    if not course.steps:
        figures = pace(trainer, minutes)
        print(json.dumps({"steps": course.steps, **{name: round(value, 4) for name, value in figures.items()}}))
    saved = began = time.perf_counter()
    before, losses = course.seconds, []
    while course.step < min(course.steps, stop_at or course.steps):
        losses.append(trainer.step())
        course.seconds = before + time.perf_counter() - began
        if time.perf_counter() - saved > 60:
            print(f"step {course.step}/{course.steps}  {-10 * float(torch.stack(losses).mean()):.2f} dB", flush=True)
            saved, losses = time.perf_counter(), []
            _save(trainer, kept)
    _save(trainer, kept)
    noiseda.save_weights(
        out / "restorer.safetensors", trainer.average, architecture=trainer.model.architecture,
        arguments=trainer.model.arguments, task="denoise",
    )  # fmt: skip


def _save(trainer: Trainer, path: Path) -> None:
    torch.save(trainer.state(), path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def _device(name: str) -> torch.device:
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"--device {name} cannot be had on this machine") from error


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("photographs", type=Path)
    packing.add_argument("out", type=Path)
    packing.add_argument("--megabytes", type=float, default=60.0)
    training = commands.add_parser("train")
    training.add_argument("photographs", type=Path)
    training.add_argument("out", type=Path)
    training.add_argument("--minutes", type=float, default=8.0)
    training.add_argument("--more", type=float, default=0.0)
    training.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    training.add_argument("--width", type=int, default=64)
    training.add_argument("--blocks", type=int, nargs="+", default=[4, 4, 4])
    training.add_argument("--fold", type=int, default=2)
    training.add_argument("--batch", type=int, default=256)
    training.add_argument("--patch", type=int, default=128)
    training.add_argument("--rate", type=float, default=1e-3)
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--compile", action="store_true", help="torch.compile: a minute before the first step")
    try:
        _run(parser.parse_args(arguments))
    except UserError as error:
        parser.error(str(error))


def _run(asked: argparse.Namespace) -> None:
    if asked.command == "pack":
        print(f"{pack(asked.photographs, asked.out, asked.megabytes)} photographs")
        return
    device = _device(asked.device)
    torch.manual_seed(asked.seed)
    torch.backends.cudnn.benchmark = True
    trainer = Trainer(
        tiles(asked.photographs, device), ResidualUNet(width=asked.width, blocks=asked.blocks, fold=asked.fold),
        batch=asked.batch, patch=asked.patch, rate=asked.rate, seed=asked.seed, bf16=device.type == "cuda",
    )  # fmt: skip
    if asked.compile:
        trainer.run = torch.compile(trainer.model)
    train(trainer, asked.out, asked.minutes, more=asked.more)


if __name__ == "__main__":
    main()
