"""The network that a run starts with: random weights, or those of a file; and which of them stay as they are."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

import torch

from noiseda.adaptation.catalogue import JUDGED, build_predictor, conditions_of
from noiseda.config import AdaptSettings, RestorerSettings
from noiseda.diffusion import load_diffusers
from noiseda.diffusion.stored import load_predictor
from noiseda.errors import UserError
from noiseda.restoration import Restorer, build_restorer, load
from noiseda.restoration.as_trained import check_keeps_size
from noiseda.training.named import naming


def start_of(settings: RestorerSettings) -> Restorer:
    """The network that a run starts with: random weights, or those of a file, which must be of the network asked for.

    Raises:
        UserError: when a file cannot be read or holds another network; when the network cannot be built.
    """
    if settings.weights is not None:
        with naming("weights"):
            given = load(settings.weights)
            check_keeps_size(given, str(settings.weights))
        if given.channels != settings.channels:
            raise UserError(
                f"--weights {settings.weights} restores images of {given.channels} channel(s): it needs "
                f"--restorer.channels {given.channels}"
            )
        return given.train()
    restorer = build_restorer(settings)
    if settings.start is None:
        return restorer
    with naming("restorer.start"):
        given = load(settings.start)
        check_keeps_size(given, str(settings.start))
    found, asked = (
        {name: tuple(weight.shape) for name, weight in network.tensors().items()} for network in (given, restorer)
    )
    if (given.architecture, found) != (restorer.architecture, asked):
        raise UserError(
            f"--restorer.start {settings.start} holds {_described(given)}, but --restorer.* asks for "
            f"{_described(restorer)}{_unlike(found, asked)} (--weights takes the network of a file as it is)"
        )
    return given.train()


def _described(network: Restorer) -> str:
    arguments = ", ".join(f"{name} {value}" for name, value in network.arguments.items())
    return f"a network {network.architecture}" + (f" of {arguments}" if arguments else "")


def _unlike(found: dict[str, tuple[int, ...]], asked: dict[str, tuple[int, ...]]) -> str:
    """The first weight in which two networks of the same architecture differ."""
    for name in found | asked:
        if found.get(name) != asked.get(name):
            return f": {name} is {found.get(name, 'missing')}, not {asked.get(name, 'to be there')}"
    return ""


def freeze(restorer: Restorer, patterns: Sequence[str]) -> None:
    """Let the weights whose names match a pattern stay as they are.

    Raises:
        UserError: when a pattern matches none, or all are matched.
    """
    weights = dict(restorer.named_parameters())
    shown = [name.removeprefix("network.") for name in weights]
    for pattern in patterns:
        if not fnmatch.filter(shown, pattern):
            near = ", ".join(dict.fromkeys(name.partition(".")[0] + ".*" for name in shown))
            raise UserError(f"--restorer.freeze {pattern} matches none of the network's weights ({near})")
    for name, weight in weights.items():
        if any(fnmatch.fnmatchcase(name.removeprefix("network."), pattern) for pattern in patterns):
            weight.requires_grad_(False)
    if not any(weight.requires_grad for weight in weights.values()):
        raise UserError(
            f"--restorer.freeze {', '.join(patterns)} matches all of the network's weights: none could learn"
        )


def check_start(settings: RestorerSettings) -> None:
    """Check that the network that is asked for can be had, and that a file of its weights holds it.

    Raises:
        UserError: when it cannot be built; when a file cannot be read, or holds another network.
    """
    settings = settings.settled()
    if settings.origin is not None or not settings.network.startswith("unet"):
        with torch.random.fork_rng(devices=[]):
            freeze(start_of(settings), settings.freeze)


def check_predictor(settings: AdaptSettings) -> None:
    """Check that ``--predictor.start`` holds a noise predictor, of the sizes that a run asks for where it has one.

    Raises:
        UserError: naming the flag.
    """
    if settings.predictor.start is None:
        return
    judged = [name for name in (settings.strategy, *settings.also) if name in JUDGED]
    with torch.random.fork_rng(devices=[]):
        for name in judged:
            build_predictor(settings, conditions=conditions_of(settings, name))
    if not judged:
        with naming("predictor.start"):
            read = load_diffusers if settings.predictor.from_folder else load_predictor
            read(settings.predictor.start)
