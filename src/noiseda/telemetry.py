"""Nobody is notified: what the libraries below would report about a run to their makers is switched off.

ONNX Runtime is the one that does by itself: on import it writes an id of the machine into the user's cache and looks up
its maker's server. The others only report on what noiseda leaves alone, and are switched off all the same.
"""

from __future__ import annotations

import os

SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime; read once, when its library is loaded
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub
    "GRADIO_ANALYTICS_ENABLED": "False",
    "DO_NOT_TRACK": "1",  # what is agreed on among many
}
"""Environment variables and their values."""


def switch_off() -> None:
    """Set every switch, whatever it was before; processes that this one starts inherit them.

    Libraries read them when they are imported, so that this comes first: ``import noiseda`` calls it.
    """
    os.environ.update(SWITCHES)
