"""What holds for each strategy that has a name, of whatever package and idea."""

import copy
import pickle
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import nn

from noiseda import extensions
from noiseda.adaptation.catalogue import STRATEGIES, build
from noiseda.config import RestorerSettings
from noiseda.errors import UserError
from noiseda.strategies import StrategyName
from noiseda.training import describe
from noiseda.training.build import build_objective, build_optimizer
from tests.adaptation.examples import batch
from tests.restoration.networks import SMALL
from tests.training.photographs import folder, small

NAMES = list(get_args(StrategyName))


def test_the_table_and_those_of_other_packages_hold_the_names_that_can_be_asked_for():
    assert set(NAMES) == {*STRATEGIES, *extensions.strategies()}
    assert not {*STRATEGIES} & {*extensions.strategies()}


@pytest.fixture
def settings(tmp_path):
    folder(tmp_path / "clean")
    folder(tmp_path / "real")
    return small(tmp_path)


def step(strategy, optimizer, one, seed=0):
    """One step of training, late in the run; returns its values."""
    one = replace(one, progress=0.9)
    terms = strategy(one, strategy.draw(one.y_syn, torch.Generator().manual_seed(seed)))
    values = strategy.losses(terms, 0.9)
    optimizer.zero_grad()
    values["loss"].backward()
    optimizer.step()
    strategy.after_step(0.9)
    return terms, {name: value.item() for name, value in values.items()}


FEATURES = ["mmd", "coral", "dann", "dsn", "cycada"]


@pytest.mark.parametrize(
    ("name", "network"), [*((name, "dncnn") for name in NAMES), *((name, "nafnet") for name in FEATURES)]
)
def test_it_takes_a_step_with_a_network_of_another(settings, name, network):
    """One that normalises over its batch among them; it sees each domain by itself."""
    restorer = RestorerSettings(network=network, **SMALL[network])
    wanted = replace(settings, strategy=name, restorer=restorer)
    if network == "dncnn" and name in FEATURES:
        with pytest.raises(UserError, match="cannot have DnCNN"):
            build_objective(wanted)
        return
    strategy = build_objective(wanted)
    optimizer = build_optimizer(strategy, settings.training)
    before = {key: value.clone() for key, value in strategy.restorer.state_dict().items()}
    one = batch(count=2, channels=3)
    seen = []
    if network == "dncnn":
        first = next(module for module in strategy.restorer.modules() if isinstance(module, nn.BatchNorm2d))
        first.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    _, values = step(strategy, optimizer, one)
    assert torch.tensor(list(values.values())).isfinite().all(), values
    assert all(count <= 2 for count in seen)
    assert any(not torch.equal(before[key], value) for key, value in strategy.restorer.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("count", "channels", "depth"), [(2, 3, 2), (1, 3, 4), (1, 1, 1)])
def test_it_takes_steps_on_small_patches(settings, name, count, channels, depth):
    """Also on one image, grey, and with features of 2 x 2 or of all positions."""
    network = replace(settings.restorer, channels=channels, depth=depth)
    strategy = build_objective(replace(settings, strategy=name, restorer=network))
    optimizer = build_optimizer(strategy, settings.training)
    one = batch(count=count, channels=channels)
    before = {key: value.clone() for key, value in strategy.restorer.state_dict().items()}
    for _ in range(3):
        terms, values = step(strategy, optimizer, one)
        assert all(error.shape == (count,) for error in terms.errors.values())
        assert all(error.dtype == torch.float32 for error in terms.errors.values())
        assert torch.tensor(list(values.values())).isfinite().all(), values
    assert terms.restored_syn is None or not terms.restored_syn.requires_grad
    # Every weight has a gradient, or several processes would wait for one another's.
    learning = [parameter for parameter in strategy.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None for parameter in learning)
    assert all(parameter.isfinite().all() for parameter in strategy.parameters())
    moved = [key for key, value in strategy.restorer.state_dict().items() if not torch.equal(value, before[key])]
    assert set(moved) == set(before)


@pytest.mark.parametrize("name", NAMES)
def test_it_continues_from_its_state(settings, name):
    """Weights drawn from another seed, then loaded: the next step is that of the strategy they came from."""
    first = build_objective(replace(settings, strategy=name))
    optimizer = build_optimizer(first, settings.training)
    step(first, optimizer, batch(1))
    second = build_objective(replace(settings, strategy=name, seed=1))
    again = build_optimizer(second, settings.training)
    second.load_state_dict(first.state_dict())
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert step(first, optimizer, batch(2))[1] == step(second, again, batch(2))[1]
    for mine, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_dry_runs_and_starts_from_the_same_restorer(settings, name):
    chosen = replace(settings, strategy=name)
    description = describe(chosen)
    alone = name in ("synthetic", "mmd", "coral", "neighbor2neighbor", "flat-noise", "redegradation")
    assert (description.parameters["thrown_away"] == 0) == alone
    assert description.sample_tflop > 0
    plain, mine = (build_objective(one).restorer.state_dict() for one in (settings, chosen))
    assert all(torch.equal(plain[key], mine[key]) for key in plain)


@pytest.mark.parametrize("name", NAMES)
def test_autocast_changes_its_errors_by_little_and_never_their_type(settings, name):
    strategy, one = build_objective(replace(settings, strategy=name)), replace(batch(), progress=0.9)
    draws = strategy.draw(one.y_syn, torch.Generator().manual_seed(0))
    exact = strategy(one, draws).errors
    with torch.autocast("cpu", torch.bfloat16):
        rough = strategy(one, draws).errors
    for term, error in rough.items():
        assert error.dtype == torch.float32
        torch.testing.assert_close(error, exact[term], rtol=0.1, atol=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_sent_to_the_processes_that_draw(settings, name):
    strategy = build_objective(replace(settings, strategy=name))
    draw = pickle.loads(pickle.dumps(strategy)).draw
    targets = batch().y_syn
    mine, theirs = (one(targets, torch.Generator().manual_seed(3)) for one in (strategy.draw, draw))
    assert _equal(mine, theirs)


def _equal(mine, theirs):
    if isinstance(mine, torch.Tensor):
        return torch.equal(mine, theirs)
    if mine is None or theirs is None:
        return mine is theirs
    values = [tuple(one) if isinstance(one, tuple) else tuple(vars(one).values()) for one in (mine, theirs)]
    return type(mine) is type(theirs) and all(_equal(a, b) for a, b in zip(*values, strict=True))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "synthetic"])
def test_it_can_stand_beside_noise_space(settings, name):
    others = ["noise-space"] if name != "noise-space" else ["synthetic"]
    strategy = build(build_objective(settings).restorer, replace(settings, strategy=name, also=others))
    assert strategy.wants_real
    _, values = step(strategy, build_optimizer(strategy, settings.training), batch())
    assert (f"{name}/restoration" in values) == (name != "source-free")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("synthetic", "pixelda")])
def test_real_images_send_a_finite_gradient_into_the_restorer(settings, name):
    """Not all of it comes from synthetic pairs: with other real images it is another. (In pixelda they reach the
    restorer through the generator alone, a step later.)"""
    strategy = build_objective(replace(settings, strategy=name))
    with torch.no_grad():
        for parameter in strategy.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    one, found = replace(batch(), progress=1.0), []
    for x_real in (one.x_real, one.x_real.flip(0).square()):
        other = replace(one, x_real=x_real)
        terms = strategy(other, strategy.draw(one.y_syn, torch.Generator().manual_seed(0)))
        loss = strategy.losses(terms, 1.0)["loss"]
        found.append(torch.autograd.grad(loss, list(strategy.restorer.parameters())))
    assert all(gradient.isfinite().all() for gradients in found for gradient in gradients)
    assert any(not torch.equal(a, b) for a, b in zip(*found, strict=True))
