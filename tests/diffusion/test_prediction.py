"""What a network predicts, against closed forms in double precision, and the denoiser around each."""

import pytest
import torch
from torch import nn

from noiseda.diffusion import PREDICTIONS, Denoiser, add_noise
from noiseda.diffusion.prediction import CLEAN, EPS, V, snr
from noiseda.dims import append_dims

LEVELS = torch.tensor([0.999, 0.7, 0.2, 0.01], dtype=torch.float64)
EACH = pytest.mark.parametrize("prediction", PREDICTIONS.values(), ids=PREDICTIONS)
RANKS = pytest.mark.parametrize("spatial", [(5,), (3, 4), (2, 3, 2)])


def drawn(spatial=(3, 4), seed=0):
    """Clean signals in [-1, 1], noise, noised signals."""
    g = torch.Generator().manual_seed(seed)
    y = 2 * torch.rand(4, 2, *spatial, generator=g, dtype=torch.float64) - 1
    eps = torch.randn(y.shape, generator=g, dtype=torch.float64)
    return y, eps, add_noise(y, eps, LEVELS)


@RANKS
@EACH
def test_the_right_answer_gives_back_noise_and_clean_signal(prediction, spatial):
    y, eps, y_t = drawn(spatial)
    answer = prediction.target(y, eps, LEVELS)
    torch.testing.assert_close(prediction.eps(y_t, answer, LEVELS), eps)
    torch.testing.assert_close(prediction.clean(y_t, answer, LEVELS), y)


@EACH
def test_any_answer_is_the_target_of_what_it_speaks_of(prediction):
    """The way back, for wrong answers too: noise and clean signal of an answer make that answer, and y_t."""
    _, _, y_t = drawn()
    answer = torch.randn(y_t.shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    eps, clean = prediction.eps(y_t, answer, LEVELS), prediction.clean(y_t, answer, LEVELS)
    torch.testing.assert_close(prediction.target(clean, eps, LEVELS), answer)
    torch.testing.assert_close(add_noise(clean, eps, LEVELS), y_t)


def test_v_is_the_noise_turned_by_the_angle_of_the_level():
    """arXiv 2202.00512: with a = cos(phi), s = sin(phi), v is the derivative of y_t by phi."""
    y, eps, _ = drawn()
    phi = torch.arccos(LEVELS.sqrt())
    step = 1e-6
    ahead, behind = (add_noise(y, eps, torch.cos(phi + way * step).square()) for way in (1, -1))
    torch.testing.assert_close(V.target(y, eps, LEVELS), (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-6)


def test_targets_are_what_their_names_say():
    y, eps, _ = drawn()
    assert torch.equal(EPS.target(y, eps, LEVELS), eps)
    assert torch.equal(CLEAN.target(y, eps, LEVELS), y)
    assert {name: one.name for name, one in PREDICTIONS.items()} == {name: name for name in PREDICTIONS}


@EACH
def test_an_error_of_the_noise_is_as_large_as_its_share_says(prediction):
    y, eps, y_t = drawn()
    answer = torch.randn(y.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    own = (answer - prediction.target(y, eps, LEVELS)).square().flatten(1).mean(dim=1)
    of_eps = (prediction.eps(y_t, answer, LEVELS) - eps).square().flatten(1).mean(dim=1)
    of_clean = (prediction.clean(y_t, answer, LEVELS) - y).square().flatten(1).mean(dim=1)
    torch.testing.assert_close(own, prediction.share(LEVELS) * of_eps)
    torch.testing.assert_close(of_eps, snr(LEVELS) * of_clean)


@EACH
def test_no_level_makes_what_is_not_finite(prediction):
    level = torch.tensor([1.0, 1 - 2**-24, 1e-9, 1e-12])
    y, eps, _ = (one.float() for one in drawn())
    y_t, answer = add_noise(y, eps, level), torch.ones_like(y).requires_grad_()
    for value in (prediction.eps(y_t, answer, level), prediction.clean(y_t, answer, level)):
        assert value.isfinite().all()
        assert torch.autograd.grad(value.sum(), answer)[0].isfinite().all()
    assert prediction.share(level).isfinite().all()
    assert snr(level).isfinite().all()


class Knows(nn.Module):
    """Answers rightly, for it was given the truth; in half precision, to be measured in full."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, y_t, conditions, level):
        self.y_t, self.conditions, self.level = y_t, conditions, level
        return self.answer


@RANKS
@EACH
def test_a_denoiser_speaks_of_the_noise_whatever_its_network_predicts(prediction, spatial):
    y, eps, y_t = drawn(spatial)
    network = Knows(prediction.target(y, eps, LEVELS).float())
    denoiser = Denoiser(network, prediction)
    level, shown, condition = LEVELS.float(), ((y + 1) / 2).float(), torch.rand(y.shape)
    close = {"rtol": 1e-3, "atol": 1e-4}
    eps_hat = denoiser.predict(shown, (condition,), eps.float(), level)
    torch.testing.assert_close(eps_hat, eps.float(), **close)
    assert denoiser.error(shown, (condition,), eps.float(), level).max() < 1e-6
    torch.testing.assert_close(denoiser.clean(shown, (condition,), eps.float(), level), shown, **close)
    found = denoiser.denoise(y_t.float(), (condition,), level)
    for mine, wanted in zip(found, (eps.float(), shown), strict=True):
        torch.testing.assert_close(mine, wanted, **close)
    torch.testing.assert_close(network.y_t, y_t.float())
    torch.testing.assert_close(network.conditions[0], 2 * condition - 1)
    torch.testing.assert_close(network.level, 1000 * level)


@EACH
def test_the_gradient_of_each_estimate_reaches_the_conditions(prediction):
    network = nn.Module()
    network.forward = lambda y_t, conditions, level: y_t * conditions[0] * append_dims(level, 4) / 1000
    denoiser = Denoiser(network, prediction)
    y, eps, y_t = (one.float() for one in drawn())
    condition, level = torch.rand(y.shape).requires_grad_(), LEVELS.float()
    if prediction is not EPS:
        level = level.clamp(max=0.99)
    for value in (
        denoiser.predict(y, (condition,), eps, level),
        denoiser.clean(y, (condition,), eps, level),
        *denoiser.denoise(y_t, (condition,), level),
    ):
        (felt,) = torch.autograd.grad(value.sum(), condition, retain_graph=True)
        assert (felt.flatten(1).abs().amax(dim=1) > 0).all()


def test_a_network_that_answers_in_half_precision_is_read_in_full():
    y, eps, y_t = (one.float() for one in drawn())
    denoiser = Denoiser(Knows(V.target(y, eps, LEVELS.float()).bfloat16()), V)
    assert all(value.dtype is torch.float32 for value in denoiser.denoise(y_t, (), LEVELS.float()))
