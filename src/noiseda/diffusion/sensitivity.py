"""What a noise predictor listens to: how much its error rises when one of its conditions is spoilt, by noise level.

A judge whose error does not depend on a condition cannot teach anything about it. In adaptation one of the two
conditions always shows another image, the restored real one. Where the error falls when that one is spoilt, the judge
teaches the restorer to spoil it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from noiseda.diffusion.denoiser import Denoiser
from noiseda.dims import AVERAGES

STEPS = (50, 200, 400, 600, 800)
"""Diffusion steps t at which the error is measured, unless others are asked for."""

NOISE = 25 / 255
"""Standard deviation of the noise that a condition gets."""

BLUR = 5
"""Side of the box by which a condition is blurred, in pixels; of small signals, the largest odd one that fits."""


def noisy(signals: Tensor, generator: torch.Generator) -> Tensor:
    """Signals (B, C, *spatial) with white Gaussian noise of :data:`NOISE`."""
    return signals + NOISE * torch.randn(signals.shape, generator=generator).to(signals)


def blurred(signals: Tensor, generator: torch.Generator) -> Tensor:
    """Signals (B, C, *spatial) averaged over boxes of :data:`BLUR`."""
    dims = signals.ndim - 2
    side = min(BLUR, (min(signals.shape[2:]) - 1) // 2 * 2 + 1)
    return AVERAGES[dims](signals, side, stride=1, padding=side // 2, count_include_pad=False)


def another(signals: Tensor, generator: torch.Generator) -> Tensor:
    """For each signal (B, C, *spatial) the next one of the batch; a single one is mirrored in place of that."""
    return signals.roll(1, dims=0) if len(signals) > 1 else signals.flip(-1)


Corruption = Callable[[Tensor, torch.Generator], Tensor]

CORRUPTIONS: dict[str, Corruption] = {"noise": noisy, "blur": blurred, "another image": another}
"""What a condition may be spoilt by."""


@dataclass(frozen=True)
class Sensitivity:
    """How much the error of a noise predictor rises.

    Attributes:
        steps: diffusion steps t, the columns.
        error: mean squared error of the predicted noise at each, where every condition is the clean signal itself.
        rises: (corruption, number of the condition from 1 on) -> by how much it is larger at each.
        beside: corruption -> by how much it is larger at each, of two conditions, where the second shows another image,
            if that image is spoilt than if it is clean; below 0 the judge would rather have it spoilt.
    """

    steps: tuple[int, ...]
    error: tuple[float, ...]
    rises: Mapping[tuple[str, int], tuple[float, ...]]
    beside: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def means(self) -> dict[str, float]:
        """Mean rise over the levels, by name such as ``noise in condition 1``."""
        return {name: sum(rise) / len(rise) for name, rise in self.rows()[1:]}

    def rows(self) -> list[tuple[str, tuple[float, ...]]]:
        """Names and figures of the table: the error, then its rises."""
        rises = [(named(*key), rise) for key, rise in self.rises.items()]
        return [("error", self.error), *rises, *((named(name), rise) for name, rise in self.beside.items())]

    def markdown(self) -> str:
        """The table in Markdown."""
        head = "| | " + " | ".join(f"t = {step}" for step in self.steps) + " |"
        lines = [head, "|---" * (len(self.steps) + 1) + "|"]
        return "\n".join([*lines, *(f"| {name} | {' | '.join(map(_figure, row))} |" for name, row in self.rows())])

    def __str__(self) -> str:
        """The table as plain text."""
        names = ["error by t", *(name for name, _ in self.rows())]
        columns = [list(map(str, self.steps)), *(list(map(_figure, row)) for _, row in self.rows())]
        width = max(map(len, names))
        lines = zip(names, columns, strict=True)
        return "\n".join(f"{name:<{width}}  {'  '.join(f'{one:>8}' for one in row)}" for name, row in lines)


def named(corruption: str, condition: int | None = None) -> str:
    """A row's name; without a number, of a condition that shows another image.

    >>> named("noise", 1), named("noise")
    ('noise in condition 1', 'noise in another image')
    """
    return f"{corruption} in " + ("another image" if condition is None else f"condition {condition}")


def _figure(value: float) -> str:
    return f"{value:.4f}"


@torch.no_grad()
def sensitivity(
    denoiser: Denoiser,
    clean: Tensor,
    alpha_bar: Tensor,
    *,
    conditions: int = 2,
    steps: tuple[int, ...] = STEPS,
    corruptions: Mapping[str, Corruption] = CORRUPTIONS,
    seed: int = 0,
) -> Sensitivity:
    """Measure how much the error of a noise predictor rises when one condition at a time is spoilt.

    Of two conditions it is also measured as in adaptation: the first shows the image, the second another one, which is
    spoilt.

    The noise is the same in all of them, so that a condition that is not listened to raises nothing. Nothing is
    drawn from torch's global generator, and the predictor is left as it was.

    Args:
        denoiser: the noise predictor.
        clean: (B, C, *spatial) clean signals in [0, 1], of sides that the predictor takes.
        alpha_bar: (T + 1,) noise levels of a schedule.
        conditions: how many conditions it takes.
        steps: diffusion steps t, each in 1..T - 1.
        corruptions: what a condition is spoilt by.
        seed: of the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    eps = torch.randn(clean.shape, generator=generator).to(clean)
    spoilt = {name: corrupt(clean, generator) for name, corrupt in corruptions.items()}

    def errors(shown: list[Tensor]) -> tuple[float, ...]:
        found = []
        for step in steps:
            level = alpha_bar[step].float().to(clean.device).expand(len(clean))
            found.append(denoiser.error(clean, shown, eps, level).mean().item())
        return tuple(found)

    with _quiet(denoiser):
        usual = errors([clean] * conditions)
        rises = {}
        for name, image in spoilt.items():
            for place in range(conditions):
                shown = [image if index == place else clean for index in range(conditions)]
                rises[name, place + 1] = _above(errors(shown), usual)
        beside = {}
        if conditions == 2:
            other = another(clean, generator)
            at_first = errors([clean, other])
            for name, corrupt in corruptions.items():
                if corrupt is not another:
                    beside[name] = _above(errors([clean, corrupt(other, generator)]), at_first)
    return Sensitivity(tuple(steps), usual, rises, beside)


def _above(errors: tuple[float, ...], usual: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(error - before for error, before in zip(errors, usual, strict=True))


@contextmanager
def _quiet(network: nn.Module) -> Iterator[None]:
    """A network without dropout, for a while."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
