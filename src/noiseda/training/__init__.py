"""The run: settings in, adapted weights out."""

from noiseda.training.interrupt import Interrupted
from noiseda.training.run import Summary, adapt

__all__ = ["Interrupted", "Summary", "adapt"]
