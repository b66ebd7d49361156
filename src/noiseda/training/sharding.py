"""What is thrown away, spread over the processes: of its weights, gradients and Adam's moments each keeps a part.

By torch's FSDP2 (``torch.distributed.fsdp.fully_shard``; Zhao et al., arXiv 2304.11277): the weights of a residual
block are gathered before its forward and its backward pass and dropped after them; its gradient is reduced to the part
that a process keeps. The restorer stays whole on every process: it is small, and its average, its scoring and its
shipping need all of it. Checkpoints hold everything whole, so that any number of processes reads them, sharded or not.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from noiseda.adaptation import Objective
from noiseda.errors import UserError

log = logging.getLogger(__name__)


def shard(objective: Objective[Any], accelerator: Accelerator) -> None:
    """Spread all networks of an objective but its restorer over the processes; one process alone has nothing to spread.

    A teacher, which follows the restorer and has neither gradients nor moments, stays as whole as that.

    Their weights become contiguous: torch shards no channels-last ones. Activations keep their memory format.

    Raises:
        UserError: with a version of torch that cannot do this.
    """
    networks = [
        network
        for network in objective.networks()
        if network is not objective.restorer and any(weight.requires_grad for weight in network.parameters())
    ]
    if accelerator.num_processes == 1 or not networks:
        log.warning(
            "--training.shard: nothing to spread, with %d process(es) and %d network(s) beside the restorer",
            accelerator.num_processes,
            len(networks),
        )
        return
    try:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard
    except ImportError as error:
        raise UserError(f"--training.shard needs torch 2.6 or later, not {torch.__version__}") from error
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    for network in networks:
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        for blocks in [module for module in network.modules() if isinstance(module, nn.ModuleList)]:
            for block in blocks:
                fully_shard(block, mesh=mesh)
        fully_shard(network, mesh=mesh)  # what is in no block
    names = [name for name, parameter in objective.named_parameters() if is_sharded(parameter)]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(objective, names)  # type: ignore[no-untyped-call]


def is_sharded(tensor: Tensor) -> bool:
    """Whether a process holds only its part of a tensor (torch's DTensor, which costs a second to import)."""
    return hasattr(tensor, "device_mesh")


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process holds: all of it, where it is not sharded."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def mesh_of(tensor: Tensor) -> Any:  # noqa: ANN401
    """The processes over which a sharded tensor is spread: torch's DeviceMesh, of one dimension."""
    return tensor.device_mesh  # type: ignore[attr-defined]


def gather(tree: Any, *, keep: bool) -> Any:  # noqa: ANN401
    """Nested dictionaries and lists with every sharded tensor made whole, on the CPU; all processes must call this.

    Args:
        tree: a state that a module or an optimiser gave.
        keep: whether this process wants the result; without, whole tensors are dropped one by one.
    """
    if isinstance(tree, dict):
        return {name: gather(value, keep=keep) for name, value in tree.items()}
    if isinstance(tree, list):
        return [gather(value, keep=keep) for value in tree]
    if isinstance(tree, Tensor) and is_sharded(tree):
        whole: Tensor = tree.full_tensor()  # type: ignore[attr-defined]
        return whole.cpu() if keep else None
    return tree


def load_module(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Load whole weights into a module, sharded or not.

    Raises:
        RuntimeError: where names or shapes do not fit.
    """
    targets = module.state_dict()
    module.load_state_dict({name: _part(value, targets.get(name)) for name, value in state.items()})


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a whole state into an optimiser of sharded or other parameters.

    Moments take on the memory format of their parameters, which our Adam relies on and a checkpoint need not have.

    Raises:
        ValueError: where groups or shapes do not fit.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    targets = dict(zip(numbers, parameters, strict=False))
    spread = {
        number: {name: _part(value, targets.get(number)) for name, value in values.items()}
        for number, values in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": spread})


def _part(value: Any, target: Tensor | None) -> Any:  # noqa: ANN401
    """A whole tensor spread, and in the memory format, as its target is; anything of another shape as it is."""
    if target is None or not isinstance(value, Tensor) or value.shape != target.shape:
        return value
    part = torch.zeros_like(target, requires_grad=False)
    if not is_sharded(target):
        return part.copy_(value)
    mesh = mesh_of(target)
    rows = value.chunk(mesh.size())  # FSDP2 cuts along the first axis; there may be fewer rows than processes
    if mesh.get_local_rank() < len(rows):
        local(part).copy_(rows[mesh.get_local_rank()])
    return part
