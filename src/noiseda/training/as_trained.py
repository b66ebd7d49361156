"""Networks within a run: their images are divided by the white level already, which their files tell for others."""

from __future__ import annotations

from pathlib import Path

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
