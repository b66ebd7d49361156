"""Weights in half precision, as they are published: `python -m noiseda_research.ready.publish WEIGHTS OUT "NOTE"`.

With ``--mean OTHER``, the mean of two networks' weights, one of which was trained on from the other: of what each of
them is good at, most is kept (Wortsman et al. 2022, "Model soups").
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import noiseda
from noiseda.diffusion import load_predictor
from noiseda_research.ready.train import with_pilots

KEPT = ("format", "architecture", "arguments", "task", "value_range", "kind", "schedule", "prediction")
"""What the metadata of a restorer, or of a noise predictor, say of it."""


def publish(weights: Path, out: Path, note: str) -> None:
    """Write a weights file of noiseda in half precision, with a note on how it was made.

    Args:
        weights: what training wrote: a restorer, or a noise predictor.
        out: the file to write.
        note: for its metadata.
    """
    with safe_open(weights, framework="pt") as opened:
        metadata = opened.metadata()
    kept = {key: metadata[key] for key in KEPT if key in metadata}
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.half() for name, tensor in load_file(weights).items()}, out, {**kept, "note": note})
    check = load_predictor if "kind" in metadata else noiseda.load
    check(out)


def mean(weights: Path, other: Path, out: Path) -> None:
    """Write the mean of two networks' weights; where one alone sees pilots, the other is given them.

    Args:
        weights: a network, whose description the mean has.
        other: one of the same sizes.
        out: the file to write.
    """
    first, second = noiseda.load(weights), noiseda.load(other)
    if first.arguments.get("pilots") and not second.arguments.get("pilots"):
        second = with_pilots(second)
    state, theirs = first.state_dict(), second.state_dict()
    middle = {name: torch.lerp(tensor, theirs[name], 0.5) for name, tensor in state.items()}
    noiseda.save_weights(out, middle, architecture=first.architecture, arguments=first.arguments, task="denoise")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("note")
    parser.add_argument("--mean", type=Path, metavar="OTHER", help="publish the mean of these weights and WEIGHTS")
    asked = parser.parse_args(arguments)
    if asked.mean is None:
        publish(asked.weights, asked.out, asked.note)
        return
    with TemporaryDirectory() as folder:
        middle = Path(folder) / "mean.safetensors"
        mean(asked.weights, asked.mean, middle)
        publish(middle, asked.out, asked.note)


if __name__ == "__main__":
    main()
