"""Networks within a run: their images are divided by the white level already, which others read from their files."""

from __future__ import annotations

from pathlib import Path

from noiseda.errors import UserError
from noiseda.precision import FULL
from noiseda.restoration import Restorer, load


def load_as_trained(path: Path) -> Restorer:
    """Load a network for images that have 1 where the photographs of the run are white (:mod:`noiseda.data.depth`).

    Raises:
        WeightsError: as :func:`noiseda.restoration.load`.
    """
    network = load(path)
    network.white_level = FULL
    return network


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
