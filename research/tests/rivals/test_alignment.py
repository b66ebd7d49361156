"""Distances of feature distributions: equal to plain loops and to numpy, and felt by the restorer on both domains."""

import math

import numpy as np
import pytest
import torch

from noiseda_research.rivals.alignment import Alignment, coral, mmd
from tests.adaptation.examples import batch, felt, overfit, restorer


def loops(a, b, kernels):
    """The biased estimate of MMD^2 over every pair, one at a time."""
    both = [row.tolist() for row in (*a, *b)]
    squared = [[sum((x - y) ** 2 for x, y in zip(p, q, strict=True)) for q in both] for p in both]
    scale = sum(map(sum, squared)) / len(both) ** 2

    def k(i, j):
        widths = [2.0**u * scale for u in range(-(kernels // 2), kernels - kernels // 2)]
        return sum(math.exp(-squared[i][j] / width) for width in widths) / kernels

    def mean(rows, columns):
        return sum(k(i, j) for i in rows for j in columns) / (len(rows) * len(columns))

    mine, theirs = range(len(a)), range(len(a), len(both))
    return mean(mine, mine) + mean(theirs, theirs) - 2 * mean(mine, theirs)


@pytest.mark.parametrize("kernels", [1, 4, 5])
@pytest.mark.parametrize(("n", "m"), [(7, 5), (1, 1)])
def test_mmd_is_that_of_a_double_loop(kernels, n, m):
    g = torch.Generator().manual_seed(kernels)
    a, b = torch.randn(n, 4, generator=g), 1 + 2 * torch.randn(m, 4, generator=g)
    assert mmd(a, b, kernels=kernels).item() == pytest.approx(loops(a, b, kernels), abs=1e-5)


def test_mmd_is_zero_for_equal_samples_and_grows_with_their_distance():
    a = torch.randn(40, 6)
    distances = [mmd(a, a + shift).item() for shift in (0.0, 0.5, 1.0, 2.0)]
    assert distances[0] == pytest.approx(0, abs=1e-5)
    assert distances == sorted(distances)
    assert distances[-1] < 2
    torch.testing.assert_close(mmd(10 * a, 10 * a + 5), mmd(a, a + 0.5))  # the kernels' width follows the samples


def test_coral_is_that_of_numpys_covariances():
    a, b = torch.randn(9, 5), 3 * torch.randn(12, 5) + 1
    of_a, of_b = (np.cov(rows.numpy(), rowvar=False) for rows in (a, b))
    scale = np.concatenate([np.diag(of_a), np.diag(of_b)]).mean()
    expected = np.linalg.norm((of_a - of_b) / scale) ** 2 / (4 * 5**2)
    assert coral(a, b).item() == pytest.approx(expected, rel=1e-4)
    assert coral(0.01 * a, 0.01 * b).item() == pytest.approx(expected, rel=1e-4)
    assert coral(a, a + 4).item() == pytest.approx(0, abs=1e-9)  # it does not see means


@pytest.mark.parametrize("distance", [mmd, coral])
def test_one_sample_and_equal_samples_have_finite_gradients(distance):
    for a in (torch.zeros(1, 3), torch.ones(4, 3), torch.randn(1, 3)):
        rows = a.clone().requires_grad_()
        value = distance(rows, a)
        value.backward()
        assert value.isfinite()
        assert rows.grad.isfinite().all()


def strategy(distance, weight=1.0):
    return Alignment(restorer(), distance, weight=weight, steepness=10.0, grid=4)


@pytest.mark.parametrize("distance", [mmd, coral])
def test_the_distance_is_felt_at_every_image_of_both_domains(distance):
    pulls = felt(strategy(distance), "distance")
    assert pulls.shape == (8,)
    assert (pulls > 0).all()


@pytest.mark.parametrize("distance", [mmd, coral])
def test_it_is_of_the_features_and_repeated_for_each_sample(distance):
    model, one = strategy(distance), batch()
    errors = model(one, None).errors
    assert (errors["distance"] == errors["distance"][0]).all()
    assert errors["distance"].shape == errors["restoration"].shape == (4,)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(one, None).errors["distance"]
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, errors["distance"], rtol=0.1, atol=1e-3)


@pytest.mark.parametrize(("distance", "weight"), [(mmd, 1.0), (coral, 10.0)])
def test_training_brings_the_domains_together(distance, weight):
    history = overfit(strategy(distance, weight))
    assert history["distance"][-1] < 0.5 * history["distance"][0]
    assert history["loss"][-1] < history["loss"][0]


def test_the_weight_rises_from_zero():
    model = strategy(mmd, weight=0.5)
    terms = model(batch(), None)
    start, end = model.losses(terms, 0.0), model.losses(terms, 1.0)
    assert start["loss"] == start["restoration"]
    torch.testing.assert_close(end["loss"], end["restoration"] + 0.5 * end["distance"], rtol=1e-3, atol=0)
