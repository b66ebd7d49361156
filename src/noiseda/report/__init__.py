"""One page that shows a result: the verdict, pictures to compare, curves, a table. It knows nothing of training."""

from noiseda.report.page import LIMIT, write_report
from noiseda.report.parts import Chart, Comparison, Finding, Line, Pane, Report, Score, Table, Tone

__all__ = [
    "LIMIT",
    "Chart",
    "Comparison",
    "Finding",
    "Line",
    "Pane",
    "Report",
    "Score",
    "Table",
    "Tone",
    "write_report",
]
