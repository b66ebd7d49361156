"""Which network the weights of another program's file are of."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache

from torch import nn

from noiseda.errors import WeightsError
from noiseda.restoration.base import Restorer
from noiseda.restoration.contents import Contents
from noiseda.restoration.own import OWN
from noiseda.restoration.spandrel_models import detect, knows, unknown
from noiseda.restoration.stored import FLOATS, Stored, settle, shown
from noiseda.restoration.wrappings import USUAL, Candidate, candidates

log = logging.getLogger(__name__)


def find(held: Contents) -> Restorer:
    """Build the network of a file, with its averaged weights where it has such.

    Raises:
        WeightsError: No weights in it are those of a network, or they cannot be used.
        UserError: spandrel is not installed, which knows the networks of others.
    """
    found = candidates(held.tree)
    if not found:
        raise WeightsError(f"{held.path} holds no weights by name; expected tensors, plain or under {', '.join(USUAL)}")
    outlines = [{name: one.outline() for name, one in candidate.state.items()} for candidate in found]
    refused: list[tuple[Candidate, WeightsError]] = []
    for candidate, outline in zip(found, outlines, strict=True):
        own = next(filter(None, (network.detect(outline) for network in OWN.values())), None)
        if own is not None:
            check_shapes(own, candidate.state, held.path)
            own.load_state_dict(settle(candidate.state, held.path, held.size), assign=True)
            _tell(held, candidate, found, refused)
            return own
    for candidate, outline in zip(found, outlines, strict=True):
        if not knows(outline):
            continue
        state = settle(candidate.state, held.path, held.size)
        try:
            network = detect(state, held.path)
        except WeightsError as error:
            refused.append((candidate, error))
            continue
        _tell(held, candidate, found, refused)
        return network
    if refused:
        raise refused[0][1]
    for candidate in found:
        if {"down.0.0.weight", "head.weight"} <= candidate.state.keys():  # one of ours, but for what is odd
            settle(candidate.state, held.path, held.size)
    raise WeightsError(unknown(next((one.state for one in found if not one.at), found[0].state), held.path))


def check_shapes(network: nn.Module, state: Mapping[str, Stored], path: object = "") -> None:
    """Check that weights are those that a network has, of floating-point numbers.

    Raises:
        ValueError: One is missing, too many or of another shape.
        WeightsError: One is of whole numbers.
    """
    asked = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    for name in [*asked, *state]:
        given = state[name].shape if name in state else "missing"
        if given != asked.get(name):
            wanted = asked.get(name, "to be missing")
            raise ValueError(f"{shown(name)} is {str(given)[:60]}, expected {wanted}")
    for name, one in state.items():
        if one.dtype not in FLOATS and not one.odd:
            raise WeightsError(
                f"{path}: {name} is of {one.dtype}; expected weights of {', '.join(FLOATS)}".lstrip(": ")
            )


def _tell(
    held: Contents, taken: Candidate, found: list[Candidate], refused: list[tuple[Candidate, WeightsError]]
) -> None:
    """Say which of several weights were taken, and what was left out."""
    if taken.averaged:
        raw = next((one for one in found if not one.averaged and _shapes(one) == _shapes(taken)), None)
        if raw is not None:
            where = f"in `{raw.at}`" if raw.at else "beside them"
            _say(f"{held.path}: loaded the averaged weights (`{taken.at}`); the raw ones are {where}")
    elif any(one.averaged for one, _ in refused):
        at = next(one.at for one, _ in refused if one.averaged)
        _say(f"{held.path}: loaded the raw weights (`{taken.at}`), since the averaged ones (`{at}`) fit no network")
    if taken.left_out():
        _say(f"{held.path}: loaded the weights in `{taken.at}`; left out what lies beside them: {taken.left_out()}")


def _shapes(candidate: Candidate) -> list[tuple[int, ...]]:
    """What raw and averaged weights have in common, whatever their names begin with."""
    return sorted(one.shape for one in candidate.state.values())


@cache
def _say(text: str) -> None:
    """Say it, once: a run may load a file several times."""
    log.warning("%s", text)
