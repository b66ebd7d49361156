"""The run: settings or objects in, adapted weights out."""

from noiseda.errors import Interrupted
from noiseda.training.cost import Description, describe
from noiseda.training.finish import Summary
from noiseda.training.fitting import fit
from noiseda.training.logger import read_log
from noiseda.training.plan import Evidence, Plan, resolve
from noiseda.training.provenance import provenance
from noiseda.training.run import adapt

__all__ = [
    "Description",
    "Evidence",
    "Interrupted",
    "Plan",
    "Summary",
    "adapt",
    "describe",
    "fit",
    "provenance",
    "read_log",
    "resolve",
]
