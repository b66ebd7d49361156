"""A noise predictor that is trained by itself: its error, and nothing else, on conditions that the batch brings."""

import pytest
import torch

from noiseda.adaptation.pretraining import Carrier, Pretraining, PretrainingDraws
from noiseda.data.batches import Batch
from noiseda.diffusion import Denoiser, NoisePredictor, Schedule
from noiseda.diffusion.prediction import CLEAN, EPS, V
from tests.adaptation.examples import move


def pretraining(conditions=2, dims=2, prediction=EPS):
    network = NoisePredictor(
        conditions=conditions, width=8, channel_mults=(1,), blocks=1, patch_size=2, dropout=0.0, dims=dims
    )
    move(network)
    return Pretraining(
        Carrier(Denoiser(network, prediction), dims=dims), Schedule("cosine", (10, 900)), conditions=conditions
    )


def batch(dims=2):
    first, clean, second = torch.rand(3, 4, 3, *(8,) * dims, generator=torch.Generator().manual_seed(0))
    return Batch(first, clean, second, None, ())


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("conditions", [1, 2])
def test_the_loss_is_the_error_of_the_prediction(conditions, dims):
    model, one = pretraining(conditions, dims), batch(dims)
    draws = model.draw(one.y_syn, torch.Generator().manual_seed(1))
    terms = model(one, draws)
    level = draws.alpha_bar.reshape(-1, 1, *(1,) * dims)
    y_t = level.sqrt() * (2 * one.y_syn - 1) + (1 - level).sqrt() * draws.eps
    shown = tuple(2 * image - 1 for image in (one.x_syn, one.x_real)[:conditions])
    eps_hat = model.restorer.denoiser.network(y_t, shown, 1000 * draws.alpha_bar)
    wanted = (draws.eps - eps_hat).square().flatten(1).mean(dim=1)
    torch.testing.assert_close(terms.errors["noise"], wanted)
    torch.testing.assert_close(model.losses(terms, 0.5)["loss"], wanted.mean())


@pytest.mark.parametrize("prediction", [CLEAN, V], ids=["clean", "v"])
def test_the_error_is_that_of_what_is_predicted(prediction):
    """Of the size of the answer where there is hardly any noise; the noise's own would be 1e5 times as large."""
    model, one = pretraining(prediction=prediction), batch()
    draws = model.draw(one.y_syn, torch.Generator().manual_seed(1))
    draws = PretrainingDraws(draws.eps, torch.tensor([1 - 1e-5, 0.9, 0.3, 0.05]))
    level = draws.alpha_bar.reshape(-1, 1, 1, 1)
    clean = 2 * one.y_syn - 1
    y_t = level.sqrt() * clean + (1 - level).sqrt() * draws.eps
    answer = model.restorer.denoiser.network(y_t, (2 * one.x_syn - 1, 2 * one.x_real - 1), 1000 * draws.alpha_bar)
    wanted = clean if prediction is CLEAN else level.sqrt() * draws.eps - (1 - level).sqrt() * clean
    found = model(one, draws).errors["noise"]
    torch.testing.assert_close(found, (wanted - answer).square().mean((1, 2, 3)), rtol=2e-2, atol=1e-4)


def test_all_of_the_predictor_learns_and_levels_are_those_asked_for():
    model, one = pretraining(), batch()
    draws = model.draw(one.y_syn.repeat(50, 1, 1, 1), torch.Generator().manual_seed(1))
    alpha_bar = Schedule("cosine").alpha_bar
    assert alpha_bar[900] <= draws.alpha_bar.min() < draws.alpha_bar.max() <= alpha_bar[9]
    draws = model.draw(one.y_syn, torch.Generator().manual_seed(1))
    model.losses(model(one, draws), 0.5)["loss"].backward()
    assert all(weight.grad.abs().sum() > 0 for weight in model.restorer.denoiser.network.parameters())


def test_it_restores_nothing():
    images = torch.rand(2, 3, 9, 7)
    assert torch.equal(pretraining().restorer(images), images)
