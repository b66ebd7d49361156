"""Errors that say which flag they are about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from noiseda.errors import UserError


@contextmanager
def naming(flag: str) -> Iterator[None]:
    """Let an error say which flag named the folder, or the file: the flag of weights says that they are weights."""
    try:
        yield
    except UserError as error:
        raise UserError(f"--{flag} {str(error).removeprefix('weights file ')}") from error
