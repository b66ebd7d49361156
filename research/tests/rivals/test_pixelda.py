"""Pixel-level adaptation: what each network learns from, and that generated inputs come to look real."""

import pytest
import torch

from noiseda_research.rivals.pixelda import PixelAdaptation
from noiseda_research.rivals.settings import PixeldaSettings
from tests.adaptation.examples import batch, felt, gradients, move, overfit, restorer, size


def strategy(**settings):
    model = PixelAdaptation(restorer(), PixeldaSettings(**{"width": 8, "blocks": 1, "discriminator": 4, **settings}))
    move(model.generator)
    return model


def draws(model, one):
    return model.draw(one.y_syn, torch.Generator().manual_seed(0))


def test_each_network_learns_from_its_own_terms():
    model, one = strategy(), batch()
    values = model.losses(model(one, draws(model, one)), 0.5)
    networks = {"restorer": model.restorer, "generator": model.generator, "discriminator": model.discriminator}
    learners = {
        term: {name for name, network in networks.items() if size(gradients(values[term], network)) > 0}
        for term in ("restoration", "generated", "deceiving", "discriminator", "content")
    }
    assert learners == {
        "restoration": {"restorer"},
        "generated": {"restorer", "generator"},
        "deceiving": {"generator"},
        "discriminator": {"discriminator"},
        "content": {"generator"},
    }


def test_the_restorer_feels_every_generated_image():
    syn, generated = felt(strategy(), "generated").chunk(2)
    assert (generated > 0).all()
    assert (syn == 0).all()


def test_the_noise_is_uniform_and_matters():
    model, one = strategy(noise=2), batch()
    z = draws(model, one).noise
    assert z.shape == (4, 2, 16, 16)
    assert z.min() >= -1
    assert z.max() <= 1
    assert z.std().item() == pytest.approx(3**-0.5, abs=0.03)
    assert not torch.equal(model.generator(one.x_syn, z), model.generator(one.x_syn, -z))
    calm = strategy(noise=0)
    assert calm(one, draws(calm, one)).errors["content"].shape == (4,)


def test_the_loss_is_the_weighted_sum():
    model, one = strategy(adversarial=0.3, content=0.7), batch()
    values = model.losses(model(one, draws(model, one)), 0.5)
    expected = values["restoration"] + values["generated"] + values["discriminator"]
    torch.testing.assert_close(values["loss"], expected + 0.3 * values["deceiving"] + 0.7 * values["content"])


@pytest.mark.slow
@pytest.mark.parametrize("form", ["least-squares", "hinge", "logistic"])
def test_the_discriminator_learns_to_tell_and_then_the_generator_to_look_real(form):
    """One after the other, which has an outcome."""
    model = strategy(form=form)
    told = overfit(model, 40, term="discriminator")["discriminator"]
    assert told[-1] < 0.8 * told[0]
    deceived = overfit(model, 40, term="deceiving")["deceiving"]
    assert deceived[-1] < deceived[0] - 0.1


def test_the_restorer_learns_while_both_do():
    history = overfit(strategy(), 60)
    for term in ("restoration", "generated"):
        assert history[term][-1] < history[term][0]


@pytest.mark.slow
def test_a_heavy_content_term_keeps_the_image():
    loose, tight = (overfit(strategy(content=content), 40)["content"][-1] for content in (0.0, 100.0))
    assert tight < 0.5 * loose
