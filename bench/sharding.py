"""What --training.shard saves: bytes of weights, gradients and Adam's moments that each process keeps.

    python -m bench.sharding

Two processes on this machine (gloo), the paper's networks, one training step with and one without sharding. Counted from
the tensors that each process holds between two steps; not counted are activations, which do not change, DDP's copy of the
gradients it reduces, which shrinks with them, and the weights of the block under way, which sharding gathers for a moment.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from noiseda.cli import presets
from noiseda.config import AdaptSettings, PredictorSettings, RestorerSettings
from noiseda.data.batches import Batch
from noiseda.settings_file import read_settings
from noiseda.training.build import build_objective, build_optimizer
from noiseda.training.optimizer import gradient_norm
from noiseda.training.sharding import local, shard

Figures = dict[str, int | float]


def measure(preset: str = "denoise-sidd", processes: int = 2) -> Figures:
    """Bytes that the first process keeps, whole and sharded, and how far the two steps' gradients differ.

    Args:
        preset: whose networks are trained.
        processes: how many share them, on this machine.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        subprocess.run([*torchrun, "-m", "bench.sharding", preset, str(path)], check=True)
        figures: Figures = json.loads(path.read_text())
    return figures


def _work(preset: str, path: Path) -> None:
    """One of the processes: a step without and one with sharding."""
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    tree = read_settings(presets()[preset])
    settings = AdaptSettings(
        restorer=RestorerSettings(**tree["restorer"]), predictor=PredictorSettings(**tree["predictor"])
    )
    figures: Figures = {"processes": accelerator.num_processes}
    for name, sharded in (("whole", False), ("sharded", True)):
        figures |= {f"{name}_{key}": value for key, value in _step(settings, accelerator, sharded=sharded).items()}
        accelerator.free_memory()
    if accelerator.is_main_process:
        path.write_text(json.dumps(figures))
    accelerator.end_training()


def _step(settings: AdaptSettings, accelerator: Accelerator, *, sharded: bool) -> Figures:
    strategy = build_objective(settings)
    block = max(_bytes(module.parameters()) for blocks in _lists(strategy) for module in blocks)
    if sharded:
        shard(strategy, accelerator)
    model, optimizer = accelerator.prepare(strategy, build_optimizer(strategy, settings.training))
    generator = torch.Generator().manual_seed(accelerator.process_index)
    x_syn, y_syn, x_real = torch.rand(3, 1, 3, 16, 16, generator=generator)
    terms = model(Batch(x_syn, y_syn, x_real, None, ()), strategy.draw(y_syn, generator))
    accelerator.backward(strategy.losses(terms, 0.5)["loss"])
    norm = gradient_norm(strategy.parameters())
    optimizer.step()
    parameters = list(strategy.parameters())
    moments = [value for state in optimizer.state.values() for value in state.values()]
    figures: Figures = {
        "parameters": sum(parameter.numel() for parameter in parameters),
        "weights": _bytes(parameters),
        "gradients": _bytes(parameter.grad for parameter in parameters if parameter.grad is not None),
        "moments": _bytes(moments),
    }
    figures["kept"] = figures["weights"] + figures["gradients"] + figures["moments"]
    return figures | {"gradient_norm": float(norm), "largest_block": block}


def _lists(strategy: nn.Module) -> list[nn.ModuleList]:
    return [module for module in strategy.modules() if isinstance(module, nn.ModuleList)]


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(local(tensor).nbytes for tensor in tensors)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _work(sys.argv[1], Path(sys.argv[2]))
    else:
        for key, value in measure().items():
            print(f"{key:<24}{value:>16,}" if isinstance(value, int) else f"{key:<24}{value:>16.6g}")
