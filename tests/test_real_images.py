"""A few steps on real photographs of every task, through the command line: adapt, restore, evaluate.

The photographs stay outside the repository; NOISEDA_DATA names their folder. The figures of the inputs are facts of
those images, measured once with NumPy and Pillow alone, so that a wrong pairing, colour or shift would show.
"""

import json
import math
import os
import shutil
from pathlib import Path

import PIL.Image
import pytest

from noiseda.cli import main

DATA = Path(os.environ.get("NOISEDA_DATA", "") or "unset")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.real,
    pytest.mark.skipif(
        not DATA.is_dir(),
        reason="needs real photographs: NOISEDA_DATA must name their folder, " + (
            f"but {DATA} is none" if "NOISEDA_DATA" in os.environ else "and is not set"
        ),
    ),
]  # fmt: skip
TINY = [
    "--restorer.width=4", "--restorer.depth=2", "--predictor.width=8", "--predictor.patch_size=2",
    "--training.patch=32",
    "--training.batch=2", "--training.steps=5", "--training.learning_rate=0.01", "--training.device=cpu",
]  # fmt: skip


def few(source, folder, count):
    """A folder of its own with the first few images (and their targets) of a large one; decoding all takes long."""
    for half in ("input", "target") if (source / "target").is_dir() else ("",):
        (folder / half).mkdir(parents=True)
        for path in sorted((source / half).iterdir())[:count]:
            shutil.copy(path, folder / half)
    return folder


def run(*words):
    assert main([str(word) for word in words]) == 0


def scores(restored, target, out, protocol):
    run("evaluate", restored, target, "--protocol", protocol, "--out", out)
    found = json.loads((out / "metrics.json").read_text())
    assert found["protocol"]["name"] == protocol
    assert all(math.isfinite(value) for value in found["mean"].values())
    assert len((out / "metrics.csv").read_text().splitlines()) == found["images"] + 1
    return found


def adapt_restore_evaluate(out, test, protocol, *flags):
    """A whole tiny run; returns the report of the test inputs as they are, and that of the restored ones."""
    run("adapt", *flags, *TINY, "--out", out / "run")
    summary = json.loads((out / "run" / "summary.json").read_text())
    assert summary["steps"] == 5
    assert summary["skipped"] == []
    assert all(math.isfinite(value) for value in summary["terms"].values())
    run("restore", out / "run" / "restorer.safetensors", test / "input", out / "restored")
    sources = {path.relative_to(test / "input"): path for path in (test / "input").iterdir()}
    made = [path for path in (out / "restored").iterdir() if not path.name.startswith(".")]  # beside the list of them
    assert {path.relative_to(out / "restored") for path in made} == set(sources)
    for name, path in sources.items():
        assert PIL.Image.open(out / "restored" / name).size == PIL.Image.open(path).size
    before = scores(test / "input", test / "target", out / "before", protocol)
    after = scores(out / "restored", test / "target", out / "after", protocol)
    assert before["images"] == after["images"] == len(sources)
    # Five steps from a network that returns its input can neither ruin nor repair much.
    assert after["mean"]["psnr"] == pytest.approx(before["mean"]["psnr"], abs=1.0)
    assert after["mean"]["psnr"] != before["mean"]["psnr"]
    return summary, before, after


def test_denoising_photographs_of_a_phone(tmp_path):
    test = DATA / "denoising" / "sidd-small" / "test"
    summary, before, _ = adapt_restore_evaluate(
        tmp_path, test, "sidd",
        "--task=denoise", "--clean", few(DATA / "clean" / "bsds500", tmp_path / "clean", 6),
        "--real", few(DATA / "denoising" / "sidd-small" / "adapt", tmp_path / "real", 6) / "input",
    )  # fmt: skip
    assert summary["images"] == {"clean": 6, "real": 6}
    assert before["images"] == 40
    assert before["mean"]["psnr"] == pytest.approx(28.82, abs=0.02)


def test_deraining_with_given_pairs(tmp_path):
    rain = DATA / "deraining"
    summary, before, _ = adapt_restore_evaluate(
        tmp_path, few(rain / "rain100l" / "test", tmp_path / "test", 20), "derain-y",
        "--task=derain", "--pairs", few(rain / "rain100l" / "train", tmp_path / "pairs", 6),
        "--real", few(rain / "real-internet" / "input", tmp_path / "real", 6),
    )  # fmt: skip
    assert summary["images"] == {"pairs": 6, "real": 6}
    assert before["images"] == 20
    rgb = scores(tmp_path / "test" / "input", tmp_path / "test" / "target", tmp_path / "rgb", "rgb")
    assert rgb["mean"]["psnr"] == pytest.approx(25.63, abs=0.02)
    assert before["mean"]["psnr"] == pytest.approx(rgb["mean"]["psnr"] + 1.3, abs=0.5)  # Y spans 219 of 255 levels


def test_deblurring_grey_photographs(tmp_path):
    summary, before, after = adapt_restore_evaluate(
        tmp_path, DATA / "deblurring" / "levin" / "test", "deblur",
        "--task=deblur", "--clean", few(DATA / "clean" / "bsds500", tmp_path / "clean", 6),
        "--real", DATA / "deblurring" / "levin" / "adapt" / "input", "--restorer.channels=1",
    )  # fmt: skip
    assert summary["images"] == {"clean": 6, "real": 8}
    assert before["images"] == 8
    assert before["mean"]["psnr"] == pytest.approx(20.59, abs=0.02)
    assert before["mean"]["psnr_best_shift"] == pytest.approx(22.49, abs=0.02)
    assert after["mean"]["psnr_best_shift"] >= after["mean"]["psnr"]
    for path in (tmp_path / "restored").glob("[!.]*"):
        assert PIL.Image.open(path).mode == "L"
