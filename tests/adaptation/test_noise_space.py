"""The objective: equal to a plain transcription of the paper, and doing what the paper says it does."""

import pytest
import torch
from torch import nn

from noiseda.adaptation import NoiseSpace
from noiseda.adaptation.noise_space import NoiseDraws
from noiseda.config import ObjectiveSettings
from noiseda.data.batches import Batch
from noiseda.diffusion import Denoiser, NoisePredictor
from noiseda.diffusion.layers import Dropout
from noiseda.restoration import UNet
from tests.diffusion.stacked import Stacked
from tests.reference import paper

B, P = 4, 16


def networks(seed=0):
    """A restorer and a predictor whose zero-initialised parts were moved, so that gradients flow."""
    torch.manual_seed(seed)
    restorer = UNet(width=4, depth=2)
    predictor = NoisePredictor(width=8, channel_mults=(1, 2), blocks=1, patch_size=2, attention=True, dropout=0.0)
    with torch.no_grad():
        for parameter in [*restorer.parameters(), *predictor.parameters()]:
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return restorer, predictor


def batch(seed=1, reference=False):
    g = torch.Generator().manual_seed(seed)
    images = [torch.rand(B, 3, P, P, generator=g) for _ in range(4)]
    return Batch(images[0], images[1], images[2], images[3] if reference else None, ("a.png",))


def strategy(seed=0, reference=False, **settings):
    restorer, predictor = networks(seed)
    return NoiseSpace(restorer, Denoiser(predictor), ObjectiveSettings(**settings), reference=reference)


def loss(model, one, draws, progress=0.5):
    return model.losses(model(one, draws), progress)["loss"]


@pytest.mark.parametrize("margin", [0.1, 0.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_objective_is_the_papers(seed, margin):
    model, one = strategy(seed, margin=margin), batch(seed)
    draws = model.draw(one.y_syn, torch.Generator().manual_seed(seed))
    swap, swap_negative = draws.order[:, 0] == 3, draws.order_swapped[:, 0] == 3

    expected = paper.algorithm_1(
        lambda x: model.restorer(x[None])[0],
        lambda x, a_bar: Stacked(model.denoiser.network)(x[None], 1000 * a_bar[None])[0],
        one.x_syn, one.y_syn, one.x_real, draws.eps, draws.alpha_bar, swap, swap_negative,
        progress=0.3, margin=margin,
    )  # fmt: skip
    found = loss(model, one, draws, 0.3)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)

    wanted = torch.autograd.grad(expected, list(model.parameters()))
    for mine, theirs in zip(torch.autograd.grad(found, list(model.parameters())), wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("contrast", [True, False])
def test_the_diffusion_term_reaches_the_restorer_through_real_images(contrast):
    model, one = strategy(contrast=contrast), batch()
    draws = model.draw(one.y_syn, torch.Generator().manual_seed(0))
    captured = []
    model.restorer.register_forward_hook(lambda _, __, out: captured.append(out) or out.retain_grad())
    terms = model(one, draws)
    model.losses(terms, 0.5)["diffusion"].backward()
    syn, real = captured[0].grad.chunk(2)
    assert real.abs().amax(dim=(1, 2, 3)).gt(0).all(), "every real image must be judged"
    assert syn.abs().amax(dim=(1, 2, 3)).gt(0).all()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.restorer.parameters())


def test_without_shuffling_a_predictor_that_ignores_the_real_condition_sends_it_no_gradient():
    model, one = strategy(shuffle="off", contrast=False), batch()
    with torch.no_grad():  # fold = 2: input channel c occupies columns 4c .. 4c + 3; the real condition is c = 6, 7, 8
        model.denoiser.network.first.weight[:, 24:] = 0
    captured = []
    model.restorer.register_forward_hook(lambda _, __, out: captured.append(out) or out.retain_grad())
    model.losses(model(one, model.draw(one.y_syn, torch.Generator())), 0.5)["diffusion"].backward()
    syn, real = captured[0].grad.chunk(2)
    assert real.abs().max() == 0
    assert syn.abs().max() > 0


def test_swapping_the_two_domains_leaves_the_shuffled_loss_distribution_unchanged():
    model = strategy()
    one = batch()
    restored = model.restorer(torch.cat([one.x_syn, one.x_real]))
    syn, real = restored.chunk(2)
    from noiseda.adaptation.permutation import shuffle

    # Each order and its swapped partner are equally likely (test_permutation), and give each other's conditions.
    g = torch.Generator().manual_seed(0)
    for _ in range(20):
        order = model.draw(one.y_syn, g).order
        partner = (order + 3) % 6
        assert all(map(torch.equal, shuffle(syn, real, order), shuffle(real, syn, partner)))


def test_detached_negatives_send_no_gradient_but_keep_the_value():
    one = batch()
    values, gradients = [], []
    for detach in (False, True):
        model = strategy(detach_negative=detach, margin=10.0)
        draws = model.draw(one.y_syn, torch.Generator().manual_seed(0))
        terms = model(one, draws)
        values.append(model.losses(terms, 0.5)["loss"].item())
        swapped = terms.errors["noise_swapped"].mean()
        gradients.append(torch.autograd.grad(swapped, list(model.restorer.parameters()), allow_unused=True))
    assert values[0] == pytest.approx(values[1], abs=1e-7)
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients[0])
    assert all(gradient is None or gradient.abs().sum() == 0 for gradient in gradients[1])


def test_the_unpaired_form_noises_the_reference_and_has_no_contrast():
    model, one = strategy(reference=True), batch(reference=True)
    draws = model.draw(one.y_syn, torch.Generator().manual_seed(0))
    terms = model(one, draws)
    assert set(terms.errors) == {"restoration", "noise"}
    losses = model.losses(terms, 1.0)
    assert losses["diffusion"] == losses["noise"]
    other = Batch(one.x_syn, one.y_syn, one.x_real, 1 - one.y_ref, one.files)
    assert not torch.equal(model(other, draws).errors["noise"], terms.errors["noise"])


def test_at_the_start_the_zero_initialised_predictor_predicts_nothing():
    restorer = UNet(width=4, depth=2)
    denoiser = Denoiser(NoisePredictor(width=8, channel_mults=(1, 2), blocks=1, patch_size=2))
    model = NoiseSpace(restorer, denoiser, ObjectiveSettings())
    one = batch()
    draws = model.draw(one.y_syn, torch.Generator().manual_seed(0))
    terms = model(one, draws)
    torch.testing.assert_close(terms.errors["noise"], draws.eps.square().flatten(1).mean(dim=1))
    assert model.losses(terms, 0.0)["contrast"].item() == pytest.approx(0.1)


def test_single_channel_images_are_served():
    torch.manual_seed(0)
    predictor = NoisePredictor(channels=1, width=8, channel_mults=(1,), blocks=1, patch_size=2)
    model = NoiseSpace(UNet(width=4, depth=2, channels=1), Denoiser(predictor), ObjectiveSettings(shuffle="channels"))
    grey = Batch(*(torch.rand(2, 1, P, P) for _ in range(3)), None, ())
    terms = model(grey, model.draw(grey.y_syn, torch.Generator()))
    assert terms.errors["noise"].shape == (2,)


def test_draws_are_a_function_of_the_generator():
    model, one = strategy(shuffle="channels"), batch()
    first, second = (model.draw(one.y_syn, torch.Generator().manual_seed(5)) for _ in range(2))
    assert isinstance(first, NoiseDraws)
    for name in ("eps", "alpha_bar", "order", "order_swapped"):
        assert torch.equal(getattr(first, name), getattr(second, name))
    assert not torch.equal(first.order, first.order_swapped), "positives and negatives have masks of their own"


def test_the_restorer_alone_is_shipped():
    model = strategy()
    shipped = set(model.restorer.state_dict())
    assert shipped
    assert not any("denoiser" in name or "predictor" in name for name in shipped)
    assert isinstance(model.restorer, nn.Module)


# -- what is left out because it would add nothing ---------------------------------------------------------------------


def test_an_inactive_hinge_costs_no_backward_pass_and_changes_nothing():
    """Margins below, between and above what the hinge needs: the loss and its gradients are those of all passes."""
    one = batch()
    for margin in (-5.0, 5.0, -5.0):
        lazy, eager = strategy(margin=margin), strategy(margin=margin)
        lazy._was_active, eager._was_active = False, True  # what each expects the hinge to be
        draws = lazy.draw(one.y_syn, torch.Generator().manual_seed(0))
        terms, wanted = lazy(one, draws), eager(one, draws)
        assert terms.errors["noise_swapped"].requires_grad == (margin > 0)
        losses, expected = (m.losses(t, 0.5)["loss"] for m, t in ((lazy, terms), (eager, wanted)))
        assert torch.equal(losses, expected)
        pairs = zip(gradients(losses, lazy), gradients(expected, eager), strict=True)
        assert all(torch.equal(mine, theirs) for mine, theirs in pairs)
        assert bool(lazy._was_active) == bool(eager._was_active) == (margin > 0)


def test_a_hinge_that_wakes_up_sees_the_same_dropout():
    one, noises = batch(), []
    for was_active in (True, False):
        model = strategy(margin=5.0)
        for module in model.modules():
            if isinstance(module, Dropout):
                module.rate = 0.5
        model._was_active = was_active
        torch.manual_seed(3)
        draws = model.draw(one.y_syn, torch.Generator().manual_seed(0))
        noises.append(model(one, draws).errors["noise_swapped"])
    assert torch.equal(*noises)


def test_recomputed_activations_give_the_same_gradients():
    one, found = batch(), []
    for wanted in (False, True):
        model = strategy()
        model.recompute(wanted)
        assert [m.recompute for m in model.modules() if isinstance(m, (UNet, NoisePredictor))] == [wanted, wanted]
        draws = model.draw(one.y_syn, torch.Generator().manual_seed(0))
        torch.manual_seed(0)
        found.append(gradients(loss(model, one, draws), model))
    assert all(torch.equal(kept, again) for kept, again in zip(*found, strict=True))


def gradients(value, model):
    return torch.autograd.grad(value, list(model.parameters()))


@pytest.mark.parametrize("domain", ["synthetic", "real"])
def test_one_condition_alone_guides_its_own_domain(domain):
    """Eq. 1 with a single condition; nothing is swapped, and only that domain's images receive the gradient."""
    torch.manual_seed(0)
    restorer, _ = networks()
    predictor = NoisePredictor(
        conditions=1, width=8, channel_mults=(1, 2), blocks=1, patch_size=2, attention=False, dropout=0.0
    )
    nn.init.normal_(predictor.last.weight, std=0.1)
    model = NoiseSpace(restorer, Denoiser(predictor), ObjectiveSettings(conditions=domain))
    one = batch()
    draws = model.draw(one.y_syn, torch.Generator().manual_seed(3))
    terms = model(one, draws)
    condition = restorer(one.x_syn if domain == "synthetic" else one.x_real)
    expected = model.denoiser.error(one.y_syn, (condition,), draws.eps, draws.alpha_bar)
    torch.testing.assert_close(terms.errors["noise"], expected)
    assert set(terms.errors) == {"restoration", "noise"}
    weights = list(restorer.parameters())
    found = torch.autograd.grad(terms.errors["noise"].mean(), weights)
    for a, b in zip(found, torch.autograd.grad(expected.mean(), weights), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)
