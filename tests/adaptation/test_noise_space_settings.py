"""Levels, prediction, weighting and bands of noise-space adaptation: each where it belongs, and nothing by default."""

import copy
from dataclasses import replace

import pytest
import torch

from noiseda.adaptation import Combined, NoiseSpace, Stages, SyntheticOnly
from noiseda.adaptation.catalogue import build
from noiseda.adaptation.noise_space import NoiseDraws
from noiseda.adaptation.permutation import draw_order, shuffle
from noiseda.config import AdaptSettings, ObjectiveSettings, PredictorSettings
from noiseda.diffusion import BANDS, PREDICTIONS, SAMPLERS, WEIGHTINGS, Denoiser, NoisePredictor, Schedule
from noiseda.diffusion.bands import Wavelet
from noiseda.diffusion.levels import Biased
from noiseda.diffusion.weighting import P2
from noiseda.restoration import UNet
from noiseda.training import describe
from tests.adaptation.examples import batch, move, restorer
from tests.training.photographs import folder, small


def strategy(prediction="eps", *, seed=0, objects=None, **settings):
    torch.manual_seed(seed)
    predictor = NoisePredictor(width=8, channel_mults=(1, 2), blocks=1, patch_size=2, dropout=0.0)
    move(predictor)
    denoiser = Denoiser(predictor, PREDICTIONS[prediction])
    return NoiseSpace(restorer(seed), denoiser, ObjectiveSettings(**settings), **objects or {})


def draws(model, seed=0):
    return model.draw(batch().y_syn, torch.Generator().manual_seed(seed))


def test_by_default_all_is_as_it_was_before_there_was_a_choice():
    """Draws, errors and names of the state, written out as they were."""
    model, one = strategy(), batch()
    found, g = draws(model), torch.Generator().manual_seed(0)
    eps = torch.randn(one.y_syn.shape, generator=g)
    t = torch.randint(1, 1000, (4,), generator=g)
    between, falls = torch.rand(4, generator=g, dtype=torch.float64), Schedule().alpha_bar
    alpha_bar = torch.lerp(falls[t - 1], falls[t], between).float()
    wanted = NoiseDraws(eps, alpha_bar, *(draw_order("blocks", 4, 3, g) for _ in range(2)))
    assert all(torch.equal(value, getattr(wanted, name)) for name, value in vars(found).items())

    syn, real = model.restorer.restore_jointly(one.x_syn, one.x_real)
    swapped = one.x_syn + (real - one.x_real), one.x_real + (syn - one.x_syn)
    errors = model(one, found).errors
    for name, pair, order in (("noise", (syn, real), found.order), ("noise_swapped", swapped, found.order_swapped)):
        conditions = torch.cat([2 * x - 1 for x in shuffle(*pair, order)], dim=1).chunk(2, dim=1)
        a = alpha_bar[:, None, None, None]
        y_t = a.sqrt() * (2 * one.y_syn - 1) + (1 - a).sqrt() * eps
        eps_hat = model.denoiser.network(y_t, conditions, alpha_bar * 1000).float()
        assert torch.equal(errors[name], (eps - eps_hat).square().flatten(1).mean(dim=1))
    assert {key.split(".")[0] for key in model.state_dict()} == {"restorer", "denoiser"}
    assert model.networks() == [model.restorer, model.denoiser]


@pytest.mark.parametrize("bands", BANDS)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_error_is_of_its_prediction_weighted_and_on_its_bands(prediction, weighting, bands):
    model, one = strategy(prediction, weighting=weighting, bands=bands, shuffle="off", contrast=False), batch()
    found = draws(model)
    errors = model(one, found).errors["noise"]
    restored = model.restorer.restore_jointly(one.x_syn, one.x_real)
    eps_hat = model.denoiser.predict(one.y_syn, restored, found.eps, found.alpha_bar)
    weight = WEIGHTINGS[weighting](found.alpha_bar, PREDICTIONS[prediction])
    torch.testing.assert_close(errors, weight * BANDS[bands](found.eps, eps_hat))
    felt = torch.autograd.grad(errors.mean(), list(model.parameters()))
    assert all(gradient.isfinite().all() and gradient.abs().sum() > 0 for gradient in felt)


def test_objects_can_be_handed_in():
    sampling = Biased(Schedule("cosine", (5, 7)), power=9.0)
    weighting, bands = P2(2.0, 0.5), Wavelet(1, (0.0, 1.0))
    model = strategy(objects={"sampling": sampling, "weighting": weighting, "bands": bands})
    assert (model.sampling, model.weighting, model.bands) == (sampling, weighting, bands)
    levels = draws(model).alpha_bar
    falls = sampling.schedule.alpha_bar.float()
    assert ((levels >= falls[7]) & (levels <= falls[4])).all()
    assert strategy(schedule="constant", discrete=True, levels=(3, 4)).sampling.schedule.discrete


@pytest.mark.parametrize("sampling", SAMPLERS)
def test_every_sampler_takes_steps_and_judges_positives_and_negatives_alike(sampling):
    model = strategy(sampling=sampling, margin=10.0)
    one, found = replace(batch(), progress=0.5), draws(model)
    terms = model(one, found)
    model.losses(terms, 0.5)["loss"].backward()
    model.after_step(0.5)
    levels = model.sampling(found.alpha_bar, 0.5)
    assert ((levels.alpha_bar > 0) & (levels.alpha_bar <= 1)).all()
    torch.testing.assert_close(terms.errors["contrast"], terms.errors["noise"] - terms.errors["noise_swapped"] + 10.0)
    assert all(weight.grad is not None for weight in model.parameters())


class Levels(torch.nn.Module):
    """A network that remembers the levels it was asked about."""

    def forward(self, y_t, conditions, level):
        self.level = level / 1000
        return y_t


def asked(model, progress, wrap=lambda model: model):
    """The noise levels that a batch is judged at."""
    model.denoiser.network = network = Levels()
    whole, one = wrap(model), replace(batch(count=64), progress=progress)
    whole(one, whole.draw(one.y_syn, torch.Generator().manual_seed(1)))
    return network.level


@pytest.mark.parametrize("wrap", [
    lambda model: model,
    lambda model: Stages([(0.0, SyntheticOnly(model.restorer)), (0.01, model)]),
    lambda model: Combined({"noise-space": model, "synthetic": SyntheticOnly(model.restorer)}),
], ids=["alone", "a stage", "combined"])  # fmt: skip
def test_a_curriculum_goes_from_high_to_low_with_the_run(wrap):
    model = strategy(sampling="curriculum", conditions="real")
    falls = Schedule().alpha_bar.float()
    for progress, lowest, highest in ((0.02, 489, 990), (0.5, 249, 750), (1.0, 0, 500)):
        found = asked(model, progress, wrap)
        assert falls[highest] <= found.min()
        assert found.max() <= falls[lowest]


def learning(model, *, steps=30, wrap=None):
    """Steps without moves of the weights; returns the model."""
    whole = wrap or model
    for seed in range(steps):
        one = batch(seed, count=16)
        whole(one, whole.draw(one.y_syn, torch.Generator().manual_seed(seed)))
        whole.after_step(0.5)
    return model


def test_importance_learns_from_the_weighted_errors_of_the_positives():
    model = learning(strategy(sampling="importance"))
    before = copy.deepcopy(model.sampling.state_dict())
    one, found = batch(), draws(model)
    levels = model.sampling(found.alpha_bar, 0.0)
    errors = model(one, found).errors["noise"].detach() / levels.weights
    assert not torch.equal(levels.weights, torch.ones(4)), "it knows its bins"
    model.after_step(0.0)
    for k in range(20):
        own, decay = errors[levels.bins == k].square(), model.sampling.decay ** int((levels.bins == k).sum())
        wanted = before["second_moments"][k] * decay + (1 - decay) * (own.mean() if len(own) else 0)
        torch.testing.assert_close(model.sampling.second_moments[k], wanted)
    assert model.sampling.seen.sum() == before["seen"].sum() + 4


def test_a_run_that_is_continued_has_what_was_learnt():
    first, second = learning(strategy(sampling="importance")), strategy(sampling="importance", seed=1)
    second.load_state_dict(first.state_dict())
    one, found = batch(7), draws(first)
    assert torch.equal(first(one, found).errors["noise"], second(one, found).errors["noise"])
    assert {"sampling.second_moments", "sampling.seen"} <= set(first.state_dict())


def test_it_learns_within_stages_and_beside_others():
    for wrap in (lambda m: Stages([(0.0, m)]), lambda m: Combined({"noise-space": m})):
        model = strategy(sampling="importance")
        assert learning(model, steps=2, wrap=wrap(model)).sampling.seen.sum() == 32


def test_its_work_can_be_counted_before_it_begins(tmp_path):
    folder(tmp_path / "clean")
    folder(tmp_path / "real")
    objective = ObjectiveSettings(sampling="importance", prediction="v", weighting="p2", bands="wavelet")
    assert describe(small(tmp_path, objective=objective)).sample_tflop > 0


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_command_line_names_the_prediction(prediction):
    predictor = PredictorSettings(width=8, channel_mults=[1], patch_size=2)
    settings = AdaptSettings(
        strategy="noise-space", objective=ObjectiveSettings(prediction=prediction), predictor=predictor
    )
    assert build(UNet(width=4, depth=2), settings).denoiser.prediction is PREDICTIONS[prediction]
