"""Networks within a run: their images are divided by the white level already, which others read from their files."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from safetensors.torch import load_file

from noiseda.errors import UserError
from noiseda.precision import FULL, to_memory_format
from noiseda.restoration import Restorer, load


def load_as_trained(path: Path) -> Restorer:
    """Load a network for images that have 1 where the photographs of the run are white (:mod:`noiseda.data.depth`).

    Raises:
        WeightsError: as :func:`noiseda.restoration.load`.
    """
    network = load(path)
    network.white_level = FULL
    to_memory_format(network, torch.channels_last)  # as noiseda restore has it: faster where nothing is learnt
    return network


def like(network: Restorer, path: Path) -> Restorer:
    """A network as it was when a file of its run was written.

    Args:
        network: of the run. One of the user's own, which no table knows, is copied and given the file's weights.
        path: the file.

    Raises:
        WeightsError: as :func:`noiseda.restoration.load`.
    """
    if network.architecture:
        return load_as_trained(path)
    found = copy.deepcopy(network)
    found.load_state_dict(load_file(path))
    return found


def check_keeps_size(network: Restorer, what: str) -> None:
    """Check that a network restores images in their own size, as all that trains and judges it takes for granted.

    Args:
        network: the network.
        what: what holds it, for the error.

    Raises:
        UserError: it enlarges them.
    """
    if network.scale != 1:
        raise UserError(
            f"{what} enlarges images by {network.scale}; noiseda adapts networks that keep their size (noiseda restore "
            "takes this one)"
        )


def check_shape(network: Restorer, what: str) -> None:
    """Check, on one small signal, that a network gives signals of the shape that it takes.

    Raises:
        UserError: it gives another one, or names no multiple that sides must be.
    """
    if not hasattr(network, "multiple_of"):
        raise UserError(f"{what} states no multiple_of: the number that the sides it takes are multiples of, such as 1")
    side = max(network.minimum, 16)
    weight = next(network.parameters(), torch.zeros(()))
    signal = torch.full((1, network.channels, *(side,) * network.dims), 0.5, device=weight.device)
    modes = {module: module.training for module in network.modules()}
    try:
        network.eval()
        with torch.no_grad():
            found = tuple(network(signal).shape)
    finally:
        for module, mode in modes.items():
            module.training = mode
    if found != tuple(signal.shape):
        raise UserError(f"{what} turned {tuple(signal.shape)} into {found}; expected the same shape")
