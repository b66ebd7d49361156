"""Restoring against the plain eager float32 forward pass of the same network: megapixels/s and memory of each backend.

    python -m bench.restoration [--device cuda] [--compiled] [--out FILE.json]

The rival is the network as torch runs it by itself, float32, channels-first, on the whole photograph. Ours is what
``noiseda restore`` calls, in tiles of its default size, with each backend. Each measurement is a process of its own;
the best pass counts.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bench.processes import in_a_process, main_of_a_case, show


@dataclass(frozen=True)
class Case:
    """What one process measures."""

    backend: str = "eager"
    """plain (the rival), eager, compiled or onnxruntime."""
    width: int = 24
    precision: str = "fp32"
    device: str = "cpu"
    passes: int = 2
    height: int = 1152
    across: int = 1536
    """Size of the photograph, in pixels."""


def measure(device: str = "cpu", *, compiled: bool = False) -> dict[str, float]:
    """All figures by name: of the default network (width 24) and of the paper's (64)."""
    from noiseda.inference.backends import WORTH_PREPARING, choose
    from noiseda.precision import computes_bf16

    found: dict[str, float] = {}
    default = choose("auto", torch.device(device), "auto", WORTH_PREPARING)
    for base in (Case(width=24, device=device), Case(width=64, device=device, passes=1, height=768, across=1024)):
        width = base.width
        cases = {"plain": replace(base, backend="plain")}
        if width == 24 or device != "cpu":
            cases["eager-fp32"] = base
        if computes_bf16(torch.device(device)):
            cases["eager-bf16"] = replace(base, precision="bf16")
        if device == "cpu":
            cases["onnxruntime"] = replace(base, backend="onnxruntime")
        if compiled:
            cases["compiled"] = replace(base, backend="compiled", precision="auto")
        for name, case in cases.items():
            figures = in_a_process(__file__, case)
            found |= {f"width {width}.{name}.{key}": value for key, value in figures.items()}
        rival = found[f"width {width}.plain.megapixels_per_s"]
        for name in cases:
            ratio = found[f"width {width}.{name}.megapixels_per_s"] / rival
            found[f"width {width}.{name}.speed_ratio"] = ratio
    kind = default if default == "onnxruntime" else "eager-bf16" if "eager-bf16" in cases else "eager-fp32"
    return found | {"default.speed_ratio": found[f"width 24.{kind}.speed_ratio"]}


def one(case: Case) -> dict[str, float]:
    """Measure a case in this process."""
    from noiseda.inference import restore_tensor
    from noiseda.inference.backends import prepare
    from noiseda.restoration import UNet, load, save_weights

    torch.manual_seed(0)
    network = UNet(width=case.width)
    torch.nn.init.normal_(network.head.weight, std=0.01)
    pixels = torch.rand(3, case.height, case.across).to(case.device)
    with tempfile.TemporaryDirectory() as place, torch.inference_mode():
        weights = Path(place, "network.safetensors")
        arguments = {"width": case.width, "depth": 4, "channels": 3}
        save_weights(weights, network.state_dict(), architecture="unet", arguments=arguments, task="denoise")
        began = time.perf_counter()
        model = load(weights, device=case.device)
        if case.backend != "plain":
            model = prepare(
                model, weights, case.backend, device=torch.device(case.device), precision=case.precision, megapixels=0.0
            )
        prepared = time.perf_counter() - began
        seconds = []
        for _ in range(1 + case.passes):
            began = time.perf_counter()
            if case.backend == "plain":
                model(pixels[None])
            else:
                restore_tensor(model, pixels, precision=case.precision)
            if case.device != "cpu":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if case.device != "cpu":
        peak = torch.cuda.max_memory_allocated()
    return {
        "megapixels_per_s": case.height * case.across / 1e6 / min(seconds[1:]),
        "peak_gib": peak / 2**30,
        "prepared_in_s": prepared + max(seconds[0] - min(seconds[1:]), 0.0),
    }


def main() -> None:
    """Measure, or be one of the measuring processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compiled", action="store_true", help="measure torch.compile too, which takes a minute more")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    found = measure(arguments.device, compiled=arguments.compiled)
    show(found, arguments.out)


if __name__ == "__main__":
    main_of_a_case(lambda case: one(Case(**case)), main)
