"""What the fuzzing script must find, done by a stand-in for noiseda; by itself, since processes import it anew."""

import os
import time
import warnings
from pathlib import Path

from fuzz.cases import Case, tried


def fault(case: Case, place: Path) -> str | None:
    """Stands for noiseda: does what the case's kind says."""
    tried(place, case.kind)
    if case.kind == "raises":
        raise KeyError("no such key")
    if case.kind == "hangs":
        time.sleep(600)
    if case.kind == "computes for ever":
        while True:
            sum(range(10000))
    if case.kind == "grows":
        held = [bytearray(b"\1" * 10_000_000) for _ in range(300)]
        time.sleep(600)
        return str(len(held))
    if case.kind == "grows for a while":
        bytearray(b"\1") * 150_000_000
    if case.kind == "is killed":
        os.abort()
    if case.kind == "prints a traceback":
        os.write(2, b"Traceback (most recent call last):\n  File ...\nKeyError: 1\n")
    if case.kind == "warns":
        warnings.warn("something", UserWarning, stacklevel=1)
    return "case: refused" if case.kind == "refuses" else None
