"""Whether two checkouts train to the same weights: `python -m bench.same_runs OTHER`, about five minutes.

Every preset and every strategy, at a small size, 20 steps at a fixed seed. Each checkout runs its own code, by its own
command line, from the same settings files: so this also shows that old settings files are still understood.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
import yaml
from safetensors.torch import load_file
from skimage import data

HERE = Path(__file__).resolve().parent.parent
STRATEGIES = [
    "noise-space",
    "synthetic",
    "mmd",
    "coral",
    "dann",
    "dsn",
    "pixelda",
    "cycada",
    "critic",
    "neighbor2neighbor",
    "mean-teacher",
    "source-free",
    "blind-spot",
    "transplant",
    "flat-noise",
    "sure",
    "score",
]
PRESETS = ("denoise-small", "derain-small", "deblur-small", "denoise-sidd", "derain-spa", "deblur-realblur", "gentle")

_TRAINING = {
    "steps": 20, "batch": 2, "patch": 32, "ema": 0.9, "checkpoint_every": 10, "log_every": 1, "picture_every": 1000,
    "validate_every": 8, "device": "cpu", "precision": "fp32", "workers": 0,
}  # fmt: skip
_TREE = {
    "task": "denoise", "clean": "clean", "real": "real", "look_alikes": 2,
    "restorer": {"width": 8, "depth": 3}, "predictor": {"width": 8, "multipliers": [1, 2], "stem": 2, "blocks": 1},
    "training": _TRAINING,
}  # fmt: skip


def cases() -> dict[str, dict[str, Any]]:
    """Name -> a tree of settings, in the words that they had when this was written; ``config`` names a preset."""
    found: dict[str, dict[str, Any]] = {"auto": {}}
    found |= {f"strategy {name}": {"strategy": name} for name in STRATEGIES}
    for task in ("derain", "deblur"):
        found[f"task {task}"] = {"task": task}
        found[f"task {task} with pairs"] = {"task": task, "clean": None, "pairs": "pairs"}
        found[f"task {task} noise-space"] = {"task": task, "strategy": "noise-space"}
    found["pairs"] = {"clean": None, "pairs": "pairs"}
    found["reference"] = {"reference": "clean"}
    found["validation"] = {"validation": "pairs", "strategy": "noise-space"}
    found["hybrid"] = {"strategy": "noise-space", "also": ["mean-teacher", "neighbor2neighbor"]}
    found["grey"] = {"restorer": {"channels": 1}}
    found["simulated noise"] = {"degradation": {"kind": "white+2*shot+camera+phone"}}
    for name, objective in {
        "channels": {"shuffle": "channels"}, "no contrast": {"contrast": False}, "detached": {"detach_negative": True},
        "one condition": {"conditions": "real"}, "cosine": {"schedule": "cosine", "ramp": 0.0},
    }.items():  # fmt: skip
        found[f"objective {name}"] = {"strategy": "noise-space", "objective": objective}
    for name, training in {
        "accumulated": {"accumulate": 2}, "cooldown": {"decay": "cooldown"}, "recomputed": {"recompute": True},
        "unclipped": {"clip": 0.0, "decay": "constant", "forgetting": None},
    }.items():  # fmt: skip
        found[f"training {name}"] = {"training": training}
    found["dropout and attention"] = {"strategy": "noise-space", "predictor": {"dropout": 0.2, "attention": True}}
    for name in ("unet-paper", "nafnet", "dncnn"):
        found[f"network {name}"] = {"restorer": {"network": name, "width": None, "depth": None}}
    found["network nafnet"]["restorer"]["width"] = 8
    found["network dncnn"]["restorer"] = {"network": "dncnn", "width": 8, "depth": 4}
    for name in PRESETS:
        found[f"preset {name}"] = {"config": name}
    found["preset derain-spa"] |= {"clean": None, "pairs": "pairs"}
    return found


def settings_of(case: dict[str, Any], folder: Path, checkout: Path) -> list[str]:
    """The words that ask a checkout's ``noiseda adapt`` for a case; its settings are written to a file."""
    tree = merged(_TREE, {key: value for key, value in case.items() if key != "config"})
    words: list[str] = []
    if "config" in case:
        words += ["--config", str(checkout / "configs" / f"{case['config']}.yaml")]
        task = "derain" if "derain" in case["config"] else "deblur" if "deblur" in case["config"] else "denoise"
        tree = {**tree, "task": task, "restorer": {"network": "unet", "width": 8, "depth": 3}}
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(tree))
    return [*words, "--config", str(path), "--out", str(folder / "out")]


def merged(tree: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A tree with some leaves changed."""
    both = {key for key in tree.keys() & changes.keys() if isinstance(tree[key], dict)}
    return {**tree, **changes, **{key: merged(tree[key], changes[key]) for key in both}}


def photographs(folder: Path) -> None:
    """Clean crops, noisy ones and pairs, always the same."""
    draw = np.random.default_rng(0)
    clean, real = data.astronaut(), data.chelsea()
    for name in ("clean", "real", "pairs/input", "pairs/target"):
        (folder / name).mkdir(parents=True)
    for index in range(4):
        crop = clean[60 * index : 60 * index + 96, 100:228]
        noisy = real[40 * index : 40 * index + 96, 100:228] + draw.normal(0, 12, (96, 128, 3))
        PIL.Image.fromarray(crop).save(folder / f"clean/{index}.png")
        PIL.Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"real/{index}.png")
        PIL.Image.fromarray((crop + draw.normal(0, 20, crop.shape)).clip(0, 255).astype(np.uint8)).save(
            folder / f"pairs/input/{index}.png"
        )
        PIL.Image.fromarray(crop).save(folder / f"pairs/target/{index}.png")


def work(folder: Path, words: dict[str, list[str]]) -> None:
    """In a checkout's own process: every case, one after the other; what each said goes to a file beside its run."""
    from noiseda import cli

    os.chdir(folder)
    torch.set_num_threads(1)
    for name, asked in words.items():
        said = Path(asked[-1]).parent / "said.txt"
        with said.open("w") as file, contextlib.redirect_stderr(file), contextlib.redirect_stdout(file):
            status = cli.main(["adapt", *asked])
        print(name, status, flush=True)


def run(checkout: Path, folder: Path, wanted: dict[str, dict[str, Any]]) -> subprocess.Popen[bytes]:
    """Start a checkout on all cases."""
    words = {}
    for name, case in wanted.items():
        place = folder / checkout_name(checkout) / name.replace(" ", "-")
        place.mkdir(parents=True)
        words[name] = settings_of(case, place, checkout.resolve())
    code = (
        "import importlib.util as u, json, pathlib, sys\n"
        f"spec = u.spec_from_file_location('same_runs', {str(Path(__file__).resolve())!r})\n"
        "same = u.module_from_spec(spec); spec.loader.exec_module(same)\n"
        f"same.work(pathlib.Path({str(folder)!r}), json.loads(sys.stdin.read()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(json.dumps(words).encode())
    process.stdin.close()
    return process


def checkout_name(checkout: Path) -> str:
    """A folder's name for a checkout."""
    return str(checkout.resolve()).strip("/").replace("/", "-")


def outcome(folder: Path) -> tuple[dict[str, torch.Tensor], list[float]] | str:
    """The weights and the losses of a run; or the last thing it said, where it made none."""
    weights, log = folder / "out/restorer.safetensors", folder / "out/log.jsonl"
    if not weights.exists():
        said = (folder / "said.txt").read_text().strip() if (folder / "said.txt").exists() else ""
        return said.splitlines()[-1] if said else "it said nothing"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return load_file(weights), [line["loss"] for line in lines if "loss" in line]


def verdict(one: Any, other: Any) -> str:
    """In words: the same, or what differs."""
    if isinstance(one, str) or isinstance(other, str):
        alike = one == other if isinstance(one, str) and isinstance(other, str) else False
        return f"{'refused alike' if alike else 'NOT THE SAME'}: {one if isinstance(one, str) else other}"
    weights = one[0].keys() == other[0].keys() and all(torch.equal(one[0][key], other[0][key]) for key in one[0])
    apart = max((abs(a - b) / abs(a) for a, b in zip(one[1], other[1], strict=False)), default=1.0)
    if weights and len(one[1]) == len(other[1]) and apart < 1e-6:
        return f"the same weights, the same {len(one[1])} losses" + (f" to {apart:.0e}" if apart else "")
    return f"NOT THE SAME: weights {'equal' if weights else 'differ'}, losses apart by {apart:.0e}"


def main() -> int:
    """Run both, print a line a case; 1 where any differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="the folder of another checkout")
    parser.add_argument("--only", default="", help="only cases whose name holds this")
    asked = parser.parse_args()
    wanted = {name: case for name, case in cases().items() if asked.only in name}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photographs(folder)
        for process in [run(checkout, folder, wanted) for checkout in (HERE, asked.other.resolve())]:
            if process.wait():
                return 2
        verdicts = {
            name: verdict(*(
                outcome(folder / checkout_name(checkout) / name.replace(" ", "-"))
                for checkout in (HERE, asked.other)
            ))
            for name in wanted
        }  # fmt: skip
    for name, said in verdicts.items():
        print(f"{name:28} {said}")
    differing = sum("NOT" in said for said in verdicts.values())
    print(f"{len(verdicts)} runs, {differing} not the same, {time.monotonic() - began:.0f} s")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
