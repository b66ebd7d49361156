"""The run: settings or objects in, adapted weights out."""

from noiseda.errors import Interrupted
from noiseda.provenance import provenance
from noiseda.report.logged import read_log
from noiseda.training.build import build_objective, list_images, load_domains
from noiseda.training.checkpoints import latest as latest_checkpoint
from noiseda.training.cost import Description, describe
from noiseda.training.ema import MovingAverage
from noiseda.training.finish import Summary
from noiseda.training.fitting import fit
from noiseda.training.interrupt import StopRequest
from noiseda.training.loop import train
from noiseda.training.plan import Evidence, Plan, resolve
from noiseda.training.run import adapt, prepare
from noiseda.training.steps import Steps

__all__ = [
    "Description",
    "Evidence",
    "Interrupted",
    "MovingAverage",
    "Plan",
    "Steps",
    "StopRequest",
    "Summary",
    "adapt",
    "build_objective",
    "describe",
    "fit",
    "latest_checkpoint",
    "list_images",
    "load_domains",
    "prepare",
    "provenance",
    "read_log",
    "resolve",
    "train",
]
