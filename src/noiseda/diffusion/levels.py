"""Where noise levels are drawn: a sampler draws random numbers before a step, and makes levels of them within it.

Random numbers are drawn beside the training process, by workers that prepare steps ahead (``Objective.draw``); what a
sampler knows of the run, such as its progress or the errors of the steps before, is in the training process alone. So a
sampler has two parts. :meth:`LevelSampler.draw` draws numbers and knows nothing; :meth:`LevelSampler.forward` makes
levels of them when the step is measured.

Places are shares of the range of times: 0 at the lowest level of ``Schedule.levels``, 1 at the highest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.diffusion.schedule import Schedule
from noiseda.diffusion_settings import SamplingName
from noiseda.processes import sum_of_all

__all__ = [
    "SAMPLERS",
    "Biased",
    "Curriculum",
    "Importance",
    "LevelSampler",
    "LogSnr",
    "LogitNormal",
    "NoiseLevels",
    "Uniform",
]


@dataclass(frozen=True)
class NoiseLevels:
    """The noise levels of a batch.

    Attributes:
        alpha_bar: (B,) float32 in (0, 1].
        weights: (B,) by which errors are multiplied, so that their mean is that of uniform places; None: 1 each.
        bins: (B,) the part of the range that each lies in, for samplers that learn.
    """

    alpha_bar: Tensor
    weights: Tensor | None = None
    bins: Tensor | None = None


class LevelSampler(nn.Module):
    """Chooses noise levels; a module, for what it remembers must lie in buffers.

    One whose levels depend on random numbers alone has its own :meth:`place`, or :meth:`times`, and nothing else.

    Args:
        schedule: of the levels, with the range that they are drawn from.
    """

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.schedule = schedule

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the random numbers of a step.

        Args:
            count: B.
            generator: source of every draw.

        Returns:
            (B,) float32: noise levels, or the numbers that :meth:`forward` makes levels of.
        """
        numbers = torch.rand(count, generator=generator, dtype=torch.float64).clamp(min=2.0**-60)
        return self.schedule.at(self.times(numbers)).float()

    def times(self, numbers: Tensor) -> Tensor:
        """Random numbers (B,), uniform in (0, 1) -> times in [low - 1, high], (B,)."""
        return self.spread(self.place(numbers))

    def place(self, numbers: Tensor) -> Tensor:
        """Random numbers (B,), uniform in (0, 1) -> places in [0, 1], (B,)."""
        return numbers

    def spread(self, place: Tensor) -> Tensor:
        """The times (B,) of places (B,), from low - 1 to high."""
        low, high = self.schedule.levels
        return low - 1 + place * (high - low + 1)

    def forward(self, drawn: Tensor, progress: float) -> NoiseLevels:
        """The noise levels of a step.

        Args:
            drawn: (B,) what :meth:`draw` drew.
            progress: share of the run that is done, in [0, 1].
        """
        return NoiseLevels(drawn)

    def note(self, levels: NoiseLevels, errors: Tensor) -> None:
        """Take note of the errors (B,) that were found at some levels; nothing by default."""

    def after_step(self) -> None:
        """Learn from what was noted, after a move of the weights; nothing by default."""


class Uniform(LevelSampler):
    """Uniform over the steps of the range, and between two of them (:meth:`Schedule.draw`)."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """See :class:`LevelSampler`."""
        return self.schedule.draw(count, generator)


class Biased(LevelSampler):
    """More often high levels, or low ones: P(place <= p) = p^power, or mirrored 1 - (1 - p)^power.

    Args:
        schedule: of the levels.
        high: towards high levels, that is much noise.
        power: how much; 2 is a density that rises from 0 in a straight line, 1 is uniform.
    """

    def __init__(self, schedule: Schedule, *, high: bool = True, power: float = 2.0) -> None:
        super().__init__(schedule)
        self.high, self.power = high, power

    def place(self, numbers: Tensor) -> Tensor:
        """See :class:`LevelSampler`."""
        return numbers ** (1 / self.power) if self.high else 1 - (1 - numbers) ** (1 / self.power)


class LogSnr(LevelSampler):
    """Uniform in log SNR = log(alpha_bar / (1 - alpha_bar)), between those of the lowest and the highest step."""

    def times(self, numbers: Tensor) -> Tensor:
        """See :class:`LevelSampler`; where levels are discrete, the nearest step."""
        low, high = self.schedule.levels
        ends = torch.logit(self.schedule.alpha_bar[[low, high]])
        times = self.schedule.time(torch.sigmoid(torch.lerp(ends[0], ends[1], numbers))).clamp(low, high)
        return times.round() if self.schedule.discrete else times


class LogitNormal(LevelSampler):
    """Around the middle of the range: logit(place) is normal (Esser et al., arXiv 2403.03206, section 3.1).

    Args:
        schedule: of the levels.
        mean: of the logit; above 0 towards high levels.
        std: of the logit.
    """

    def __init__(self, schedule: Schedule, *, mean: float = 0.0, std: float = 1.0) -> None:
        super().__init__(schedule)
        self.mean, self.std = mean, std

    def place(self, numbers: Tensor) -> Tensor:
        """See :class:`LevelSampler`."""
        return torch.sigmoid(self.mean + self.std * torch.special.ndtri(numbers))


class Curriculum(LevelSampler):
    """From high levels to low ones: uniform in a window that moves over the range as the run goes on.

    At progress p places are uniform in [(1 - p)(1 - window), (1 - p)(1 - window) + window].

    Args:
        schedule: of the levels.
        window: its width, as a share of the range.
    """

    def __init__(self, schedule: Schedule, *, window: float = 0.5) -> None:
        super().__init__(schedule)
        self.window = window

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the numbers alone: (count,) float32 in [0, 1)."""
        return torch.rand(count, generator=generator)

    def forward(self, drawn: Tensor, progress: float) -> NoiseLevels:
        """See :class:`LevelSampler`."""
        place = (1 - progress) * (1 - self.window) + self.window * drawn
        return NoiseLevels(self.schedule.at(self.spread(place)))


class Importance(LevelSampler):
    """Where errors are large (Nichol and Dhariwal, arXiv 2102.09672, section 3.3).

    The range falls into bins of equal width. Bin k is drawn in proportion to sqrt(E[error^2]) of the errors that were
    found in it, p_k, and an error in it is multiplied by (1 / bins) / p_k, so that their mean is that of uniform
    places. Until each bin has been drawn ten times, all are drawn alike.

    Args:
        schedule: of the levels.
        bins: how many.
        decay: of the running mean of a bin's squared errors, for each error.
        uniform: share of the draws that are uniform whatever the errors: it bounds the weights.
    """

    second_moments: Tensor
    seen: Tensor

    def __init__(self, schedule: Schedule, *, bins: int = 20, decay: float = 0.95, uniform: float = 0.1) -> None:
        super().__init__(schedule)
        self.decay, self.uniform = decay, uniform
        self.register_buffer("second_moments", torch.zeros(bins))
        self.register_buffer("seen", torch.zeros(bins))
        self._noted: list[tuple[Tensor, Tensor]] = []

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the numbers alone: (count,) float32 in [0, 1)."""
        return torch.rand(count, generator=generator)

    @property
    def probabilities(self) -> Tensor:
        """How often each bin is drawn: (bins,), their sum is 1."""
        count = len(self.seen)
        found = (self.second_moments / (1 - self.decay**self.seen).clamp(min=1e-7)).sqrt()
        found = found / found.sum().clamp(min=1e-12)
        known = (self.seen >= _ENOUGH).all() & (found.sum() > 0)
        return torch.where(known, (1 - self.uniform) * found + self.uniform / count, 1 / count)

    def forward(self, drawn: Tensor, progress: float) -> NoiseLevels:
        """See :class:`LevelSampler`."""
        chances = self.probabilities
        count, upper = len(chances), chances.cumsum(dim=0)
        bins = torch.searchsorted(upper, drawn, right=True).clamp(max=count - 1)
        within = ((drawn - upper[bins]) / chances[bins] + 1).clamp(0, 1)
        alpha_bar = self.schedule.at(self.spread((bins + within) / count))
        return NoiseLevels(alpha_bar, 1 / (count * chances[bins]), bins)

    def note(self, levels: NoiseLevels, errors: Tensor) -> None:
        """Keep the errors (B,), as they are before ``levels.weights`` come to them, until the step is done."""
        assert levels.bins is not None, "the levels are of another sampler"
        self._noted.append((levels.bins, errors.detach()))

    @torch.no_grad()
    def after_step(self) -> None:
        """Move each bin's mean of squared errors towards those of the step, of all processes."""
        if not self._noted:
            return
        bins, errors = (torch.cat(parts) for parts in zip(*self._noted, strict=True))
        self._noted = []
        within = F.one_hot(bins, len(self.seen)).float()  # (B, bins); sums of products come in one order everywhere
        count = sum_of_all(within.sum(dim=0))
        total = sum_of_all((within * errors.float().square()[:, None]).sum(dim=0))
        kept = self.decay**count
        self.second_moments.copy_(kept * self.second_moments + (1 - kept) * total / count.clamp(min=1))
        self.seen += count


_ENOUGH = 10

SAMPLERS: dict[SamplingName, Callable[[Schedule], LevelSampler]] = {
    "uniform": Uniform,
    "high": lambda schedule: Biased(schedule, high=True),
    "low": lambda schedule: Biased(schedule, high=False),
    "log-snr": LogSnr,
    "logit-normal": LogitNormal,
    "importance": Importance,
    "curriculum": Curriculum,
}
"""What ``--objective.sampling`` may name: a schedule -> its sampler."""
