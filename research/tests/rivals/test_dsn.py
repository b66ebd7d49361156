"""Domain separation: closed forms of its terms, and what each of its networks learns from."""

import pytest
import torch

from noiseda_research.rivals.dsn import DomainSeparation, overlap
from noiseda_research.rivals.settings import DsnSettings
from tests.adaptation.examples import batch, felt, gradients, overfit, restorer, size


def strategy(**settings):
    return DomainSeparation(restorer(), DsnSettings(**{"width": 8, "blocks": 1, **settings}))


def test_orthogonal_subspaces_do_not_overlap_and_equal_ones_do():
    rows = torch.randn(50, 6)
    nothing = torch.zeros(50, 6)
    shared, private = torch.cat([rows, nothing], dim=1), torch.cat([nothing, rows.flip(0)], dim=1)
    assert overlap(shared, shared.clone()) > 0.1
    line = torch.arange(8.0)[:, None]
    torch.testing.assert_close(overlap(line, line), torch.tensor(1.0))  # one dimension: rows are 1 or -1
    # Centred columns a = (1, -1, 1, -1), b = (1, 1, -1, -1) are orthogonal over the samples.
    a, b = torch.tensor([1.0, -1, 1, -1])[:, None], torch.tensor([1.0, 1, -1, -1])[:, None]
    assert overlap(a, b) == 0
    assert private.shape == shared.shape


def test_the_overlap_is_that_of_a_plain_loop():
    shared, private = torch.randn(5, 3), torch.randn(5, 4)

    def unit(rows):
        centred = rows - rows.mean(dim=0)
        return centred / centred.square().sum(dim=1, keepdim=True).sqrt()

    s, p = unit(shared), unit(private)
    total = 0.0
    for k in range(3):
        for m in range(4):
            total += sum(float(s[n, k] * p[n, m]) for n in range(5)) ** 2
    assert overlap(shared, private).item() == pytest.approx(total / 25, rel=1e-4)
    assert 0 <= overlap(shared, private) <= 1


def test_a_single_sample_has_a_finite_gradient():
    rows = torch.randn(1, 3, requires_grad=True)
    overlap(rows, torch.randn(1, 3)).backward()
    assert rows.grad.isfinite().all()


def test_each_network_learns_from_its_own_terms():
    model = strategy()
    values = model.losses(model(batch(), None), 1.0)
    networks = {
        "encoder": model.restorer.down,
        "private_syn": model.private_syn,
        "private_real": model.private_real,
        "decoder": model.decoder,
        "classifier": model.classifier,
    }
    learners = {
        term: {name for name, network in networks.items() if size(gradients(values[term], network)) > 0}
        for term in ("restoration", "reconstruction", "difference", "domain", "reversed")
    }
    assert learners == {
        "restoration": {"encoder"},
        "reconstruction": {"encoder", "private_syn", "private_real", "decoder"},
        "difference": {"encoder", "private_syn", "private_real"},
        "domain": {"classifier"},
        "reversed": {"encoder"},
    }


@pytest.mark.parametrize("by", ["classifier", "mmd"])
def test_similarity_is_felt_at_every_image_of_both_domains(by):
    model = strategy(by=by)
    assert (felt(model, "reversed" if by == "classifier" else "distance") > 0).all()
    assert (model.classifier is None) == (by == "mmd")


@pytest.mark.parametrize("by", ["classifier", "mmd"])
def test_the_loss_is_the_weighted_sum(by):
    model = strategy(by=by, reconstruction=0.2, difference=0.3, similarity=0.4, ramp=0.0)
    values = model.losses(model(batch(), None), 0.5)
    similarity = values["domain"] - 0.4 * values["reversed"] if by == "classifier" else 0.4 * values["distance"]
    expected = values["restoration"] + 0.2 * values["reconstruction"] + 0.3 * values["difference"] + similarity
    torch.testing.assert_close(values["loss"], expected)


@pytest.mark.slow
def test_the_image_is_rebuilt_and_the_features_part():
    history = overfit(strategy(reconstruction=1.0, difference=1.0), 60)
    assert history["reconstruction"][-1] < 0.5 * history["reconstruction"][0]
    assert history["difference"][-1] < 0.8 * history["difference"][0]
    assert history["restoration"][-1] < history["restoration"][0]
