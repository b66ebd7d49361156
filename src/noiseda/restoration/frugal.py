"""Build a network with no more memory and work than its weights account for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from noiseda.errors import WeightsError

SPARE = 2**26
"""Bytes that a network may need beside its weights: tables, masks and what they are computed from."""


class Frugal(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within: a WeightsError where tensors would become many times as large as some weights.

    A network is built from a few shapes of its weights, and those in a hostile file may ask for any size, which the
    others then do not have.

    Args:
        weights: by name.
        source: what they are of, for the error.
    """

    def __init__(self, weights: Mapping[str, Tensor], source: object) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        total = sum(4 * weight.numel() for weight in weights.values())
        self.source, self.most = source, 3 * total + SPARE
        self.left, self.steps = self.most, 10_000 + 200 * len(weights)

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 (torch's)
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Judge one operation of torch before it is carried out."""
        size = 4 * _largest(func, args)
        self.steps -= 1
        self.left -= size if _makes(func) else 0
        if size > self.most or self.left < 0 or self.steps < 0:
            raise WeightsError(
                f"{self.source} holds weights that fit no network as a whole: a network with some of their shapes "
                "would be many times as large as they are"
            )
        return func(*args, **(kwargs or {}))


def check_indices(names: Iterable[str], source: object) -> None:
    """Check that no name counts further than there are weights: as many stages would be built.

    Raises:
        WeightsError: One does.
    """
    names = list(names)
    most = 4 * len(names) + 100
    for name in names:
        for number in re.findall(r"\d+", name):
            if len(number) > 9 or int(number) > most:
                raise WeightsError(
                    f"{source} holds weights that fit no network as a whole: the name of one counts to {number[:20]}, "
                    f"but there are {len(names)}"
                )


def _makes(func: Any) -> bool:  # noqa: ANN401
    return _name(func).startswith(("empty", "zeros", "ones", "full", "rand", "arange", "linspace", "eye", "new_"))


def _name(func: Any) -> str:  # noqa: ANN401
    return str(func.overloadpacket._qualified_op_name).removeprefix("aten::")


def _largest(func: Any, args: tuple[Any, ...]) -> int:  # noqa: ANN401
    """About how many numbers the result of an operation may have, by what it is given."""
    shapes = [argument.shape for argument in args if isinstance(argument, Tensor)]
    listed = [argument for argument in args if isinstance(argument, list | tuple) and argument]
    sizes = [math.prod(abs(int(side)) for side in one) for one in listed if all(type(side) is int for side in one)]
    several = sum(one.numel() for many in listed for one in many if isinstance(one, Tensor))
    numbers = [abs(int(one)) for one in args if type(one) is int] if _makes(func) else []
    joint = max((shape.numel() for shape in shapes), default=0)
    if len(shapes) > 1:
        with suppress(RuntimeError):  # no two that are spread over one another
            joint = math.prod(torch.broadcast_shapes(*shapes))  # type: ignore[no-untyped-call]
    if "repeat" in _name(func):
        sizes = [size * joint for size in sizes]
    return max([joint, several, *sizes, *numbers, 0])
