"""The control: a discriminator of clean and restored images, and a restorer that deceives it."""

import pytest
import torch

from noiseda_research.rivals.critic import Critic
from noiseda_research.rivals.settings import CriticSettings
from tests.adaptation.examples import batch, felt, gradients, overfit, restorer, size


def strategy(**settings):
    return Critic(restorer(), CriticSettings(**{"width": 4, **settings}))


def test_each_network_learns_from_its_own_terms():
    model = strategy()
    values = model.losses(model(batch(), None), 1.0)
    assert size(gradients(values["deceiving"], model.restorer)) > 0
    assert size(gradients(values["deceiving"], model.discriminator)) == 0
    assert size(gradients(values["discriminator"], model.discriminator)) > 0
    assert size(gradients(values["discriminator"], model.restorer)) == 0
    assert size(gradients(values["restoration"], model.discriminator)) == 0


def test_deceiving_is_felt_at_every_real_image_and_at_no_other():
    syn, real = felt(strategy(), "deceiving").chunk(2)
    assert (real > 0).all()
    assert (syn == 0).all()


def test_the_loss_is_the_weighted_sum_and_the_weight_rises():
    model = strategy(weight=0.4)
    terms = model(batch(), None)
    for progress, weight in ((0.0, 0.0), (1.0, 0.4 * 0.98661)):
        values = model.losses(terms, progress)
        expected = values["restoration"] + weight * values["deceiving"] + values["discriminator"]
        torch.testing.assert_close(values["loss"], expected, rtol=1e-5, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["least-squares", "hinge", "logistic"])
def test_the_discriminator_learns_to_tell_and_then_the_restorer_to_deceive(form):
    """One after the other, which has an outcome; the real images are darker than the clean ones."""
    model, one = strategy(form=form), batch()
    told = overfit(model, 40, term="discriminator")["discriminator"]
    assert told[-1] < 0.8 * told[0]
    before = model.restorer(one.x_real).mean()
    deceived = overfit(model, 40, term="deceiving")["deceiving"]
    assert deceived[-1] < deceived[0] - 0.1
    assert model.restorer(one.x_real).mean() > before


def test_a_calm_run_has_a_discriminator_that_wins_and_a_restorer_that_learns():
    history = overfit(strategy(weight=0.0), 80)
    assert history["discriminator"][-1] < 0.5 * history["discriminator"][0]
    assert history["restoration"][-1] < history["restoration"][0]
    assert torch.tensor(history["loss"]).isfinite().all()
