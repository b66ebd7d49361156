"""Every strategy that can be named: built from settings, it trains, is dry-run, continued, and takes a batch of one."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from noiseda.adaptation import SyntheticOnly
from noiseda.adaptation.catalogue import STRATEGIES
from noiseda.config import StrategyName
from noiseda.data.batches import Batch
from noiseda.training.assemble import build_optimizer, build_strategy
from tests.training.photographs import small

NAMES = sorted(STRATEGIES)


def made(name, **changes):
    return build_strategy(small(Path("nowhere"), strategy=name, **changes))


def batch(count=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    return Batch(*(torch.rand(count, 3, 16, 16, generator=g) for _ in range(4)), ())


def step(strategy, optimizer, seed):
    one = batch(seed=seed)
    values = strategy.losses(strategy(one, strategy.draw(one.y_syn, torch.Generator().manual_seed(seed))), 0.5)
    optimizer.zero_grad()
    values["loss"].backward()
    optimizer.step()
    strategy.after_step()
    return values


def test_every_name_has_its_strategy():
    assert set(get_args(StrategyName)) == set(STRATEGIES)


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_and_goes_on_from_its_state(name):
    settings = small(Path("nowhere")).training
    first = made(name)
    optimizer = build_optimizer(first, replace(settings, learning_rate=1e-2))
    for seed in range(3):
        assert all(value.isfinite() for value in step(first, optimizer, seed).values())
    second = made(name)
    second.load_state_dict(first.state_dict())
    again = build_optimizer(second, settings)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # else both would share their moments
    mine, theirs = step(first, optimizer, 7), step(second, again, 7)
    assert all(torch.equal(mine[term], theirs[term]) for term in mine)
    states = first.state_dict(), second.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("name", NAMES)
def test_it_takes_one_sample_and_needs_no_values_to_be_counted(name):
    strategy, one = made(name), batch(count=1)
    terms = strategy(one, strategy.draw(one.y_syn, torch.Generator().manual_seed(0)))
    assert all(error.shape == (1,) for error in terms.errors.values())
    assert all(value.isfinite() for value in strategy.losses(terms, 1.0).values())
    with FakeTensorMode():
        strategy = made(name)
        images = torch.rand(1, 3, 16, 16)
        terms = strategy(Batch(images, images, images, images, ()), strategy.draw(images, torch.Generator()))
        strategy.losses(terms, 0.5)["loss"].backward()


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"synthetic"}))
def test_real_images_send_a_finite_gradient_into_the_restorer(name):
    """Not all of it comes from synthetic pairs: with other real images it is another."""
    strategy = made(name)
    with torch.no_grad():
        for parameter in strategy.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    one, found = batch(), []
    for x_real in (one.x_real, one.x_real.flip(0).square()):
        other = replace(one, x_real=x_real)
        terms = strategy(other, strategy.draw(one.y_syn, torch.Generator().manual_seed(0)))
        loss = strategy.losses(terms, 1.0)["loss"]
        found.append(torch.autograd.grad(loss, list(strategy.restorer.parameters())))
    assert all(gradient.isfinite().all() for gradients in found for gradient in gradients)
    assert any(not torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert strategy.wants_real
    assert not isinstance(strategy, SyntheticOnly)
