"""Weights in half precision, as they are published: `python -m noiseda_research.ready.publish WEIGHTS OUT "NOTE"`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file, save_file

import noiseda
from noiseda.restoration import read_metadata


def publish(weights: Path, out: Path, note: str) -> None:
    """Write a weights file of noiseda in half precision, with a note on how it was made.

    Args:
        weights: what training wrote.
        out: the file to write.
        note: for its metadata.
    """
    metadata = read_metadata(weights)
    kept = {key: metadata[key] for key in ("format", "architecture", "arguments", "task", "value_range")}
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.half() for name, tensor in load_file(weights).items()}, out, {**kept, "note": note})
    noiseda.load(out)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("note")
    asked = parser.parse_args(arguments)
    publish(asked.weights, asked.out, asked.note)


if __name__ == "__main__":
    main()
