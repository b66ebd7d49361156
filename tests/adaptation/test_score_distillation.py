"""Restored real images are pulled by the difference of the scores of two predictors."""

import copy
from dataclasses import replace

import pytest
import torch

from noiseda.adaptation import ScoreDistillation
from noiseda.adaptation.score_distillation import SHORTEST
from noiseda.data.batches import Batch
from noiseda.diffusion import Denoiser, NoisePredictor, add_noise
from noiseda.dims import append_dims
from noiseda.restoration import UNet
from noiseda.strategies import ScoreDistillationSettings
from tests.adaptation.examples import batch, gradients, move, overfit, restorer, size
from tests.adaptation.judges import Line, Sees


def model(of_restored=None, of_clean=None, **settings):
    own = ScoreDistillationSettings(**settings)
    clean = Denoiser(of_clean or Line(0.5, 0.1)) if own.teacher == "clean" else None
    return ScoreDistillation(restorer(), Denoiser(of_restored or Line()), clean, own)


def measured(strategy, one, seed=0):
    return strategy(one, strategy.draw(one.y_syn, torch.Generator().manual_seed(seed)))


LATE = replace(batch(), progress=1.0)


def test_with_identical_predictors_nothing_is_pulled():
    network = Line()
    strategy = model(network, copy.deepcopy(network))
    terms = measured(strategy, LATE)
    assert terms.errors["score"].max() < 1e-12
    assert size(gradients(terms.errors["score"].sum(), strategy.restorer)) < 1e-6
    assert size(gradients(measured(model(), LATE).errors["score"].sum(), strategy.restorer)) == 0  # of another
    other = model()
    assert size(gradients(measured(other, LATE).errors["score"].sum(), other.restorer)) > 1e-3


def test_the_gradient_is_the_difference_of_the_clean_estimates():
    """Both predictors know what they see: r_hat and y_hat are given, and so is the gradient on what is restored."""
    own, clean = torch.rand(2, *LATE.x_real.shape)
    strategy = model(Sees(own), Sees(clean))
    caught = []
    joint = strategy.restorer.restore_jointly

    def caught_jointly(*batches):
        restored_syn, restored_real = joint(*batches)
        restored_real.retain_grad()
        caught.append(restored_real)
        return restored_syn, restored_real

    strategy.restorer.restore_jointly = caught_jointly
    measured(strategy, LATE).errors["score"].sum().backward()
    (restored,) = caught
    length = (restored - clean).abs().flatten(1).mean(dim=1).detach()
    expected = (own - clean) / append_dims(length, 4) / restored[0].numel()
    torch.testing.assert_close(restored.grad, expected, atol=1e-6, rtol=1e-2)


def test_a_step_against_the_pull_brings_images_to_the_clean_ones():
    """Models of two points: what lies at one of them goes straight for the other."""
    restored, clean = torch.full((2, 3, 4, 4), 0.2), 0.8
    strategy = model(Sees(0.2), Sees(clean))
    alpha_bar, eps = torch.tensor([0.9, 0.99]), torch.randn(restored.shape)
    own = strategy.of_restored.clean(restored, (), eps, alpha_bar)
    pull = strategy.pull(restored, own, eps, alpha_bar)
    torch.testing.assert_close(pull, torch.full_like(pull, -1.0), atol=1e-4, rtol=0)


def test_alone_the_model_of_restored_images_pulls_to_where_they_are_dense():
    strategy = model(Sees(0.5), teacher="restored")
    assert strategy.of_clean is None
    restored = torch.full((1, 3, 4, 4), 0.6)
    eps, alpha_bar = torch.randn(restored.shape), torch.tensor([0.95])
    own = strategy.of_restored.clean(restored, (), eps, alpha_bar)
    torch.testing.assert_close(
        strategy.pull(restored, own, eps, alpha_bar), torch.ones_like(restored), atol=1e-4, rtol=0
    )
    terms = measured(strategy, LATE)
    assert set(terms.errors) == {"restoration", "noise_restored", "score"}
    assert set(strategy.weights(1.0)) == set(terms.errors)


def test_a_pull_of_next_to_nothing_is_not_blown_up():
    restored = torch.full((1, 3, 4, 4), 0.5)
    strategy = model(Sees(0.5001), Sees(0.5))
    eps, alpha_bar = torch.randn(restored.shape), torch.tensor([0.95])
    pull = strategy.pull(restored, torch.full_like(restored, 0.5001), eps, alpha_bar)
    torch.testing.assert_close(pull, torch.full_like(pull, 1e-4 / SHORTEST), atol=1e-3, rtol=0)


@pytest.mark.parametrize("progress", [0.1, 1.0])
def test_errors_move_the_one_network_that_they_are_of(progress):
    strategy = model(start=0.5)
    terms = measured(strategy, replace(LATE, progress=progress))
    networks = {"restorer": strategy.restorer, "restored": strategy.of_restored, "clean": strategy.of_clean}
    of = {"restoration": "restorer", "noise_restored": "restored", "noise_clean": "clean", "score": "restorer"}
    assert ("score" in terms.errors) == (progress > 0.5)
    for term, error in terms.errors.items():
        for name, network in networks.items():
            assert (size(gradients(error.sum(), network)) > 0) == (name == of[term]), (term, name)


def test_each_predictor_learns_its_own_images_alone():
    strategy = model()
    draws = strategy.draw(LATE.y_syn, torch.Generator().manual_seed(0))
    terms = strategy(LATE, draws)
    restored = strategy.restorer(LATE.x_real)
    for term, network, images, eps, level in (
        ("noise_restored", strategy.of_restored.network, restored, draws.eps_real, draws.alpha_bar_real),
        ("noise_clean", strategy.of_clean.network, LATE.y_syn, draws.eps, draws.alpha_bar),
    ):
        found = network(add_noise(2 * images - 1, eps, level), (), 1000 * level)
        torch.testing.assert_close(terms.errors[term], (found - eps).square().flatten(1).mean(dim=1))


def test_the_pull_begins_late_and_the_predictors_at_once():
    strategy = model(start=0.5)
    assert strategy.real_from == 0.5
    early = {"restoration": 1.0, "noise_restored": 1.0, "noise_clean": 1.0}
    assert strategy.weights(0.49) == early
    assert set(measured(strategy, replace(LATE, progress=0.49)).errors) == set(early)
    assert strategy.weights(0.5) == {**early, "score": 0.0}
    assert strategy.weights(1.0)["score"] == pytest.approx(0.098661429815)


def test_it_learns():
    history = overfit(model(start=0.0), steps=15)
    assert history["noise_clean"][-1] < history["noise_clean"][0]
    assert history["noise_restored"][-1] < history["noise_restored"][0]


@pytest.mark.parametrize("shape", [(10,), (6, 10), (4, 6, 2)])
def test_any_rank_is_what_its_flattened_places_are(shape):
    strategy = model()
    restored, own, eps = torch.rand(3, 2, 3, *shape)
    alpha_bar = torch.tensor([0.9, 0.6])
    whole = strategy.pull(restored, own, eps, alpha_bar)
    row = strategy.pull(restored.flatten(2), own.flatten(2), eps.flatten(2), alpha_bar)
    torch.testing.assert_close(whole.flatten(2), row)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_step_on_signals_of_any_rank(dims):
    torch.manual_seed(0)
    network = UNet(width=4, depth=2, channels=1, dims=dims)
    predictors = [
        NoisePredictor(channels=1, conditions=0, width=8, channel_mults=(1, 2), blocks=1, patch_size=2, dims=dims)
        for _ in range(2)
    ]
    move(network, *predictors)
    strategy = ScoreDistillation(network, *map(Denoiser, predictors), ScoreDistillationSettings())
    one = Batch(*(torch.rand(2, 1, *(8,) * dims) for _ in range(3)), None, (), progress=1.0)
    terms = measured(strategy, one)
    assert terms.restored_real.shape == one.x_real.shape
    strategy.losses(terms, 1.0)["loss"].backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in strategy.parameters())
