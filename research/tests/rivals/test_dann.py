"""Gradient reversal on the restorer's features, whole: who learns what, and how strongly."""

import math

import pytest
import torch

from noiseda_research.rivals.dann import Dann
from noiseda_research.rivals.settings import DannSettings
from tests.adaptation.examples import batch, felt, gradients, overfit, restorer, size


def strategy(**settings):
    return Dann(restorer(), DannSettings(**{"width": 8, **settings}))


def test_the_classifier_descends_and_the_restorer_climbs():
    model = strategy(weight=0.5)
    values = model.losses(model(batch(), None), 1.0)
    assert size(gradients(values["domain"], model.restorer)) == 0
    assert size(gradients(values["reversed"], model.classifier)) == 0
    for mine, wanted in zip(
        gradients(values["loss"], model.classifier), gradients(values["domain"], model.classifier), strict=True
    ):
        assert torch.equal(mine, wanted)
    encoder = model.restorer.down
    strength = 0.5 * (2 / (1 + math.exp(-10)) - 1)
    for whole, task, against in zip(
        *(gradients(values[name], encoder) for name in ("loss", "restoration", "reversed")), strict=True
    ):
        torch.testing.assert_close(whole, task - strength * against)


def test_it_is_felt_at_every_image_of_both_domains():
    assert (felt(strategy(), "reversed") > 0).all()


def test_the_strength_rises_from_zero_as_in_the_paper():
    model = strategy(weight=1.0)
    terms = model(batch(), None)
    for progress in (0.0, 0.2, 1.0):
        values = model.losses(terms, progress)
        strength = 2 / (1 + math.exp(-10 * progress)) - 1
        expected = values["restoration"] + values["domain"] - strength * values["reversed"]
        torch.testing.assert_close(values["loss"], expected)


def test_alone_the_classifier_wins_and_the_restorer_can_confuse_it_again():
    """One after the other, which has an outcome."""
    model = strategy()
    domain = overfit(model, 80, rate=1e-2, term="domain")["domain"]
    assert domain[-1] < 0.55 < domain[0]
    optimizer = torch.optim.Adam(model.restorer.parameters(), lr=1e-2)
    raised = []
    for _ in range(20):
        values = model.losses(model(batch(), None), 1.0)
        optimizer.zero_grad()
        (-values["reversed"]).backward()
        optimizer.step()
        raised.append(values["reversed"].item())
    assert raised[-1] > raised[0] + 0.1


@pytest.mark.slow
def test_the_restorer_learns_while_both_do():
    history = overfit(strategy(), 60)
    assert history["restoration"][-1] < 0.9 * history["restoration"][0]
    assert torch.tensor(history["loss"]).isfinite().all()
