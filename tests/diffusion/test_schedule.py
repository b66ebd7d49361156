"""Schedules against their closed forms in plain Python, and the law of the random levels."""

import itertools
import math

import pytest
import torch

from noiseda.diffusion import Schedule
from noiseda.diffusion.schedule import SCHEDULES

NAMES = sorted(SCHEDULES)
DRAWS = 50_000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def products(beta):
    """Cumulative products of 1 - beta, from 1."""
    return list(itertools.accumulate((1.0 - b for b in beta), lambda a, b: a * b, initial=1.0))


def closed_form(name):
    steps = range(1000)
    if name == "linear":
        return products(1e-6 + (1e-2 - 1e-6) * i / 999 for i in steps)
    if name == "quadratic":
        return products((1e-3 + (0.1 - 1e-3) * i / 999) ** 2 for i in steps)
    if name == "constant":
        return [(1 - (1e-6 + 1e-2) / 2) ** t for t in range(1001)]
    if name == "cosine":
        angle = [(i / 1000 + 0.008) / 1.008 * math.pi / 2 for i in range(1001)]
        return [max(math.cos(a) ** 2 / math.cos(angle[0]) ** 2, 1e-9) for a in angle]
    curve = [1 / (1 + math.exp(-3 + 6 * i / 1000)) for i in range(1001)]
    return [max((c - curve[-1]) / (curve[0] - curve[-1]), 1e-9) for c in curve]


@pytest.mark.parametrize("name", NAMES)
def test_alpha_bar_is_its_closed_form(name):
    found = Schedule(name).alpha_bar
    assert found.dtype is torch.float64
    assert found.tolist() == pytest.approx(closed_form(name), rel=1e-10, abs=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_alpha_bar_falls_all_the_way_from_one_towards_zero(name):
    alpha_bar = Schedule(name).alpha_bar
    assert len(alpha_bar) == 1001
    assert alpha_bar[0] == 1
    assert (alpha_bar.diff() < 0).all()
    assert 0 < alpha_bar[-1] < 0.04


def test_the_linear_ends_are_the_papers():
    alpha_bar = Schedule().alpha_bar
    assert 1 - alpha_bar[1].item() == pytest.approx(1e-6, rel=1e-6)
    assert 1 - (alpha_bar[1000] / alpha_bar[999]).item() == pytest.approx(1e-2, rel=1e-9)
    # The sum of log(1 - beta) is about -5.0 - sum(beta^2) / 2: what remains of the image at the end.
    assert alpha_bar[1000].item() == pytest.approx(math.exp(-5.0171), rel=1e-3)


@pytest.mark.parametrize("levels", [(1, 999), (1, 100), (900, 999), (500, 500)])
@pytest.mark.parametrize("name", NAMES)
def test_levels_stay_within_their_range(name, levels):
    schedule = Schedule(name, levels)
    drawn = schedule.draw(5000, generator())
    assert drawn.dtype is torch.float32
    assert drawn.shape == (5000,)
    low, high = levels
    assert drawn.min() >= schedule.alpha_bar[high].float()
    assert drawn.max() <= schedule.alpha_bar[low - 1].float()
    assert drawn.min() > 0


@pytest.mark.parametrize("name", NAMES)
def test_levels_are_uniform_in_the_step_and_between_the_steps(name):
    """Chi-square of the steps in 30 classes, and the first two moments of the place between two steps."""
    low, high = 11, 970  # away from 1, where float32 is too coarse to tell neighbouring levels apart
    schedule = Schedule(name, (low, high))
    drawn = schedule.draw(DRAWS, generator()).double()
    rising = schedule.alpha_bar.flip(0)
    upper = 1000 - torch.searchsorted(rising, drawn)  # alpha_bar[upper] >= drawn > alpha_bar[upper + 1]
    step = upper + 1
    counts = torch.histc(step.double(), bins=30, min=low - 0.5, max=high + 0.5)
    assert counts.sum() == DRAWS
    expected = DRAWS / 30
    chi_square = ((counts - expected) ** 2 / expected).sum().item()
    assert chi_square < 58.3  # 0.999 quantile for 29 degrees of freedom
    between = (schedule.alpha_bar[step - 1] - drawn) / (schedule.alpha_bar[step - 1] - schedule.alpha_bar[step])
    assert between.mean().item() == pytest.approx(0.5, abs=0.006)
    assert between.var().item() == pytest.approx(1 / 12, abs=0.003)


@pytest.mark.parametrize("name", NAMES)
def test_discrete_levels_are_those_of_the_steps_alike(name):
    low, high = 3, 12
    schedule = Schedule(name, (low, high), discrete=True)
    drawn = schedule.draw(10_000, generator())
    assert drawn.dtype is torch.float32
    levels, counts = drawn.unique(return_counts=True)
    assert torch.equal(levels.flip(0), schedule.alpha_bar[low : high + 1].float())
    chi_square = ((counts - 1000.0) ** 2 / 1000).sum().item()
    assert chi_square < 27.9  # 0.999 quantile for 9 degrees of freedom


@pytest.mark.parametrize("name", NAMES)
def test_times_lie_between_the_steps_and_back(name):
    schedule = Schedule(name)
    times = torch.tensor([0.0, 0.25, 1.0, 1.5, 500.75, 999.0, 999.5, 1000.0], dtype=torch.float64)
    found = schedule.at(times)
    for time, level in zip(times.tolist(), found.tolist(), strict=True):
        below, above = math.floor(time), math.ceil(time)
        share = time - below
        wanted = (1 - share) * schedule.alpha_bar[below] + share * schedule.alpha_bar[above]
        assert level == pytest.approx(wanted.item(), rel=1e-9)
    torch.testing.assert_close(schedule.time(found), times, rtol=1e-6, atol=1e-6)


def test_at_a_time_between_two_steps_a_discrete_level_is_the_noisier_one():
    schedule = Schedule("cosine", discrete=True)
    times = torch.tensor([0.0, 0.1, 1.0, 1.1, 2.0, 998.5, 1000.0], dtype=torch.float64)
    assert torch.equal(schedule.at(times), schedule.alpha_bar[[1, 1, 1, 2, 2, 999, 1000]])


def test_draws_depend_on_the_generator_alone():
    schedule = Schedule()
    torch.manual_seed(1)
    first = schedule.draw(16, generator(5))
    torch.manual_seed(2)
    assert torch.equal(schedule.draw(16, generator(5)), first)
    assert not torch.equal(schedule.draw(16, generator(6)), first)
