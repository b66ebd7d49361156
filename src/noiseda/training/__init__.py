"""The run: settings in, adapted weights out."""

from noiseda.errors import Interrupted
from noiseda.training.run import Summary, adapt

__all__ = ["Interrupted", "Summary", "adapt"]
