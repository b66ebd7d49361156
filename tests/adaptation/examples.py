"""Small restorers, batches and plain oracles for the tests of every strategy."""

import torch

from noiseda.data.batches import Batch
from noiseda.restoration import UNet


def restorer(seed: int = 0, *, width: int = 4, depth: int = 2, channels: int = 3) -> UNet:
    """A restorer whose zero-initialised parts were moved, so that gradients flow."""
    torch.manual_seed(seed)
    network = UNet(width=width, depth=depth, channels=channels)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return network


def batch(seed: int = 1, *, count: int = 4, side: int = 16, channels: int = 3) -> Batch:
    """Random images: a clean one, the same with noise, and a real one that is darker and smoother."""
    g = torch.Generator().manual_seed(seed)
    clean, other = torch.rand(2, count, channels, side, side, generator=g)
    noise = 0.2 * torch.randn(clean.shape, generator=g)
    real = 0.5 * torch.nn.functional.avg_pool2d(other, 3, stride=1, padding=1)
    return Batch(clean + noise, clean, real, None, ("a.png",))


def move(*networks: torch.nn.Module) -> None:
    """Move the weights of networks off their zeros."""
    torch.manual_seed(11)
    with torch.no_grad():
        for network in networks:
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape))


def size(gradients) -> float:
    """The sum of the absolute values of gradients, of which some may be missing."""
    return sum(float(gradient.abs().sum()) for gradient in gradients if gradient is not None)


def gradients(value, *networks):
    """The gradient of a value for all parameters of networks; None where it does not depend on one."""
    parameters = [parameter for network in networks for parameter in network.parameters()]
    return torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)


def overfit(strategy, steps: int = 40, *, rate: float = 3e-3, term: str = "loss"):
    """Descend one term on one batch, at the end of a run's ramp; returns the terms of every step, by name."""
    one = batch()
    draws = strategy.draw(one.y_syn, torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(strategy.parameters(), lr=rate)
    history: dict[str, list[float]] = {}
    for _ in range(steps):
        values = strategy.losses(strategy(one, draws), 1.0)
        optimizer.zero_grad()
        values[term].backward()
        optimizer.step()
        for name, value in values.items():
            history.setdefault(name, []).append(value.item())
    return history


def felt(strategy, term: str, progress: float = 1.0):
    """How strongly a term pulls at the restorer's features of each image of its first pass: (images,)."""
    one, captured = batch(), []

    def listen(module, inputs, output):
        output.retain_grad()
        captured.append(output)

    handle = strategy.restorer.features.register_forward_hook(listen)
    terms = strategy(one, strategy.draw(one.y_syn, torch.Generator().manual_seed(0)))
    handle.remove()
    strategy.losses(terms, progress)[term].backward()
    return captured[0].grad.abs().flatten(1).sum(dim=1)
