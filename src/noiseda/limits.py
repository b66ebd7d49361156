"""What a setting may be, said in its type: ``steps: PositiveInt``, ``levels: Levels``."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from operator import attrgetter
from typing import Annotated, Any, TypeGuard, get_type_hints

from noiseda.errors import UserError

__all__ = [
    "Factors",
    "HalfOf",
    "HalfOfPatch",
    "Levels",
    "Limits",
    "NonNegativeFloat",
    "NonNegativeInt",
    "Ordered",
    "PositiveFloat",
    "PositiveInt",
    "ProperShare",
    "Share",
    "check_limits",
]


@dataclass(frozen=True)
class Limits:
    """Bounds of a number. What is not given does not bound it.

    >>> Limits(above=0).refusal(-1)
    'must be greater than 0, not -1'

    Args:
        above: it must be greater than this.
        least: and at least this.
        below: and less than this.
        most: and at most this.
    """

    above: float | None = None
    least: float | None = None
    below: float | None = None
    most: float | None = None

    def refusal(self, value: object) -> str | None:
        """What a value must be instead; None where it is within the bounds."""
        if not _is_number(value):
            return f"must be a number, not {value!r}"
        inside = (
            (self.above is None or value > self.above)
            and (self.least is None or value >= self.least)
            and (self.below is None or value < self.below)
            and (self.most is None or value <= self.most)
        )
        if inside:
            return None
        words = {"greater than": self.above, "at least": self.least, "less than": self.below, "at most": self.most}
        bounds = [f"{word} {bound:g}" for word, bound in words.items() if bound is not None]
        return f"must be {' and '.join(bounds)}, not {value}"


@dataclass(frozen=True)
class Ordered:
    """Bounds of a lowest and a highest value, of which the first must not be greater.

    >>> Ordered(Limits(least=1, most=999)).refusal((5, 3))
    'must satisfy low <= high, each at least 1 and at most 999, not 5, 3'
    """

    each: Limits

    def refusal(self, value: object) -> str | None:
        """What the pair must be instead; None where it is right."""
        low, high = value if isinstance(value, tuple | list) and len(value) == 2 else (None, None)
        if not (_is_number(low) and _is_number(high)):
            return f"must be two numbers, not {value!r}"
        if low <= high and not (self.each.refusal(low) or self.each.refusal(high)):
            return None
        bounds = str(self.each.refusal(float("nan"))).removeprefix("must be ").removesuffix(", not nan")
        return f"must satisfy low <= high, each {bounds}, not {low}, {high}"


@dataclass(frozen=True)
class HalfOf:
    """The limit of a number that must be at most half of another setting.

    Attributes:
        other: the other one's flag.
        value: the dotted name of its value, which may be settled where the flag leaves it open.
    """

    other: str
    value: str

    def refusal(self, value: float, whole: float) -> str | None:
        """What a value must be instead; None where it is right.

        Args:
            value: of the setting.
            whole: of the other one. One below 16 is taken for 16: it is refused for what it is elsewhere.
        """
        return None if value <= max(16, whole) // 2 else f"must be at most half of --{self.other} {whole}, not {value}"


PositiveInt = Annotated[int, Limits(above=0)]
PositiveFloat = Annotated[float, Limits(above=0)]
NonNegativeInt = Annotated[int, Limits(least=0)]
NonNegativeFloat = Annotated[float, Limits(least=0)]
Share = Annotated[float, Limits(least=0, below=1)]
"""A share of a whole, which it never is: a decay, a point of a run."""
ProperShare = Annotated[float, Limits(above=0, below=1)]
Levels = Annotated[tuple[int, int], Ordered(Limits(least=1, most=999))]
"""A lowest and a highest diffusion step."""
Factors = Annotated[tuple[float, float], Ordered(Limits(above=0))]
"""A lowest and a highest factor."""
HalfOfPatch = Annotated[int, Limits(above=0), HalfOf("training.patch", "training.side")]


def check_limits(settings: object) -> None:
    """Check every setting of a tree against the limits in its type.

    Args:
        settings: a dataclass of settings; sections are dataclasses in it.

    Raises:
        UserError: naming the flag, what was given and what was expected.
    """
    for flag, limit, value in _limited(settings, ""):
        refusal = (
            limit.refusal(value, attrgetter(limit.value)(settings))
            if isinstance(limit, HalfOf)
            else limit.refusal(value)
        )
        if refusal is not None:
            raise UserError(f"--{flag} {refusal}")


def _limited(settings: object, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    """Flag, limit and value of every setting whose type has a limit."""
    for name, kind in get_type_hints(type(settings), include_extras=True).items():
        value = getattr(settings, name)
        if dataclasses.is_dataclass(value):
            yield from _limited(value, f"{prefix}{name}.")
        elif value is not None or type(None) not in typing.get_args(kind):
            yield from ((f"{prefix}{name}", limit, value) for limit in limits_of(kind))


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real)


def limits_of(kind: object) -> list[Limits | Ordered | HalfOf]:
    """The limits in a type.

    >>> limits_of(PositiveInt | None)
    [Limits(above=0, least=None, below=None, most=None)]
    """
    own = [one for one in getattr(kind, "__metadata__", ()) if isinstance(one, Limits | Ordered | HalfOf)]
    inner = () if typing.get_origin(kind) is Annotated else typing.get_args(kind)
    return own + [limit for one in inner for limit in limits_of(one)]
