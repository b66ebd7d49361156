"""Errors that speak to the user: what was given, what was expected, which file or flag."""

import signal
from collections.abc import Iterable
from itertools import islice


class UserError(Exception):
    """Something the user can put right; its message is shown alone, without a traceback."""


class ImageError(UserError):
    """An image file that cannot be read or written; the message names the file."""


class WeightsError(UserError):
    """A weights file that cannot be loaded or kept; the message names the file."""


class Interrupted(Exception):  # noqa: N818 (not an error: the user asked for it)
    """The run was asked to stop and its checkpoint is written.

    Args:
        signal_number: the signal that asked.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


def none_usable(count: int, what: str, reasons: Iterable[str]) -> str:
    """That nothing of a folder can be used, and why, for the first three.

    >>> none_usable(2, "image", ["a.png is empty", "b.png is empty"])
    'none of its 2 images can be used (a.png is empty; b.png is empty)'
    >>> none_usable(1, "image", ["a.png is empty"])
    'its only image cannot be used (a.png is empty)'
    """
    said = "; ".join(islice(reasons, 3))
    return (
        f"its only {what} cannot be used ({said})"
        if count == 1
        else f"none of its {count} {what}s can be used ({said})"
    )
