"""Sharding where there is nothing to shard, and its bookkeeping; two processes shard in test_processes.py."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from noiseda.training import adapt, describe
from noiseda.training.optimizer import Adam
from noiseda.training.sharding import gather, is_sharded, load_module, load_optimizer, local
from tests.training.photographs import small


def test_one_process_alone_trains_as_without(where: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = load_file(adapt(small(where, out=where / "whole")).weights)
    assert not caplog.text
    alone = load_file(adapt(small(where, shard=True)).weights)
    assert all(torch.equal(whole[key], alone[key]) for key in whole)
    assert "--training.shard: nothing to spread, with 1 process(es) and 1 network(s) beside the restorer" in caplog.text


def test_a_teacher_stays_whole(where: Path, caplog: pytest.LogCaptureFixture) -> None:
    adapt(small(where, shard=True, strategy="mean-teacher"))
    assert "1 process(es) and 0 network(s) beside the restorer" in caplog.text


@pytest.mark.slow
def test_a_dry_run_does_not_need_the_processes(where: Path) -> None:
    assert describe(small(where, shard=True)).parameters == describe(small(where)).parameters


def test_the_moments_take_on_the_memory_format_of_their_weights() -> None:
    """Our Adam shows its kernel weights and moments in the order in which they lie, which must be the same."""
    torch.manual_seed(0)
    nets = [nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last) for _ in range(2)]  # type: ignore[call-overload]
    adams = [Adam(net.parameters(), lr=1e-2, fused=True) for net in nets]

    def step(number: int) -> None:
        adams[number].zero_grad()
        nets[number](torch.ones(1, 3, 8, 8)).square().sum().backward()
        adams[number].step()

    step(0)
    step(0)
    weights = {name: value.clone(memory_format=torch.contiguous_format) for name, value in nets[0].state_dict().items()}
    state = adams[0].state_dict()
    state["state"] = {
        number: {name: value.clone(memory_format=torch.contiguous_format) for name, value in values.items()}
        for number, values in state["state"].items()
    }
    load_module(nets[1], weights)
    load_optimizer(adams[1], state)
    for number in (0, 1):
        step(number)
    assert torch.equal(nets[0].weight, nets[1].weight)
    moment = adams[1].state[nets[1].weight]["exp_avg"]
    assert moment.is_contiguous(memory_format=torch.channels_last)


def test_a_state_of_another_network_is_refused_as_torch_refuses_it() -> None:
    net = nn.Linear(3, 2)
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_module(net, nn.Linear(4, 2).state_dict())
    with pytest.raises(ValueError, match="parameter group"):
        load_optimizer(Adam(net.parameters()), Adam(nn.Linear(3, 2, bias=False).parameters()).state_dict())


def test_whole_tensors_are_left_as_they_are() -> None:
    tree = {"a": torch.ones(2), "b": [{"c": torch.zeros(1)}, 3]}
    assert not is_sharded(tree["a"])  # type: ignore[arg-type]
    assert local(tree["a"]) is tree["a"]  # type: ignore[arg-type]
    assert gather(tree, keep=False) == tree
