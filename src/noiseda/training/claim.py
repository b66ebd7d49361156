"""Whose folder ``--out`` is: a run's, with its settings beside it, or nobody's yet."""

from __future__ import annotations

from noiseda.config import AdaptSettings, differences, read_settings, write_settings
from noiseda.errors import UserError
from noiseda.training import checkpoints


def check_claim(settings: AdaptSettings) -> None:
    """Check that a run may begin in ``--out``, or continue there.

    A run that has no checkpoint yet may be begun anew with other settings.

    Raises:
        UserError: where the folder holds a run with other settings; each is named with its old and new value.
    """
    path = settings.out / "settings.yaml"
    if not path.exists() or not checkpoints.found(settings.out / "checkpoints"):
        return
    changed = differences(read_settings(path), settings)
    if changed:
        raise UserError(
            f"--out {settings.out} holds a run with other settings ({'; '.join(changed)}). "
            "Give another --out, or remove that folder to start anew"
        )


def claim(settings: AdaptSettings) -> None:
    """Make the run's folder ours, and clear away what a kill cut off while it was written.

    Raises:
        UserError: where it belongs to another run (see :func:`check_claim`) or cannot be written.
    """
    try:
        check_claim(settings)
        settings.out.mkdir(parents=True, exist_ok=True)
        for partial in settings.out.glob(".*.part"):
            partial.unlink()
        write_settings(settings, settings.out / "settings.yaml")
    except OSError as error:
        raise UserError(f"--out {settings.out} cannot be written: {error.strerror or error}") from error
