"""Score distillation: the gradient is the formula's, and the model of clean images receives none of it."""

import torch

from noiseda.data.batches import Batch
from noiseda.diffusion import Denoiser, NoisePredictor
from noiseda.restoration import UNet
from noiseda_research.rivals.score import Score
from noiseda_research.rivals.settings import ScoreSettings

B, P = 3, 16


def model(**settings):
    torch.manual_seed(0)
    restorer = UNet(width=4, depth=2)
    predictor = NoisePredictor(conditions=0, width=8, channel_mults=(1, 2), blocks=1, patch_size=2, dropout=0.0)
    with torch.no_grad():
        for parameter in [*restorer.parameters(), *predictor.parameters()]:
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return Score(restorer, Denoiser(predictor), ScoreSettings(**settings))


def batch():
    return Batch(*(torch.rand(B, 3, P, P) for _ in range(3)), None, ())


def measured(strategy, one):
    return strategy(one, strategy.draw(one.y_syn, torch.Generator().manual_seed(0)))


def test_the_gradient_on_restored_real_images_is_the_formulas():
    strategy, one = model(), batch()
    draws = strategy.draw(one.y_syn, torch.Generator().manual_seed(0))
    captured = []
    strategy.restorer.register_forward_hook(lambda _, __, out: captured.append(out) or out.retain_grad())
    strategy(one, draws).errors["score"].sum().backward()
    restored, (of_syn, of_real) = captured[0].detach()[B:], captured[0].grad.chunk(2)
    level = draws.alpha_bar_real[:, None, None, None]
    y_t = level.sqrt() * (2 * restored - 1) + (1 - level).sqrt() * draws.eps_real
    eps_hat = strategy.denoiser.network(y_t, (), 1000 * draws.alpha_bar_real).detach()
    expected = ((1 - level) / level).sqrt() * (eps_hat - draws.eps_real) / 2 / (3 * P * P)
    torch.testing.assert_close(of_real, expected, rtol=1e-3, atol=1e-8)
    assert of_syn.abs().max() == 0


def test_the_model_of_clean_images_learns_from_clean_images_alone():
    strategy, one = model(), batch()
    terms = measured(strategy, one)
    weights = list(strategy.denoiser.parameters())
    others = [terms.errors[name].sum() for name in ("restoration", "score", "fidelity")]
    assert all(g is None for g in torch.autograd.grad(sum(others), weights, allow_unused=True, retain_graph=True))
    of_noise = torch.autograd.grad(
        terms.errors["noise"].sum(), [*weights, *strategy.restorer.parameters()], allow_unused=True
    )
    assert all(g is not None and g.isfinite().all() for g in of_noise[: len(weights)])
    assert all(g is None for g in of_noise[len(weights) :])


def test_its_error_is_that_of_a_denoiser_without_conditions():
    strategy, one = model(), batch()
    draws = strategy.draw(one.y_syn, torch.Generator().manual_seed(0))
    expected = strategy.denoiser.error(one.y_syn, (), draws.eps, draws.alpha_bar)
    torch.testing.assert_close(strategy(one, draws).errors["noise"], expected)


def test_a_perfect_prediction_pulls_nowhere():
    class Perfect(torch.nn.Module):
        def predict(self, images, conditions, eps, alpha_bar):
            return eps

    strategy, one = model(), batch()
    strategy.denoiser = Perfect()
    assert measured(strategy, one).errors["score"].abs().max() == 0


def test_fidelity_compares_averages_over_squares():
    strategy, one = model(square=4), batch()
    terms = measured(strategy, one)
    difference = (strategy.restorer(one.x_real) - one.x_real).detach().unflatten(3, (-1, 4)).unflatten(2, (-1, 4))
    expected = difference.mean(dim=(3, 5)).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(terms.errors["fidelity"].detach(), expected)
    values = strategy.losses(terms, 1.0)
    weight = 5.0 * 0.98661429815
    expected = values["restoration"] + values["noise"] + weight * (values["score"] + values["fidelity"])
    torch.testing.assert_close(values["loss"], expected)


def test_levels_are_low_by_default():
    draws = model().draw(torch.zeros(200, 3, 4, 4), torch.Generator().manual_seed(0))
    assert draws.alpha_bar_real.min() > 0.94
    assert not torch.equal(draws.eps, draws.eps_real)
