"""How near restored images are to their targets: measures, the field's protocols, reports and sheets."""

from noiseda.evaluation.borrowed import borrowed_pairs
from noiseda.evaluation.borrowed import score as borrowed_score
from noiseda.evaluation.comparisons import compared
from noiseda.evaluation.error_split import split_error
from noiseda.evaluation.interval import interval as bootstrap_interval
from noiseda.evaluation.label_free import SIGNALS, centre, signals
from noiseda.evaluation.metrics import psnr
from noiseda.evaluation.niqe import Niqe
from noiseda.evaluation.protocols import PROTOCOLS, ProtocolName, comparable
from noiseda.evaluation.sheet import Row
from noiseda.evaluation.sheet import sheet as before_after_sheet

__all__ = [
    "PROTOCOLS",
    "SIGNALS",
    "Niqe",
    "ProtocolName",
    "Row",
    "before_after_sheet",
    "bootstrap_interval",
    "borrowed_pairs",
    "borrowed_score",
    "centre",
    "comparable",
    "compared",
    "psnr",
    "signals",
    "split_error",
]
