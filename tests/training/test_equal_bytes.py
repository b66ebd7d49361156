"""Equal runs write equal files, whatever folder and process they run in."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from noiseda.inference.export import export
from noiseda.training import adapt
from tests.training.photographs import as_flags, small


@pytest.mark.slow
def test_equal_runs_write_equal_weights(where: Path) -> None:
    settings = small(where, seed=3)
    here = adapt(settings).weights
    other = replace(settings, out=where / "elsewhere/again")
    code = "import sys; from noiseda.cli import main; sys.exit(main(sys.argv[1:]))"
    other.out.parent.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, *as_flags(other)],
        env=os.environ | {"PYTHONHASHSEED": "7"}, cwd=where, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (other.out / here.name).read_bytes() == here.read_bytes()
    first, second = (
        export(weights, format="safetensors", out=weights.parent / "export")
        for weights in (here, other.out / here.name)
    )
    assert first.path.read_bytes() == second.path.read_bytes()
