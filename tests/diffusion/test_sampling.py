"""DDIM against its closed forms: it ends at a point, and where the flow of a Gaussian ends."""

import pytest
import torch
from torch import nn

from noiseda.diffusion import Denoiser, Schedule
from noiseda.diffusion.sampling import ddim, spaced


def wide(level, y_t):
    return (level / 1000).reshape(-1, *(1,) * (y_t.ndim - 1))


class Point(nn.Module):
    """The perfect predictor where all signals are the first condition."""

    def forward(self, y_t, conditions, level):
        alpha_bar = wide(level, y_t)
        return (y_t - alpha_bar.sqrt() * conditions[0]) / (1 - alpha_bar).sqrt()


class Gaussian(nn.Module):
    """The perfect predictor of signals whose values are independent, N(mean, deviation^2) in [-1, 1]'s units."""

    def __init__(self, mean, deviation):
        super().__init__()
        self.mean, self.deviation = mean, deviation

    def forward(self, y_t, conditions, level):
        alpha_bar = wide(level, y_t)
        variance = alpha_bar * self.deviation**2 + 1 - alpha_bar
        return (1 - alpha_bar).sqrt() * (y_t - alpha_bar.sqrt() * self.mean) / variance


@pytest.mark.parametrize("clamp", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 20])
@pytest.mark.parametrize("spatial", [(12,), (6, 8), (4, 2, 6)])
def test_it_ends_at_the_point_that_a_perfect_predictor_knows(spatial, steps, clamp):
    point, noise = torch.rand(2, 3, *spatial), torch.randn(2, 3, *spatial)
    levels = spaced(Schedule("linear").alpha_bar, steps)
    found = ddim(Denoiser(Point()), (point, 1 - point), noise, levels, clamp=clamp)
    torch.testing.assert_close(found, point, rtol=0, atol=2e-4)


def test_it_follows_the_flow_of_a_gaussian():
    mean, deviation = 0.3, 0.2
    noise = torch.randn(4, 3, 5, 5)
    levels = spaced(Schedule("linear").alpha_bar, 999)
    found = ddim(Denoiser(Gaussian(mean, deviation)), (), noise, levels, clamp=False)
    first = levels[0].float()
    score = (noise - first.sqrt() * mean) / (first * deviation**2 + 1 - first).sqrt()  # is kept along the flow
    torch.testing.assert_close(2 * found - 1, mean + deviation * score, rtol=0, atol=0.01)
    coarse = ddim(Denoiser(Gaussian(mean, deviation)), (), noise, spaced(Schedule("linear").alpha_bar, 10), clamp=False)
    assert (2 * coarse - 1 - mean - deviation * score).abs().max() > 0.02  # the closed form is met by small steps


def test_a_step_is_equation_12():
    mean, deviation = -0.1, 0.5
    noise, levels = torch.randn(1, 1, 4, 4), torch.tensor([0.1, 0.6, 1.0])
    y = noise
    for now, after in ((0.1, 0.6), (0.6, 1.0)):
        eps = (1 - now) ** 0.5 * (y - now**0.5 * mean) / (now * deviation**2 + 1 - now)
        y = after**0.5 * (y - (1 - now) ** 0.5 * eps) / now**0.5 + (1 - after) ** 0.5 * eps
    found = ddim(Denoiser(Gaussian(mean, deviation)), (), noise, levels, clamp=False)
    torch.testing.assert_close(found, (y + 1) / 2)


def test_clamped_signals_are_images_whatever_the_predictor_says():
    class Wild(nn.Module):
        def forward(self, y_t, conditions, level):
            return 30 * y_t

    noise = torch.randn(2, 3, 8, 8)
    found = ddim(Denoiser(Wild()), (), noise, spaced(Schedule("cosine").alpha_bar, 7))
    assert found.isfinite().all()
    assert 0 <= found.min() <= found.max() <= 1
    assert found.requires_grad is False


@pytest.mark.parametrize("name", ["linear", "cosine", "quadratic", "sigmoid"])
@pytest.mark.parametrize("steps", [1, 20, 50, 999])
def test_levels_rise_from_the_noisiest_to_none(name, steps):
    schedule = Schedule(name)
    levels = spaced(schedule.alpha_bar, steps)
    assert len(levels) == steps + 1
    assert levels[0] == schedule.alpha_bar[999]
    assert levels[-1] == 1
    assert (levels.diff() > 0).all()


@pytest.mark.parametrize("steps", [0, 1000])
def test_other_numbers_of_steps_are_refused(steps):
    with pytest.raises(ValueError, match="steps must be at least 1 and at most 999"):
        spaced(Schedule().alpha_bar, steps)
