"""Samplers of noise levels against their distribution functions, and what the one that learns remembers."""

import copy
import math
import pickle
from statistics import NormalDist

import pytest
import torch

from noiseda.diffusion import SAMPLERS, Schedule
from noiseda.diffusion.levels import Biased, Curriculum, Importance, LogitNormal, LogSnr, NoiseLevels
from noiseda.diffusion.schedule import SCHEDULES

DRAWS = 20_000
CLOSE = 1.63 / math.sqrt(DRAWS)  # 0.99 quantile of the Kolmogorov-Smirnov distance
NAMES = pytest.mark.parametrize("name", SAMPLERS)
RANGE = (101, 900)
NORMAL = NormalDist()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def levels(sampler, progress=0.0, count=DRAWS, seed=0):
    return sampler(sampler.draw(count, generator(seed)), progress).alpha_bar


def places(sampler, progress=0.0):
    """Where in its range each level lies: 0 at low - 1, 1 at high."""
    low, high = sampler.schedule.levels
    return (sampler.schedule.time(levels(sampler, progress).double()) - low + 1) / (high - low + 1)


def distance(found, cdf):
    """Kolmogorov-Smirnov distance of samples from a distribution function."""
    wanted = torch.tensor([cdf(value) for value in found.sort().values.tolist()])
    steps = torch.arange(len(found) + 1) / len(found)
    return max((steps[1:] - wanted).max().item(), (wanted - steps[:-1]).max().item())


def logit(p):
    return math.log(p / (1 - p))


CASES = {
    "uniform": (SAMPLERS["uniform"], 0.0, lambda p: p),
    "high": (SAMPLERS["high"], 0.0, lambda p: p**2),
    "low": (SAMPLERS["low"], 0.0, lambda p: 1 - (1 - p) ** 2),
    "higher": (lambda schedule: Biased(schedule, power=5.0), 0.0, lambda p: p**5),
    "logit-normal": (SAMPLERS["logit-normal"], 0.0, lambda p: NORMAL.cdf(logit(p))),
    "logit-normal moved": (
        lambda schedule: LogitNormal(schedule, mean=0.5, std=0.6), 0.0, lambda p: NORMAL.cdf((logit(p) - 0.5) / 0.6)
    ),
    "curriculum begins": (SAMPLERS["curriculum"], 0.0, lambda p: min(max(2 * p - 1, 0), 1)),
    "curriculum midway": (SAMPLERS["curriculum"], 0.4, lambda p: min(max((p - 0.3) / 0.5, 0), 1)),
    "curriculum ends": (SAMPLERS["curriculum"], 1.0, lambda p: min(2 * p, 1)),
    "curriculum of a narrow window": (
        lambda schedule: Curriculum(schedule, window=0.2), 0.5, lambda p: min(max((p - 0.4) / 0.2, 0), 1)
    ),
    "importance begins": (SAMPLERS["importance"], 0.0, lambda p: p),
}  # fmt: skip


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("case", CASES)
def test_places_have_their_distribution(case, schedule):
    build, progress, cdf = CASES[case]
    assert distance(places(build(Schedule(schedule, RANGE)), progress), cdf) < CLOSE


def test_the_distance_tells_a_wrong_distribution_from_a_right_one():
    found = places(Biased(Schedule("linear", RANGE), power=1.1))
    assert distance(found, lambda p: p) > 2 * CLOSE
    assert distance(found, lambda p: p**1.1) < CLOSE


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_log_snr_is_uniform_between_the_ends_of_the_range(schedule):
    sampler = LogSnr(Schedule(schedule, RANGE))
    least, most = (logit(sampler.schedule.alpha_bar[t].item()) for t in (RANGE[1], RANGE[0]))
    found = torch.logit(levels(sampler).double())
    assert distance(found, lambda value: (value - least) / (most - least)) < CLOSE


@NAMES
@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("bounds", [(1, 999), (1, 100), (900, 999), (500, 500), (1, 1)])
def test_all_keep_to_the_range(name, bounds, discrete):
    schedule = Schedule("linear", bounds, discrete=discrete)
    low, high = bounds
    for progress in (0.0, 0.5, 1.0):
        found = levels(SAMPLERS[name](schedule), progress, count=3000)
        assert found.dtype is torch.float32
        assert found.shape == (3000,)
        assert found.min() >= schedule.alpha_bar[high].float()
        assert found.max() <= schedule.alpha_bar[low if discrete else low - 1].float()
        assert not discrete or torch.isin(found, schedule.alpha_bar.float()).all()


@NAMES
def test_discrete_levels_have_the_chances_of_the_times_before_them(name):
    """Each step's chance is that of the times since the step before; of log SNR, that of the times around it."""
    bounds = (1, 8)
    continuous, discrete = (SAMPLERS[name](Schedule("cosine", bounds, discrete=d)) for d in (False, True))
    times = continuous.schedule.time(levels(continuous, 0.3, seed=1).double())
    wanted = (times.round() if name == "log-snr" else times.ceil()).clamp(*bounds).long().bincount(minlength=9) / DRAWS
    found = discrete.schedule.time(levels(discrete, 0.3, seed=2).double()).round().long().bincount(minlength=9) / DRAWS
    assert (found - wanted).abs().max() < 0.02


def test_uniform_draws_what_the_schedule_draws():
    """The numbers of before there were samplers, and as many of them."""
    schedule, mine, theirs = Schedule("linear", (1, 999)), generator(3), generator(3)
    sampler = SAMPLERS["uniform"](schedule)
    for count in (1, 5):
        found = sampler(sampler.draw(count, mine), 0.7)
        t = torch.randint(1, 1000, (count,), generator=theirs)
        between = torch.rand(count, generator=theirs, dtype=torch.float64)
        assert torch.equal(
            found.alpha_bar, torch.lerp(schedule.alpha_bar[t - 1], schedule.alpha_bar[t], between).float()
        )
        assert found.weights is None
    assert torch.equal(mine.get_state(), theirs.get_state())
    assert not sampler.state_dict()


@NAMES
def test_draws_are_those_of_the_generator_and_can_be_sent_to_workers(name):
    sampler = SAMPLERS[name](Schedule())
    drawn = sampler.draw(7, generator(5))
    torch.manual_seed(2)
    assert torch.equal(pickle.loads(pickle.dumps(sampler)).draw(7, generator(5)), drawn)
    assert not torch.equal(sampler.draw(7, generator(6)), drawn)
    assert drawn.dtype is torch.float32


def taught(errors, *, steps=150, batch=64, progress=0.5, **options):
    """An importance sampler that has seen errors, which are a function of the place."""
    sampler = Importance(Schedule("linear", (1, 1000 - 1)), **options)
    draw = generator(9)
    for _ in range(steps):
        found = sampler(sampler.draw(batch, draw), progress)
        place = sampler.schedule.time(found.alpha_bar.double()) / 999
        sampler.note(found, errors(place).float().requires_grad_())
        sampler.after_step()
    return sampler


def rising(place):
    return 0.1 + 2 * place


def test_bins_are_drawn_by_the_root_of_their_second_moments():
    """Of errors that are 0.1 + 2 place, within a bin from e to e + h: E[error^2] = e^2 + e h + h^2 / 3."""
    bins = 10
    sampler = taught(rising, steps=300, batch=200, bins=bins, uniform=0.0, decay=0.99)
    starts, h = [0.1 + 2 * k / bins for k in range(bins)], 2 / bins
    moments = torch.tensor([e * e + e * h + h * h / 3 for e in starts])
    wanted = moments.sqrt() / moments.sqrt().sum()
    torch.testing.assert_close(sampler.probabilities, wanted, rtol=0.1, atol=0.003)
    edges = [0.0, *wanted.cumsum(0).tolist()]

    def cdf(p):
        k = min(int(p * bins), bins - 1)
        return edges[k] + (p * bins - k) * (edges[k + 1] - edges[k])

    assert distance(places(sampler), cdf) < 2 * CLOSE  # its probabilities are estimates themselves


def test_a_share_of_the_draws_stays_uniform():
    sampler = taught(lambda place: (place > 0.9).double(), bins=10, uniform=0.2)
    torch.testing.assert_close(sampler.probabilities, torch.tensor([0.02] * 9 + [0.82]), rtol=0, atol=0.01)


@pytest.mark.parametrize("function", [rising, lambda place: (8 * place - 3).exp(), lambda place: 1.5 - place])
def test_weights_make_the_mean_that_of_uniform_places(function):
    sampler = taught(function)
    assert sampler.probabilities.max() > 1.2 / len(sampler.seen), "nothing was learnt"
    found = sampler(sampler.draw(200_000, generator(1)), 0.5)
    place = sampler.schedule.time(found.alpha_bar.double()) / 999
    mean = (found.weights * function(place)).mean().item()
    wanted = function((torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000).mean().item()
    assert mean == pytest.approx(wanted, rel=0.01)
    assert function(place).mean().item() != pytest.approx(wanted, rel=0.03)
    assert found.weights.mean().item() == pytest.approx(1.0, abs=0.01)


def test_weighted_errors_spread_less_than_those_of_uniform_places():
    def function(place):
        return (8 * place - 3).exp()

    sampler = taught(function)
    found = sampler(sampler.draw(DRAWS, generator(1)), 0.5)
    weighted = found.weights * function(sampler.schedule.time(found.alpha_bar.double()) / 999)
    plain = function(torch.rand(DRAWS, generator=generator(1), dtype=torch.float64))
    assert weighted.std() < 0.5 * plain.std()


def test_until_each_bin_is_known_all_are_drawn_alike():
    sampler = Importance(Schedule(), bins=4)
    bins = torch.tensor([0, 1, 2])

    def see(which, error):
        sampler.note(NoiseLevels(torch.ones(len(which)), None, which), torch.full((len(which),), error))
        sampler.after_step()

    for _ in range(20):
        see(bins, 5.0)
    assert torch.equal(sampler.probabilities, torch.full((4,), 0.25))
    assert torch.equal(sampler(torch.rand(3), 0.0).weights, torch.ones(3))
    for _ in range(10):
        see(torch.tensor([3]), 1.0)
    wanted = 0.9 * torch.tensor([5.0, 5, 5, 1]) / 16 + 0.1 / 4
    torch.testing.assert_close(sampler.probabilities, wanted)


def test_errors_that_are_nothing_leave_it_uniform():
    sampler = taught(lambda place: 0 * place)
    torch.testing.assert_close(sampler.probabilities, torch.full((20,), 1 / 20))


def test_second_moments_are_running_means():
    """Against a plain loop, error by error of equal ones; the micro-batches of a step count as one batch."""
    whole, halves = (Importance(Schedule(), bins=2, decay=0.8) for _ in range(2))
    bins, plain = torch.tensor([0, 1, 1, 1]), [0.0, 0.0]
    for error in (1.0, 3.0, 2.0):
        errors = torch.full((4,), error)
        for which in bins.tolist():
            plain[which] = 0.8 * plain[which] + 0.2 * error**2
        whole.note(NoiseLevels(errors, None, bins), errors)
        for part in (slice(0, 1), slice(1, 4)):
            halves.note(NoiseLevels(errors[part], None, bins[part]), errors[part])
        for sampler in (whole, halves):
            sampler.after_step()
    torch.testing.assert_close(whole.second_moments, torch.tensor(plain))
    assert torch.equal(whole.second_moments, halves.second_moments)
    assert whole.seen.tolist() == halves.seen.tolist() == [3, 9]


def test_it_goes_on_from_its_state_as_it_would_have():
    first = taught(rising, steps=50)
    second = Importance(Schedule("linear", (1, 999)))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert set(first.state_dict()) == {"second_moments", "seen"}
    drawn = first.draw(100, generator(4))
    mine, theirs = first(drawn, 0.5), second(drawn, 0.5)
    assert torch.equal(mine.alpha_bar, theirs.alpha_bar)
    assert torch.equal(mine.weights, theirs.weights)
    assert not torch.equal(mine.alpha_bar, Importance(first.schedule)(drawn, 0.5).alpha_bar)
