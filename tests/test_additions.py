"""What must be touched for something new: a diff for each, put on a copy of the sources, counted, and tried."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.photographs import REAL, folder

ROOT = Path(__file__).parents[1]
ADDITIONS = ROOT / "tests" / "additions"
SMALL = (
    "--clean clean --real real --out run --training.steps 4 --training.patch 16 --training.batch 2 "
    "--training.device cpu --restorer.width 4 --restorer.depth 2"
)
# Diff -> modules of ours that it edits at most, new ones, what tries it.
COUNTS = {
    "task": (2, 0, f"adapt --task super-resolution {SMALL}"),
    "objective": (2, 1, f"adapt --strategy edges --edges.weight 0.7 {SMALL} --degradation.kind white"),
    "modality": (1, 1, None),
}
READINGS = """
import noiseda, torch
from pathlib import Path
Path("readings").mkdir()
Path("readings/a.txt").write_text("0.1\\n0.2\\n0.4\\n" * 40)
draw = noiseda.Signals("readings", "readings", lambda clean, generator: clean + 0.1, side=16)
assert draw(torch.Generator().manual_seed(0)).x_syn.shape == (1, 16)
[out] = noiseda.restore_signals(noiseda.UNet(width=4, depth=2, channels=1, dims=1), "readings", "out", "readings")
assert len(out.read_text().split()) == 120
"""


def run(words, place):
    environment = os.environ | {"PYTHONPATH": str(place / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
def test_what_is_new_touches_no_more_than_contributing_says(name, tmp_path):
    if shutil.which("git") is None:
        pytest.skip("needs git, which applies the diff")
    edited, new, words = COUNTS[name]
    diff = (ADDITIONS / f"{name}.patch").read_text()
    sources = re.findall(r"^--- (\S+)", diff, flags=re.MULTILINE)
    assert (len(sources) - sources.count("/dev/null"), sources.count("/dev/null")) == (edited, new)
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    run(["git", "apply", str(ADDITIONS / f"{name}.patch")], tmp_path)
    if words is None:
        run([sys.executable, "-c", READINGS], tmp_path)
        return
    folder(tmp_path / "clean")
    folder(tmp_path / "real", REAL)
    run([sys.executable, "-m", "noiseda", *words.split()], tmp_path)
    run([sys.executable, "-m", "noiseda", "restore", "run/restorer.safetensors", "real", "out"], tmp_path)
    assert len(list((tmp_path / "out").glob("*.png"))) == len(list((tmp_path / "real").glob("*.png")))


def test_contributing_says_the_same():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name, (edited, new, _) in COUNTS.items():
        assert f"| {name} | " in text
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
        assert f"{edited} edited, {new} new" in row
