"""Noise levels: alpha_bar over the diffusion steps, and draws from it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from noiseda.diffusion_settings import ScheduleName

STEPS = 1000
BETA_FIRST, BETA_LAST = 1e-6, 1e-2


class Schedule:
    """The cumulative product alpha_bar of a diffusion, and random noise levels from it.

    ``alpha_bar[t]`` for t = 0..1000 falls from 1 towards 0; ``alpha_bar[0] = 1`` (nothing is noised).

    The default is linear in beta from 1e-6 to 1e-2 over 1000 steps (arXiv 2406.18516, supplement). ``quadratic`` is
    linear in sqrt(beta) between the same ends (SR3, arXiv 2104.07636); ``constant`` has their mean in every step, so
    that alpha_bar = (1 - beta)^t ends where the linear one does; ``cosine`` is alpha_bar = cos^2 with offset 0.008
    (Nichol and Dhariwal, arXiv 2102.09672, Eq. 17); ``sigmoid`` falls along a logistic curve from -3 to 3 (Jabri et
    al., arXiv 2212.11972).

    A time is a step that may lie between two: at 2.5 a level lies halfway between those of steps 2 and 3.

    Args:
        name: linear, cosine, quadratic, sigmoid or constant.
        levels: lowest and highest step t that levels are drawn from, 1 <= low <= high <= 999.
        discrete: levels are those of the steps themselves, alpha_bar[t]; otherwise any between two steps.
    """

    def __init__(
        self, name: ScheduleName = "linear", levels: tuple[int, int] = (1, STEPS - 1), *, discrete: bool = False
    ) -> None:
        self.alpha_bar = SCHEDULES[name]()  # (1001,), float64
        self.levels = levels
        self.discrete = discrete

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw noise levels: t ~ U{low..high}, then alpha_bar ~ U(alpha_bar[t-1], alpha_bar[t]), or alpha_bar[t].

        Returns:
            (count,) float32 in (0, 1]: within 3e-8 of 1 it rounds to 1.
        """
        low, high = self.levels
        t = torch.randint(low, high + 1, (count,), generator=generator)
        if self.discrete:
            return self.alpha_bar[t].float()
        between = torch.rand(count, generator=generator, dtype=torch.float64)
        return torch.lerp(self.alpha_bar[t - 1], self.alpha_bar[t], between).float()

    def at(self, time: Tensor) -> Tensor:
        """Noise levels at some times.

        Args:
            time: (B,) in [0, 1000]. Where levels are discrete, the step that follows it is taken, from 1 on.

        Returns:
            (B,) alpha_bar, of the type of ``time``.

        >>> Schedule("cosine").at(torch.tensor([0.0, 500.0]))
        tensor([1.0000, 0.4938])
        """
        alpha_bar = self.alpha_bar.to(time.device, time.dtype)
        if self.discrete:
            return alpha_bar[time.ceil().clamp(1, STEPS).long()]
        step = time.floor().clamp(0, STEPS - 1)
        return torch.lerp(alpha_bar[step.long()], alpha_bar[step.long() + 1], time - step)

    def time(self, alpha_bar: Tensor) -> Tensor:
        """The times of noise levels: the inverse of :meth:`at`, where levels are not discrete.

        Args:
            alpha_bar: (B,) in the range of the schedule.

        Returns:
            (B,) in [0, 1000], of the type of ``alpha_bar``.
        """
        falls = self.alpha_bar.to(alpha_bar.device, alpha_bar.dtype)
        above = torch.searchsorted(-falls, -alpha_bar, right=True).clamp(1, STEPS) - 1
        return above + (falls[above] - alpha_bar) / (falls[above] - falls[above + 1])


def _from_beta(beta: Tensor) -> Tensor:
    return torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - beta, dim=0)])


def _linear() -> Tensor:
    return _from_beta(torch.linspace(BETA_FIRST, BETA_LAST, STEPS, dtype=torch.float64))


def _quadratic() -> Tensor:
    return _from_beta(torch.linspace(BETA_FIRST**0.5, BETA_LAST**0.5, STEPS, dtype=torch.float64) ** 2)


def _constant() -> Tensor:
    return _from_beta(torch.full((STEPS,), (BETA_FIRST + BETA_LAST) / 2, dtype=torch.float64))


def _cosine(offset: float = 0.008) -> Tensor:
    progress = torch.linspace(0, 1, STEPS + 1, dtype=torch.float64)
    curve = torch.cos((progress + offset) / (1 + offset) * math.pi / 2) ** 2
    return (curve / curve[0]).clamp(min=1e-9)


def _sigmoid(start: float = -3.0, end: float = 3.0) -> Tensor:
    progress = torch.linspace(0, 1, STEPS + 1, dtype=torch.float64)
    curve = torch.sigmoid(-(start + (end - start) * progress))
    return ((curve - curve[-1]) / (curve[0] - curve[-1])).clamp(min=1e-9)


SCHEDULES: dict[ScheduleName, Callable[[], Tensor]] = {
    "linear": _linear,
    "cosine": _cosine,
    "quadratic": _quadratic,
    "sigmoid": _sigmoid,
    "constant": _constant,
}
