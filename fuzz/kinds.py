"""Kind of case -> what tries it, in a process that tries many."""

from __future__ import annotations

from pathlib import Path

from fuzz.cases import Case


def run(case: Case, place: Path) -> str | None:
    """Try a case of any kind but kills; what a kind needs is imported when it is asked for."""
    if case.kind == "images":
        from fuzz import images as kind
    elif case.kind == "weights":
        from fuzz import weights as kind
    elif case.kind == "shards":
        from fuzz import shards as kind
    else:
        from fuzz import flags as kind
    return kind.run(case, place)


def prepare() -> None:
    """Import what the commands need, so that no case's time counts it."""
    import torch

    import noiseda.assessment.judge
    import noiseda.cli
    import noiseda.data.check
    import noiseda.evaluation.report
    import noiseda.inference.export
    import noiseda.training
    from noiseda.restoration import spandrel_models

    assert noiseda.cli
    torch.set_num_threads(1)
    spandrel_models.registry()
