"""``noiseda compare``: what the command line calls, by the entry point of research/pyproject.toml."""

from __future__ import annotations

from noiseda_research.comparison.harness import CompareReport, plan_of
from noiseda_research.comparison.harness import compare as carried_out
from noiseda_research.comparison.matrix import CompareSettings


def compare(settings: CompareSettings) -> CompareReport | str:
    """Compare strategies on sets of real images over seeds; running it again continues it.

    Args:
        settings: the matrix.

    Raises:
        UserError: settings that are wrong, images that are missing.
        Interrupted: Ctrl-C or SIGTERM; the same command continues.
    """
    if settings.dry_run:
        return plan_of(settings)
    report = carried_out(settings)
    print(report)
    return report
