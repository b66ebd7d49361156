"""Cycle-consistent adaptation: what each network learns from, and that translations come to look like their domain."""

import pytest
import torch

from noiseda_research.rivals.cycada import CycleAdaptation
from noiseda_research.rivals.settings import CycadaSettings
from tests.adaptation.examples import batch, felt, gradients, move, overfit, restorer, size


def strategy(**settings):
    model = CycleAdaptation(restorer(), CycadaSettings(**{"width": 8, "blocks": 1, "discriminator": 4, **settings}))
    move(model.to_real, model.to_syn)
    return model


def test_each_network_learns_from_its_own_terms():
    model = strategy()
    values = model.losses(model(batch(), None), 1.0)
    networks = {name: network for name, network in model.named_children() if name != "restorer"}
    networks |= {"encoder": model.restorer.down}
    learners = {
        term: {name for name, network in networks.items() if size(gradients(values[term], network)) > 0}
        for term in values
        if term != "loss"
    }
    generators = {"to_real", "to_syn"}
    assert learners == {
        "restoration": {"encoder"},
        "translated": {"encoder"},
        "deceiving": generators,
        "discriminator": {"discriminator_real", "discriminator_syn"},
        "cycle": generators,
        "generators": generators,
        "semantic": generators,
        "domain": {"classifier"},
        "reversed": {"encoder"},
    }


def test_the_restorer_feels_every_translated_image_and_real_ones_through_the_classifier():
    syn, translated, real = felt(strategy(), "translated").chunk(3)
    assert (translated > 0).all()
    assert (syn == 0).all()
    assert (real == 0).all()
    syn, translated, real = felt(strategy(), "reversed").chunk(3)
    assert (translated > 0).all()
    assert (real > 0).all()
    assert (syn == 0).all()


def test_untrained_generators_translate_nothing_so_that_nothing_is_lost():
    model = CycleAdaptation(restorer(), CycadaSettings(width=8, blocks=1, discriminator=4))
    errors = model(batch(), None).errors
    assert errors["cycle"].max() == 0
    torch.testing.assert_close(errors["semantic"], torch.full((4,), 2e-3))  # Charbonnier's least, both ways
    torch.testing.assert_close(errors["translated"], errors["restoration"])


def test_the_loss_is_the_weighted_sum():
    weights = {"deceiving": 0.3, "cycle": 0.5, "semantic": 0.7}
    for feature in (0.0, 0.2):
        model = strategy(adversarial=0.3, cycle=0.5, semantic=0.7, feature=feature, ramp=0.0)
        values = model.losses(model(batch(), None), 0.5)
        expected = values["restoration"] + values["translated"] + values["discriminator"]
        expected = expected + sum(weight * values[name] for name, weight in weights.items())
        assert ("domain" in values) == (model.classifier is not None) == (feature > 0)
        if feature:
            expected = expected + values["domain"] - feature * values["reversed"]
        torch.testing.assert_close(values["loss"], expected)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["least-squares", "hinge", "logistic"])
def test_the_discriminators_learn_to_tell_and_then_the_generators_to_deceive(form):
    """One after the other, which has an outcome."""
    model = strategy(form=form)
    told = overfit(model, 30, term="discriminator")["discriminator"]
    assert told[-1] < 0.8 * told[0]
    deceived = overfit(model, 30, term="deceiving")["deceiving"]
    assert deceived[-1] < deceived[0] - 0.1


@pytest.mark.parametrize("term", ["cycle", "semantic"])
def test_the_generators_learn_to_keep_the_image(term):
    errors = overfit(strategy(), 40, term=term)[term]
    assert errors[-1] < 0.5 * errors[0]


def test_the_restorer_learns_while_all_do():
    history = overfit(strategy(), 40)
    for term in ("restoration", "translated"):
        assert history[term][-1] < history[term][0]
