"""One harness for all rivals: strategies x data sets x seeds, the same network, data, steps and batch for each."""

from noiseda_research.comparison.harness import compare

__all__ = ["compare"]
