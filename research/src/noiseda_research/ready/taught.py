"""What layers have in common that are taught by numbers of patches, once the network around them is trained."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

import noiseda
from noiseda.restoration import ResidualUNet, SecondLook, Unbiased

AT_ONCE = 64
RATE = 2e-3
DECAY = 1e-2
DROPPED = 0.1

_LEAST = 1e-6  # of squared errors: a clean photograph restored to 60 dB is good enough

Known = dict[str, Tensor]
"""Of N patches: ``seen`` (N, K), what layers see; ``patch`` (N,), the number of each; and what errors are made of."""

Layers = SecondLook | Unbiased


def given(network: ResidualUNet, name: str, layers: Layers) -> ResidualUNet:
    """The same network with layers that change nothing yet, as its argument ``name``."""
    new = ResidualUNet.outline({**network.arguments, name: True})
    fresh = {f"{name}.{part}": weight for part, weight in layers.state_dict().items()}
    new.load_state_dict({**fresh, **network.state_dict()}, assign=True)
    return new.eval()


def learn(
    layers: Layers,
    known: Known,
    answer: Callable[[Tensor, float], Tensor],
    errors_of: Callable[[Tensor, Known], Tensor],
    *,
    epochs: int,
    blurred: float,
    held: float,
    seed: int,
) -> None:
    """Teach layers in place; every eighth patch is left out, with its parts, and scored.

    Args:
        layers: they.
        known: what was measured.
        answer: what they say of what is seen (N, K), with a share of the first layer dropped; (N, ...).
        errors_of: the squared errors (N,) after what they say.
        epochs: how often each patch is seen.
        blurred: noise on what is seen, in deviations of it.
        held: what saying the same as at first would save, of a logarithm of the squared error, for a square of 1.
        seed: of all draws.
    """
    torch.manual_seed(seed)
    layers.requires_grad_()
    seen = known["seen"]
    layers.usual.copy_(seen.mean(0))
    layers.spread.copy_(seen.std(0) + 0.01)
    scored = known["patch"] % 8 == 0
    learnt = (~scored).nonzero().flatten()
    left = {name: one[scored] for name, one in known.items()}
    first = answer(seen[:1], 0.0).detach()
    optimizer = torch.optim.AdamW(layers.parameters(), RATE, weight_decay=DECAY)
    steps = epochs * len(learnt) // AT_ONCE
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + 1)
    for step in range(steps):
        some = learnt[torch.randint(len(learnt), (AT_ONCE,))]
        said = answer(seen[some] + blurred * layers.spread * torch.randn(AT_ONCE, seen.shape[1]), DROPPED)
        errors = errors_of(said, {name: one[some] for name, one in known.items()})
        loss = (errors + _LEAST).log().mean() + held * (said - first).square().sum() / AT_ONCE
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        if (step + 1) % 500 == 0 or step + 1 == steps:
            with torch.no_grad():
                both = [errors_of(each, left) for each in (first, answer(left["seen"], 0.0))]
            before, after = (-10 * (errors + _LEAST).log10().mean() for errors in both)
            print(f"step {step + 1}: {before:.2f} -> {after:.2f} dB of what was left out", flush=True)


def command(
    description: str | None,
    arguments: Sequence[str] | None,
    measure: Callable[[Path, Path, Path, int, int], None],
    taught: Callable[[ResidualUNet, Known, int], ResidualUNet],
    *,
    patches: int,
) -> None:
    """The command line: ``measure PHOTOGRAPHS WEIGHTS SEEN``, and ``teach WEIGHTS SEEN... OUT``.

    Args:
        description: what it is for.
        arguments: the words.
        measure: of photographs, weights, the file to write, how many patches and a seed.
        taught: the network that has learnt from what was measured, by a seed.
        patches: how many, unless it is said.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "teach"))
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--patches", type=int, default=patches)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    if asked.what == "measure":
        photographs, weights, out = asked.paths
        measure(photographs, weights, out, asked.patches, asked.seed)
        return
    weights, *files, out = asked.paths
    network = noiseda.load(weights)
    assert isinstance(network, ResidualUNet), "WEIGHTS are those of a residual U-Net"
    parts = [torch.load(file, weights_only=True) for file in files]
    torch.manual_seed(asked.seed)
    network = taught(network, {name: torch.cat([part[name] for part in parts]) for name in parts[0]}, asked.seed)
    noiseda.save_weights(
        out, network.tensors(), architecture=network.architecture, arguments=network.arguments, task="denoise"
    )
