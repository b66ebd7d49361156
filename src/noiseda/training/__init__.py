"""The run: settings in, adapted weights out."""

from noiseda.errors import Interrupted
from noiseda.training.cost import Description, describe
from noiseda.training.journal import read_log
from noiseda.training.provenance import provenance
from noiseda.training.run import adapt
from noiseda.training.ship import Summary

__all__ = ["Description", "Interrupted", "Summary", "adapt", "describe", "provenance", "read_log"]
