"""Weights by level against the formulas of their papers, on the clean signal's error, for each prediction."""

import pytest
import torch

from noiseda.diffusion import PREDICTIONS, WEIGHTINGS, add_noise
from noiseda.diffusion.weighting import P2, MinSnr

LEVELS = torch.tensor([0.9999, 0.95, 0.7, 0.2, 0.01], dtype=torch.float64)
SNR = LEVELS / (1 - LEVELS)
ON_CLEAN = {
    ("uniform", "eps"): SNR,
    ("uniform", "v"): SNR + 1,
    ("uniform", "clean"): torch.ones(5, dtype=torch.float64),
    **{("min-snr", name): torch.tensor([min(snr, 5.0) for snr in SNR.tolist()]).double() for name in PREDICTIONS},
    **{("p2", name): SNR / (1 + SNR) for name in PREDICTIONS},
}
"""Weight of the squared error of the clean signal, by weighting and prediction."""


def errors(name, answer_seed=2):
    """Squared errors of noise, of the clean signal and of the answer itself, for one wrong answer."""
    g = torch.Generator().manual_seed(answer_seed)
    y, eps, answer = (torch.randn(5, 3, 4, 4, generator=g, dtype=torch.float64) for _ in range(3))
    prediction, y_t = PREDICTIONS[name], add_noise(y, eps, LEVELS)
    pairs = (
        (prediction.eps(y_t, answer, LEVELS), eps),
        (prediction.clean(y_t, answer, LEVELS), y),
        (answer, prediction.target(y, eps, LEVELS)),
    )
    return [(found - wanted).square().flatten(1).mean(dim=1) for found, wanted in pairs]


@pytest.mark.parametrize(("weighting", "name"), ON_CLEAN)
def test_a_weighted_noise_error_is_the_papers_weight_of_the_clean_error(weighting, name):
    of_eps, of_clean, _ = errors(name)
    found = WEIGHTINGS[weighting](LEVELS, PREDICTIONS[name]) * of_eps
    torch.testing.assert_close(found, ON_CLEAN[weighting, name] * of_clean, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", PREDICTIONS)
def test_uniform_is_the_plain_error_of_what_is_predicted(name):
    of_eps, _, own = errors(name)
    torch.testing.assert_close(WEIGHTINGS["uniform"](LEVELS, PREDICTIONS[name]) * of_eps, own)


def test_uniform_leaves_the_papers_noise_error_as_it_is():
    assert torch.equal(WEIGHTINGS["uniform"](LEVELS.float(), PREDICTIONS["eps"]), torch.ones(5))


@pytest.mark.parametrize("name", PREDICTIONS)
def test_min_snr_is_its_table(name):
    """arXiv 2303.09556: min(SNR, g) / SNR of the error of eps, min(SNR, g) / (SNR + 1) of v, min(SNR, g) of x_0."""
    of_eps, _, own = errors(name)
    capped = SNR.clamp(max=3.0)
    on_own = {"eps": capped / SNR, "v": capped / (SNR + 1), "clean": capped}[name]
    torch.testing.assert_close(MinSnr(3.0)(LEVELS, PREDICTIONS[name]) * of_eps, on_own * own, rtol=1e-6, atol=0)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("k", [0.5, 1.0])
def test_p2_is_its_formula(k, power):
    found = P2(k, power)(LEVELS, PREDICTIONS["eps"])
    torch.testing.assert_close(found, torch.tensor([1 / (k + snr) ** power for snr in SNR.tolist()]).double())


@pytest.mark.parametrize("name", PREDICTIONS)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weights_are_finite_at_the_ends(weighting, name):
    ends = torch.tensor([1.0, 1 - 2**-24, 1e-9])
    found = WEIGHTINGS[weighting](ends, PREDICTIONS[name])
    assert found.shape == (3,)
    assert found.isfinite().all()
    assert (found >= 0).all()
