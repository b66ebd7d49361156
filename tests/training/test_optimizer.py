"""Our Adam is torch's, whatever the memory format."""

import copy

import torch
from torch import nn

from noiseda.training.optimizer import Adam, clip_gradients, gradient_norm


def network(memory: torch.memory_format) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 5, 3), nn.Flatten(), nn.Linear(720, 2))
    return net.to(memory_format=memory)  # type: ignore[call-overload]


def test_it_takes_torchs_steps_and_keeps_its_state() -> None:
    ours, theirs = network(torch.channels_last), network(torch.contiguous_format)
    assert not next(ours.parameters()).is_contiguous()
    optimizers = [Adam(ours.parameters(), lr=1e-2, fused=True), torch.optim.Adam(theirs.parameters(), lr=1e-2)]
    for _ in range(4):
        x = torch.rand(4, 3, 16, 16)
        for net, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()
    for mine, torchs in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, torchs, rtol=1e-4, atol=1e-5)
    kept = copy.deepcopy(optimizers[0].state_dict())
    assert kept["state"][0]["exp_avg"].shape == (8, 3, 3, 3)
    torch.testing.assert_close(
        kept["state"][0]["exp_avg"], optimizers[1].state_dict()["state"][0]["exp_avg"], rtol=1e-3, atol=1e-4
    )


def test_the_norm_is_that_of_all_gradients() -> None:
    net = network(torch.channels_last)
    net(torch.rand(1, 3, 16, 16)).sum().backward()
    expected = torch.nn.utils.clip_grad_norm_(net.parameters(), float("inf"))
    torch.testing.assert_close(gradient_norm(net.parameters()), expected)


def test_gradients_are_clipped_as_torch_clips_them() -> None:
    ours, theirs = network(torch.channels_last), network(torch.channels_last)
    for net in (ours, theirs):
        net(torch.ones(1, 3, 16, 16)).sum().backward()
    for largest in (1e9, 0.5):
        norm = clip_gradients(ours.parameters(), largest)
        assert torch.equal(norm, torch.nn.utils.clip_grad_norm_(theirs.parameters(), largest))
        for mine, torchs in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(mine.grad, torchs.grad)  # type: ignore[arg-type]
    torch.testing.assert_close(gradient_norm(ours.parameters()), torch.tensor(0.5))
