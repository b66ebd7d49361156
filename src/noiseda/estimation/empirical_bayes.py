"""What photographs went through, estimated from all of them together: empirical Bayes over candidates and strengths.

One photograph shows little (the study ``matching``): two in three are known by the right candidate, and how
strong its noise is to a factor of two or three in variance. But the photographs of one folder come from few cameras. So
what is sought is not each photograph's degradation but how often each occurs, which makes all of their looks likely.

That holds as far as they look like something simulated. Where they do not, they are wrong together, and what they agree
on is no better known than what one of them says: then each is estimated by the simulated photographs nearest to it
(approximate Bayesian computation; Beaumont, Zhang & Balding, Genetics 2002).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from noiseda.data.sampling import Range, one_thread

LEVELS = 24
"""Strengths of each candidate that are separated, evenly spread by octaves over its range."""

DEGREE = 3
"""Degree of the polynomial of log strength that looks follow."""

FREEDOM = 5.0
"""Degrees of freedom of Student's distribution about it: real photographs may look a little like nothing simulated."""

PRIOR = 10.0
"""Photographs' worth of all candidates and strengths alike, which few photographs outweigh little."""

ITERATIONS = 10
"""Steps towards the likeliest shares. These themselves tend to be a few spikes (Laird 1978); so not all the way."""

USUAL = 0.9
"""Share of the simulated photographs that are within the usual distance of what is simulated."""

STRANGE = 0.45
"""Share of the real photographs beyond that from which on they do not look like anything simulated."""

DRAWS = 5
"""Candidates with their strengths that are returned for each photograph."""

RULES = {
    "levels": LEVELS, "degree": DEGREE, "freedom": FREEDOM, "prior": PRIOR, "iterations": ITERATIONS, "usual": USUAL,
    "strange": STRANGE, "draws": DRAWS,
}  # fmt: skip
"""All that decides what is found, beside the looks: what was found by others is not taken for it."""

FAR = 1e6
"""Where the looks of a candidate are put of which no simulated photograph could be looked at."""

Known = list[tuple[str, float]]
"""Candidates and their strengths."""

Kind = TypeVar("Kind")


@one_thread()
def occurring(looks: Tensor, known: Tensor, simulated: Known, ranges: Mapping[str, Range]) -> tuple[Known, bool]:
    """What photographs went through: together where they look like something simulated, else one by one.

    Args:
        looks: of real photographs, (M, D); what cannot be measured of one is not a number.
        known: of simulated photographs, (N, D); grey ones lack figures too.
        simulated: their candidates and strengths, N.
        ranges: candidate -> range of strengths, drawn by octaves.

    Returns:
        ``DRAWS`` for each photograph, each as likely as the others; and whether they look like something simulated.
    """
    whole = known[~known.isnan().any(dim=1)]
    spread = (whole if len(whole) > 1 else known).std(dim=0).clamp(min=1e-6)
    looks, known = looks / spread, known / spread  # what no simulated one has, is not a number of the real ones either
    cells = [(kind, strength) for kind, bounds in ranges.items() for strength in strengths(bounds)]
    logs, away = torch.zeros(len(looks), len(cells)), torch.zeros(len(looks))
    usual = torch.zeros(len(looks))
    for lacking in torch.unique(looks.isnan(), dim=0):
        rows = (looks.isnan() == lacking).all(dim=1)
        usable = ~known[:, ~lacking].isnan().any(dim=1)
        chosen = [row for row, use in zip(simulated, usable.tolist(), strict=True) if use]
        there = Likelihood(known[usable][:, ~lacking], chosen, ranges)
        logs[rows], away[rows] = there(looks[rows][:, ~lacking])
        usual[rows] = there(known[usable][:, ~lacking])[1].quantile(USUAL)
    if (away > usual).float().mean() > STRANGE:
        return nearest(looks, known, simulated), False
    return empirical_bayes(logs, cells), True


def nearest(looks: Tensor, known: Tensor, simulated: Sequence[Kind]) -> list[Kind]:
    """The ``DRAWS`` simulated photographs nearest to each real one.

    Args:
        looks: of real photographs, (M, D); what cannot be measured of one is not a number, and does not count.
        known: of simulated photographs, (N, D), in units of their spread.
        simulated: what they went through, N.

    Returns:
        What those went through, ``DRAWS`` for each real one.
    """
    apart = (looks[:, None] - known).nan_to_num(0.0).square().sum(dim=2)
    return [simulated[index] for index in apart.argsort(dim=1)[:, :DRAWS].flatten().tolist()]


def empirical_bayes(logs: Tensor, cells: Known) -> Known:
    """Candidates and strengths as often as they occur among photographs, by expectation and maximisation.

    Args:
        logs: log likelihood of each photograph's looks under each cell, (M, C).
        cells: candidates and strengths, C.

    Returns:
        ``DRAWS`` * M of them, each as likely as the others.
    """
    likely = (logs - logs.amax(dim=1, keepdim=True)).exp()
    before = PRIOR / len(cells)
    shares = torch.full((len(cells),), before)
    for _ in range(ITERATIONS):
        each = likely * shares
        each /= each.sum(dim=1, keepdim=True)
        shares = each.sum(dim=0) + before
    upto = each.sum(dim=0).cumsum(dim=0)
    count = DRAWS * len(logs)
    middles = (torch.arange(count) + 0.5) / count * upto[-1]
    return [cells[index] for index in torch.searchsorted(upto, middles).tolist()]


def strengths(bounds: Range) -> list[float]:
    """``LEVELS`` strengths, evenly spread by octaves.

    >>> found = strengths((1.0, 2.0**23))
    >>> round(found[0], 3), round(found[1], 3), len(found)
    (1.0, 2.0, 24)
    """
    low, high = (math.log(bound) for bound in bounds)
    return [math.exp(low + (high - low) * level / (LEVELS - 1)) for level in range(LEVELS)]


class Likelihood:
    """How likely looks are under each candidate and strength: a synthetic likelihood (Wood, Nature 2010).

    Looks of a candidate follow a polynomial of its log strength, and scatter about it as those that were simulated do.

    Args:
        known: looks of simulated photographs, (N, D), in units of their spread.
        simulated: their candidates and strengths, N.
        ranges: candidate -> range of strengths.
    """

    def __init__(self, known: Tensor, simulated: Known, ranges: Mapping[str, Range]) -> None:
        self.of: list[tuple[Tensor, Tensor]] = []
        for kind, bounds in ranges.items():
            own = [index for index, (name, _) in enumerate(simulated) if name == kind]
            terms, here = _powers([simulated[index][1] for index in own], bounds), known[own]
            slopes = torch.linalg.solve(terms.T @ terms + 1e-3 * torch.eye(DEGREE + 1), terms.T @ here)
            rest = here - terms @ slopes
            scatter = (rest.T @ rest + torch.eye(known.shape[1])) / (len(own) + 1)
            means = _powers(strengths(bounds), bounds) @ slopes
            self.of.append((means if own else torch.full_like(means, FAR), scatter))

    def __call__(self, looks: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithms, up to a constant of each row, (M, C); and squared distances to the nearest cell, (M,).

        Args:
            looks: of photographs, (M, D), all of them numbers.
        """
        logs, aparts = [], []
        for means, scatter in self.of:
            away = looks[:, None] - means  # (M, LEVELS, D)
            apart = torch.einsum("mld,de,mle->ml", away, torch.linalg.inv(scatter), away)
            tails = (FREEDOM + looks.shape[1]) / 2 * torch.log1p(apart / FREEDOM)
            logs.append(-torch.logdet(scatter) / 2 - tails)
            aparts.append(apart)
        return torch.cat(logs, dim=1), torch.cat(aparts, dim=1).amin(dim=1)


def _powers(strengths: Sequence[float], bounds: Range) -> Tensor:
    """(N, DEGREE + 1): powers of log strengths, from -1 to 1 over the range."""
    low, high = (math.log(bound) for bound in bounds)
    place = 2 * (torch.tensor(strengths).log() - low) / (high - low) - 1
    return place[:, None] ** torch.arange(DEGREE + 1)
