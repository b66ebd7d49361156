"""How often each degradation occurs among photographs, found from looks that are made up and whose truth is known."""

import math
from statistics import median

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_t

from noiseda.estimation import empirical_bayes as populations
from noiseda.estimation.empirical_bayes import DRAWS, Likelihood, nearest, occurring, strengths

RANGES = {"mild": (1.0, 100.0), "rough": (10.0, 1000.0)}


def looks(kind: str, strength: list[float], seed: int = 0) -> torch.Tensor:
    """Three figures: strength, a mark of the candidate, and nothing; each but the last hard to see."""
    log, scatter = torch.tensor(strength).log(), torch.randn(len(strength), 3, generator=generator(seed))
    mark = torch.full_like(log, 1.0 if kind == "rough" else 0.0)
    return torch.stack([log / 2, mark, torch.zeros_like(log)], dim=1) + scatter * torch.tensor([0.6, 0.7, 1.0])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def simulated(count: int = 200) -> tuple[list[tuple[str, float]], torch.Tensor]:
    rows, seen = [], []
    for seed, (kind, (low, high)) in enumerate(RANGES.items(), start=1):
        drawn = [low * (high / low) ** share for share in torch.rand(count, generator=generator(seed)).tolist()]
        rows += [(kind, strength) for strength in drawn]
        seen.append(looks(kind, drawn, seed + 10))
    return rows, torch.cat(seen)


def test_together_photographs_tell_what_one_of_them_does_not() -> None:
    rows, known = simulated()
    truth = [30.0 * 2 ** (index / 59) for index in range(60)]  # an octave
    found, _ = occurring(looks("rough", truth), known, rows, RANGES)
    assert len(found) == 60 * DRAWS
    rough = sorted(strength for kind, strength in found if kind == "rough")
    assert len(rough) > 0.8 * 300
    assert median(rough) == pytest.approx(median(truth), rel=0.3)
    assert rough[-30] / rough[30] < 8  # of a range of 100
    alone, _ = occurring(looks("rough", truth)[:1], known, rows, RANGES)
    assert sum(kind == "rough" for kind, _ in alone) < 0.3 * len(alone)  # it happens to look mild


def test_two_kinds_of_photographs_stay_two() -> None:
    rows, known = simulated()
    mixed = torch.cat([looks("rough", [600.0] * 20, 3), looks("mild", [3.0] * 40, 4)])
    found, _ = occurring(mixed, known, rows, RANGES)
    mild = [strength for kind, strength in found if kind == "mild"]
    assert len(mild) == pytest.approx(200, abs=20)
    assert median(mild) == pytest.approx(3, rel=0.4)


def test_what_looks_like_nothing_simulated_is_reported_by_its_nearest() -> None:
    rows, known = simulated()
    strange = looks("rough", [100.0] * 20) + torch.tensor([0.0, 0.0, 8.0])
    found, alike = occurring(strange, known, rows, RANGES)
    assert not alike
    spread = known.std(dim=0)
    assert found == nearest(strange / spread, known / spread, rows)
    assert set(found) <= set(rows)
    usual, alike = occurring(looks("rough", [100.0] * 20), known, rows, RANGES)
    assert alike
    assert not set(usual) <= set(rows)


def test_the_nearest_are_reported_by_what_a_photograph_has() -> None:
    known = torch.tensor([[0.0, 0.0], [0.0, 1.0], [9.0, 0.0], [0.2, 5.0], [0.1, 5.0], [0.3, 5.0], [0.4, 5.0]])
    rows = [(str(index), 1.0) for index in range(len(known))]
    found = nearest(torch.tensor([[0.0, 0.9], [torch.nan, 0.1]]), known, rows)
    assert [kind for kind, _ in found[:DRAWS]] == ["1", "0", "4", "3", "5"]
    assert {kind for kind, _ in found[DRAWS : DRAWS + 2]} == {"0", "2"}


def test_what_a_photograph_lacks_tells_nothing() -> None:
    rows, known = simulated()
    seen = looks("rough", [100.0] * 30)
    lacking = seen.clone()
    lacking[:15, 2] = torch.nan  # the figure that tells nothing
    with_it, without = (occurring(each, known, rows, RANGES)[0] for each in (seen, lacking))
    shares = [sum(kind == "rough" for kind, _ in found) / len(found) for found in (with_it, without)]
    assert shares[0] == pytest.approx(shares[1], abs=0.03)


def test_the_likelihood_is_students() -> None:
    """Against scipy's distribution about a polynomial fitted by numpy."""
    rows, known = simulated()
    seen = looks("mild", [5.0, 50.0])
    found, apart = Likelihood(known, rows, RANGES)(seen)
    expected, distances = [], []
    for kind, (low, high) in RANGES.items():
        own = [index for index, (name, _) in enumerate(rows) if name == kind]

        def place(values: list[float], low: float = low, high: float = high) -> np.ndarray:
            logs = 2 * (np.log(values) - math.log(low)) / (math.log(high) - math.log(low)) - 1
            return np.vander(logs, populations.DEGREE + 1, increasing=True)

        terms = place([rows[index][1] for index in own])
        here = known[own].double().numpy()
        slopes = np.linalg.lstsq(terms, here, rcond=None)[0]
        rest = here - terms @ slopes
        shape = (rest.T @ rest + np.eye(3)) / (len(own) + 1)
        means = place(strengths((low, high))) @ slopes
        distances += [[float((x - mean) @ np.linalg.inv(shape) @ (x - mean)) for x in seen.numpy()] for mean in means]
        logs = [multivariate_t(mean, shape, df=populations.FREEDOM).logpdf(seen.numpy()) for mean in means]
        expected.append(np.stack(logs, axis=1))
    # Up to a constant that all share.
    assert np.ptp(found.double().numpy() - np.concatenate(expected, axis=1)) < 1e-2
    np.testing.assert_allclose(apart, np.min(distances, axis=0), rtol=1e-2)
    assert found.shape == (2, 2 * populations.LEVELS)


def test_few_simulations_do_not_break_it() -> None:
    rows, known = simulated(3)
    found, _ = occurring(looks("rough", [100.0]), known, rows, RANGES)
    assert len(found) == DRAWS
    assert all(RANGES[kind][0] <= strength <= RANGES[kind][1] * 1.001 for kind, strength in found)


def test_grey_photographs_tell_by_what_grey_ones_have() -> None:
    rows, known = simulated()
    grey, seen = known.clone(), looks("rough", [100.0] * 30)
    grey[:, 2] = torch.nan
    found, alike = occurring(seen, grey, rows, RANGES)
    assert alike
    expected, _ = occurring(seen[:, :2], known[:, :2], rows, RANGES)
    assert found == expected
    mixed = known.clone()
    mixed[::2, 2] = torch.nan  # half of the clean photographs are grey
    found, _ = occurring(seen, mixed, rows, RANGES)
    assert sum(kind == "rough" for kind, _ in found) > 0.7 * len(found)


def test_a_candidate_of_which_nothing_could_be_looked_at_is_not_found() -> None:
    rows, known = simulated()
    found, alike = occurring(looks("rough", [100.0] * 30), known, rows, RANGES | {"other": (1.0, 10.0)})
    assert alike
    assert {kind for kind, _ in found} <= set(RANGES)
