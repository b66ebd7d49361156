"""Train the ready weights: long, on freely licensed photographs, continued by the same command wherever it was stopped.

    python -m noiseda_research.ready.train PHOTOGRAPHS OUT [--task derain] --steps 60000
    python -m noiseda_research.ready.train PHOTOGRAPHS COOLED --start OUT/snapshots/STEP.safetensors --steps 2000

The first keeps its rate for four fifths of its steps (after a short rise), so that any of its snapshots can be gone on
from; the second lets the rate fall to zero from such a snapshot, which is what makes weights ready.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

import noiseda
from noiseda import Batch, Degradation, Restorer, RestorerSettings, Terms, UserError
from noiseda.data import Crops, PooledBatches
from noiseda.restoration import STRENGTHS, Chooser, Groups, ResidualUNet, build_restorer
from noiseda_research.ready.mixture import Wide
from noiseda_research.ready.tasks import LESSONS

RISE = 500
"""Steps in which the rate rises from nothing."""

LEAST = 2e-6
"""Mean squared error that is as good as none."""

COOLDOWN = 0.2
"""Share of a run from random weights in which the rate falls."""


class Restoration(noiseda.SyntheticOnly):
    """Of each sample, the logarithm of its mean squared error: its PSNR, negative (the loss of NAFNet).

    An absolute error learns most from the worst samples. This learns alike from all: of blur and JPEG that means from
    the nearly good ones, where a few decibels are easily had. There the absolute error is taken.

    Args:
        restorer: the network to train.
        absolute: whether it is the mean absolute error.
    """

    def __init__(self, restorer: Restorer, *, absolute: bool = False) -> None:
        super().__init__(restorer)
        self.absolute = absolute

    def forward(self, batch: Batch, draws: None) -> Terms:
        """Restore the batch."""
        restored = self._restored(batch.x_syn).float()
        far = (restored - batch.y_syn).abs().flatten(1).mean(1)
        loss = far if self.absolute else negative_psnr(restored, batch.y_syn)
        return Terms({"restoration": loss}, restored.detach())

    def _restored(self, seen: Tensor) -> Tensor:
        if seen.shape[1] == self.restorer.channels:
            return self.restorer(seen)  # type: ignore[no-any-return]
        assert isinstance(self.restorer, ResidualUNet), "pilots were made for it"
        return self.restorer.restore_by(seen[:, : self.restorer.channels], seen[:, self.restorer.channels :])


class Shrunk(PooledBatches):
    """Batches whose degraded images bring their pilots, (B, C + T * C, P, P).

    They are made of whole crops, as of whole photographs, and beside the training: groups cost as much as a step.
    """

    groups = Groups()

    def make(self, block: int) -> Crops:
        """Make a block."""
        x, y, names = super().make(block)
        return torch.cat([x, torch.cat([self.groups(crop[None]) for crop in x])], dim=1), y, names


def negative_psnr(restored: Tensor, target: Tensor) -> Tensor:
    """Of each sample, in units of 10 dB; (B,). It falls to 57 dB, so that next to clean samples do not rule.

    >>> negative_psnr(torch.full((1, 1, 2, 2), 0.1), torch.zeros(1, 1, 2, 2))
    tensor([-1.9999])
    """
    return (((restored - target).square().flatten(1).mean(dim=1)) + LEAST).log10()


def with_pilots(network: nn.Module) -> ResidualUNet:
    """A residual U-Net that sees pilots too, and makes of an image what it made of it without them.

    Args:
        network: a residual U-Net without pilots.

    Raises:
        UserError: it is another network, or sees pilots already.
    """
    if not isinstance(network, ResidualUNet) or network.pilots is not None:
        raise UserError("--pilots goes with weights of a residual U-Net that sees none")
    seeing = ResidualUNet.outline({**network.arguments, "pilots": True})
    weights = {name: weight.clone() for name, weight in network.state_dict().items()}
    known = weights["intro.weight"]
    weights["intro.weight"] = known.new_zeros(seeing.intro.weight.shape)
    weights["intro.weight"][:, : known.shape[1]] = known
    seeing.load_state_dict(weights, assign=True)
    return seeing


def with_groups(network: nn.Module) -> ResidualUNet:
    """A residual U-Net that sees groups of similar blocks where it saw single ones, and adds nothing as yet.

    What it added is forgotten, what it sees in an image kept: beside its own correction, it hardly learnt to believe
    better pilots (research/results/2026-11-29.md).

    Args:
        network: a residual U-Net that sees pilots.

    Raises:
        UserError: it is another network, or sees no pilots.
    """
    if not isinstance(network, ResidualUNet) or "pilots" not in network.arguments:
        raise UserError("groups go with weights of a residual U-Net that sees pilots")
    arguments = {name: value for name, value in network.arguments.items() if name != "pilots"}
    seeing = ResidualUNet.outline({**arguments, "groups": True})
    weights = {name: weight.clone() for name, weight in network.state_dict().items()}
    chooser = Chooser(len(STRENGTHS), network.channels)
    weights |= {f"chooser.{name}": weight for name, weight in chooser.state_dict().items()}
    known = weights["intro.weight"]
    for name in ("intro.weight", "head.weight", "head.bias"):
        weights[name] = known.new_zeros(seeing.state_dict()[name].shape)
    weights["intro.weight"][:, : known.shape[1]] = known
    seeing.load_state_dict(weights, assign=True)
    return seeing


def with_chooser(network: nn.Module, *, width: int, blocks: Sequence[int], fold: int) -> ResidualUNet:
    """A residual U-Net of another size with the chooser of one that has learnt: it begins as that chooser's mixture.

    Args:
        network: a residual U-Net that sees groups.
        width: of the new one.
        blocks: of each of its stages.
        fold: its side of the squares of pixels that become channels.

    Raises:
        UserError: the network has no chooser.
    """
    if not isinstance(network, ResidualUNet) or network.chooser is None:
        raise UserError("--chooser takes weights of a residual U-Net that sees groups")
    new = ResidualUNet(width=width, blocks=blocks, channels=network.channels, fold=fold, groups=True)
    assert new.chooser is not None, "it sees groups"
    new.chooser.load_state_dict(network.chooser.state_dict())
    return new


def keeping(progress: float, rise: float) -> float:
    """A rate that rises, stays, and falls at the end.

    Args:
        progress: share of the run that is done.
        rise: share of it in which the rate rises.
    """
    return min(progress / rise + 0.002, 1.0, (1 - progress) / COOLDOWN)


def falling(progress: float) -> float:
    """A rate that falls along a line to zero, after a short rise for the sake of Adam's moments, which begin anew.

    >>> [round(falling(progress), 3) for progress in (0.0, 0.05, 0.5, 0.75)]
    [0.01, 0.51, 0.5, 0.25]
    """
    return min(10 * progress + 0.01, 1 - progress)


def _wide(degraded: Degradation) -> Wide:
    if not isinstance(degraded, Wide):
        raise UserError("--weaker is for --task denoise")
    return degraded


def main(arguments: Sequence[str] | None = None) -> noiseda.Summary:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="what noiseda_research.ready.photographs made, its train/")
    parser.add_argument("out", type=Path)
    parser.add_argument("--task", choices=list(LESSONS), default="denoise")
    parser.add_argument("--network", default="unet-residual")
    parser.add_argument("--width", type=int)
    parser.add_argument("--blocks", type=int, nargs="+")
    parser.add_argument("--fold", type=int, default=1, help="side of the squares that become channels, with --chooser")
    parser.add_argument("--chooser", type=Path, help="weights whose chooser a network of random weights takes over")
    parser.add_argument("--start", type=Path, help="weights to start from, with a rate that falls from the first step")
    parser.add_argument("--pilots", action="store_true", help="let the network of --start see pilots from now on")
    parser.add_argument("--weaker", type=float, help="share of images with little noise, for denoise")
    parser.add_argument("--steps", type=int, default=60000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--keep", type=int, default=1000, help="steps between two snapshots")
    parser.add_argument("--scaling", choices=("none", "fan_in"), default="fan_in")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)

    torch.manual_seed(asked.seed)
    model: Restorer
    if asked.start:
        model = noiseda.load(asked.start).train()
    elif asked.chooser:
        known = noiseda.load(asked.chooser)
        model = with_chooser(known, width=asked.width, blocks=asked.blocks, fold=asked.fold).train()
    else:
        model = build_restorer(RestorerSettings(network=asked.network, width=asked.width, blocks=asked.blocks))
    if asked.start and asked.pilots:
        model = with_pilots(model)
    schedule = falling if asked.start else partial(keeping, rise=RISE / asked.steps)

    training = noiseda.TrainingSettings(
        steps=asked.steps,
        batch=asked.batch,
        patch=asked.patch,
        learning_rate=asked.rate,
        lr_scaling=asked.scaling,
        ema_decay=asked.ema,
        memory_format="channels_last",
        precision="fp32",
        checkpoint_every=500,
        log_every=100,
        picture_every=asked.steps,
        snapshot_every=asked.keep,
    )
    lesson = LESSONS[asked.task]
    degraded = lesson.degraded if asked.weaker is None else replace(_wide(lesson.degraded), weaker=asked.weaker)
    clean = noiseda.photographs(asked.photographs, degradation=degraded, cache=asked.out / "cache").synthetic
    groups = isinstance(model, ResidualUNet) and model.chooser is not None
    batches = (Shrunk if groups else PooledBatches)(
        lesson.varied(clean), degraded, size=asked.batch, patch=asked.patch, seed=asked.seed, ahead=groups
    )
    return noiseda.fit(
        model,
        Restoration(model, absolute=lesson.absolute),
        batches,
        out=asked.out,
        training=training,
        lr_schedule=schedule,
        seed=asked.seed,
        task=asked.task,
    )


if __name__ == "__main__":
    main()
