"""One denoising step gives real images a target; what it does to synthetic ones says how far it is trusted."""

from dataclasses import replace

import pytest
import torch

from noiseda.adaptation import PseudoTargets, charbonnier
from noiseda.adaptation.pseudo_targets import trust
from noiseda.data.batches import Batch
from noiseda.diffusion import Denoiser, NoisePredictor
from noiseda.dims import append_dims
from noiseda.errors import UserError
from noiseda.restoration import UNet
from noiseda.strategies import PseudoTargetsSettings
from tests.adaptation.examples import batch, gradients, move, overfit, restorer, size
from tests.adaptation.judges import Line, Sees


def model(network=None, **settings):
    network = network or Line()
    return PseudoTargets(restorer(), Denoiser(network), PseudoTargetsSettings(**settings))


def measured(strategy, one, seed=0):
    return strategy(one, strategy.draw(one.y_syn, torch.Generator().manual_seed(seed)))


def test_with_a_perfect_predictor_the_pseudo_target_is_the_truth():
    one = replace(batch(), progress=1.0)
    truth = torch.rand(one.y_syn.shape)  # of the real images
    strategy = model(Sees(torch.cat([one.y_syn, truth])), gate="off", draws=3)
    draws = strategy.draw(one.y_syn, torch.Generator().manual_seed(0))
    restored_syn, restored_real = strategy.restorer.restore_jointly(one.x_syn, one.x_real)
    target, gate = strategy.judged(restored_syn, restored_real, one.y_syn, draws)
    torch.testing.assert_close(target, truth, atol=1e-4, rtol=0)
    assert torch.equal(gate, torch.ones(4))
    strategy.denoiser.network = Sees(one.y_syn)  # its own error is on the synthetic pairs alone
    terms = strategy(replace(one, progress=0.0), draws)
    assert terms.errors["noise"].max() < 1e-6
    # Restored to the truth, there is nothing to learn but the floor of Charbonnier's error.
    torch.testing.assert_close(charbonnier(target, truth), torch.full((4,), 1e-3), atol=1e-4, rtol=0)


def test_the_step_is_that_of_the_closed_form_and_its_draws_are_averaged():
    """eps_hat = slope y_t + lean c gives y_hat = ((1 - s slope) y_t - s lean c) / sqrt(alpha_bar)."""
    strategy, one = model(gate="off", draws=2, levels=(400, 400)), batch()
    draws = strategy.draw(one.y_syn, torch.Generator().manual_seed(0))
    target, _ = strategy.judged(one.y_syn, one.x_real, one.y_syn, draws)
    level = append_dims(draws.alpha_bar_step, 4)
    s, shown = (1 - level).sqrt(), 2 * one.x_real - 1
    found = []
    for eps in draws.eps_step.unbind(dim=1):
        y_t = level.sqrt() * shown + s * eps
        found.append((((1 - 0.3 * s) * y_t - s * 0.2 * shown) / level.sqrt() + 1) / 2)
    torch.testing.assert_close(target, torch.stack(found).mean(dim=0).clamp(0, 1))
    assert not torch.equal(draws.eps_step[:, 0], draws.eps_step[:, 1])


def test_the_gate_is_one_where_the_step_leads_synthetic_images_to_their_truth():
    one = batch()
    far = (one.y_syn + 0.1).clamp(0, 1)  # what is restored
    strategy = model(Sees(torch.cat([one.y_syn, one.x_real + 0.01])))
    draws = strategy.draw(one.y_syn, torch.Generator().manual_seed(0))
    _, gate = strategy.judged(far, one.x_real, one.y_syn, draws)
    torch.testing.assert_close(gate, torch.ones(4))
    # Moved twice as far as synthetic ones, which is four times in squares: a quarter is left.
    strategy.denoiser.network = Sees(torch.cat([one.y_syn, (one.x_real + 2 * (far - one.y_syn)).clamp(0, 1)]))
    moved = (strategy.denoiser.network.clean[4:] - one.x_real).square().flatten(1).mean(dim=1)
    usual = (far - one.y_syn).square().mean()
    _, gate = strategy.judged(far, one.x_real, one.y_syn, draws)
    torch.testing.assert_close(gate, (usual / moved).clamp(max=1), atol=1e-4, rtol=1e-3)
    assert gate.max() < 0.5


def test_the_gate_falls_where_the_step_leads_synthetic_images_away():
    one = batch()
    near, wrong = one.y_syn * 0.9 + 0.05, one.y_syn * 0.6 + 0.2  # off by 0.1 and by 0.4 of the distance to grey
    strategy = model(Sees(torch.cat([wrong, one.x_real])))
    draws = strategy.draw(one.y_syn, torch.Generator().manual_seed(0))
    _, gate = strategy.judged(near, one.x_real, one.y_syn, draws)
    torch.testing.assert_close(gate, torch.full((4,), 1 / 16), atol=1e-4, rtol=1e-3)


def test_agreement_compares_the_variance_of_the_draws():
    """Sees gives the same at every draw: nothing disagrees. Line's draws differ alike in both domains."""
    one = batch()
    strategy = model(Sees(torch.cat([one.y_syn, one.x_real])), gate="agreement")
    draws = strategy.draw(one.y_syn, torch.Generator().manual_seed(0))
    assert strategy.judged(one.y_syn, one.x_real, one.y_syn, draws)[1].min() > 0.99
    strategy.denoiser.network = Line(slope=0.0, lean=0.0)  # y_hat = y_t / sqrt(alpha_bar): all of the noise is left
    _, gate = strategy.judged(one.y_syn, one.x_real, one.y_syn, draws)
    ratio = (1 - draws.alpha_bar_step) / draws.alpha_bar_step / 4
    spread = ratio * draws.eps_step.var(dim=1, unbiased=False).flatten(1).mean(dim=1)
    torch.testing.assert_close(gate, (spread.mean() / spread).clamp(max=1), atol=1e-3, rtol=1e-3)
    assert gate.min() < 0.9


def test_one_draw_cannot_agree():
    with pytest.raises(UserError, match=r"--pseudo_targets\.draws must be at least 2, not 1"):
        model(gate="agreement", draws=1)
    assert model(draws=1).settings.gate == "truth"


def test_trust_is_never_more_than_one_nor_without_a_value():
    nothing = torch.zeros(2)
    torch.testing.assert_close(trust(nothing, torch.tensor([0.0, 1e-9, 1.0])), torch.tensor([1.0, 1.0, 1e-8]))
    assert torch.equal(trust(torch.ones(2), nothing), torch.ones(2))


def test_errors_move_the_one_network_that_they_are_of():
    strategy, one = model(ramp=0.0, start=0.0), replace(batch(), progress=0.5)
    terms = measured(strategy, one)
    for term, network, other in (
        ("pseudo_target", strategy.restorer, strategy.denoiser),
        ("noise", strategy.denoiser, strategy.restorer),
        ("restoration", strategy.restorer, strategy.denoiser),
    ):
        assert size(gradients(terms.errors[term].sum(), network)) > 0, term
        assert size(gradients(terms.errors[term].sum(), other)) == 0, term
    assert not terms.errors["gate"].requires_grad


def test_the_error_is_weighed_by_the_gate_and_against_a_constant():
    strategy, one = model(), replace(batch(), progress=1.0)
    draws = strategy.draw(one.y_syn, torch.Generator().manual_seed(0))
    terms = strategy(one, draws)
    restored_syn, restored_real = strategy.restorer.restore_jointly(one.x_syn, one.x_real)
    target, gate = strategy.judged(restored_syn, restored_real, one.y_syn, draws)
    assert 0 < gate.min() < 1
    torch.testing.assert_close(terms.errors["gate"], gate)
    torch.testing.assert_close(terms.errors["pseudo_target"], gate * charbonnier(restored_real, target))


def test_real_images_are_looked_at_late():
    strategy, one = model(start=0.5), batch()
    terms = measured(strategy, replace(one, x_real=None, progress=0.49))
    assert set(terms.errors) == {"restoration", "noise"}
    assert set(strategy.weights(0.49)) == {"restoration", "noise"}
    assert strategy.real_from == 0.5
    terms = measured(strategy, replace(one, progress=0.5))
    assert {"pseudo_target", "gate"} < set(terms.errors)
    assert strategy.weights(0.5)["pseudo_target"] == 0.0
    assert strategy.weights(1.0)["pseudo_target"] == pytest.approx(0.98661429815)
    assert "gate" not in strategy.weights(1.0)
    assert not measured(strategy, replace(one, progress=0.9)).restored_real.requires_grad


def test_a_predictor_learns_beside_the_restorer():
    network = NoisePredictor(channels=3, conditions=1, width=8, channel_mults=(1,), blocks=1, patch_size=2, dropout=0.0)
    history = overfit(model(network, start=0.0), steps=20)
    assert history["noise"][-1] < 0.9 * history["noise"][0]
    assert history["restoration"][-1] < history["restoration"][0]


@pytest.mark.parametrize("shape", [(10,), (6, 10), (4, 6, 2)])
@pytest.mark.parametrize("gate", ["truth", "agreement", "off"])
def test_any_rank_is_what_its_flattened_places_are(shape, gate):
    strategy = model(gate=gate)
    restored_syn, restored_real, y_syn = torch.rand(3, 2, 3, *shape)
    draws = strategy.draw(y_syn, torch.Generator().manual_seed(0))
    whole, trusted = strategy.judged(restored_syn, restored_real, y_syn, draws)
    rows = replace(draws, eps=draws.eps.flatten(2), eps_step=draws.eps_step.flatten(3))
    flat = (images.flatten(2) for images in (restored_syn, restored_real, y_syn))
    row, gate_of_row = strategy.judged(*flat, rows)
    torch.testing.assert_close(whole.flatten(2), row)
    torch.testing.assert_close(trusted, gate_of_row)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_step_on_signals_of_any_rank(dims):
    torch.manual_seed(0)
    network = UNet(width=4, depth=2, channels=1, dims=dims)
    predictor = NoisePredictor(
        channels=1, conditions=1, width=8, channel_mults=(1, 2), blocks=1, patch_size=2, dims=dims
    )
    move(network, predictor)
    strategy = PseudoTargets(network, Denoiser(predictor), PseudoTargetsSettings())
    one = Batch(*(torch.rand(2, 1, *(8,) * dims) for _ in range(3)), None, (), progress=1.0)
    terms = measured(strategy, one)
    assert terms.restored_real.shape == one.x_real.shape
    strategy.losses(terms, 1.0)["loss"].backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in strategy.parameters())
