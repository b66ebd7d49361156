"""Small forms of every network of the catalogue, which tests can afford."""

from noiseda.restoration import Restorer, build_restorer
from noiseda.restorer_settings import RestorerSettings

SMALL = {
    "unet-tiny": {"width": 4, "depth": 2},
    "dncnn": {"width": 8, "depth": 4},
    "nafnet": {"width": 4, "blocks": [1] * 9},
    "swinir": {"width": 12, "blocks": [2, 2, 2, 2]},
    "uformer": {"width": 4, "blocks": [1] * 9},
    "drunet": {"width": 4, "blocks": [2]},
    "scunet": {"width": 64, "blocks": [1] * 7},
    "kbnet": {"width": 8, "blocks": [1] * 9},
    "fftformer": {"width": 8, "blocks": [1, 1, 1, 1]},
    "restormer": {"width": 8, "blocks": [1] * 5},
    "mprnet": {"width": 8, "blocks": [1]},
    "mirnet2": {"width": 16, "blocks": [1]},
}


def built(name: str, channels: int = 3) -> Restorer:
    """A small one with random weights."""
    return build_restorer(RestorerSettings(network=name, channels=channels, **SMALL[name]))
