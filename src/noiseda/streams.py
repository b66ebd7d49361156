"""Standard output and error: what they cannot spell, and what to do when nobody reads them any more."""

from __future__ import annotations

import io
import os
import re
import select
import sys
from contextlib import suppress
from typing import TextIO


def prepare() -> None:
    r"""Let every text be printed, whatever the streams are.

    Characters that a stream has not (of a name that is no UTF-8; of any language, where it is ASCII) are written as
    escapes such as ``\udce9``. Streams that are closed go nowhere; their numbers are taken, so that no file that is
    opened later is written over.
    """
    with suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(number, True)
        os.close(number)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed before this process began
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (for as long as the process)
        elif isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):  # broken already: whoever writes to it will know
                stream.reconfigure(errors="backslashreplace")


def plain(text: str) -> str:
    r"""A text whose control characters are escapes, but for ends of lines and tabs: names may hold any.

    >>> plain("a\x1b[31mred")
    'a\\x1b[31mred'
    """
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda found: f"\\x{ord(found[0]):02x}", text)


def one_line(text: str) -> str:
    r"""The same on one line: ends of lines are escapes too.

    >>> one_line("a\nb")
    'a\\nb'
    """
    return plain(text).replace("\n", "\\n")


def flush() -> None:
    """Write what is left to write.

    Raises:
        OSError: where a stream cannot be written.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def lost() -> str | None:
    """The name of a stream that cannot be written any more; None where all can.

    From here on what is written to it goes nowhere, so that the end of this process is quiet.
    """
    found = None
    for name, stream in (("standard output", sys.stdout), ("standard error", sys.stderr)):
        try:
            stream.flush()  # what could not be written before is tried again
            whole = not _is_hung_up(stream)
        except (OSError, ValueError):
            whole = False
        if not whole:
            _silence(stream)
            found = found or name
    return found


def _is_hung_up(stream: TextIO) -> bool:
    """Whether a stream is a pipe whose other end is closed."""
    with suppress(OSError, ValueError, AttributeError):  # no number, or no such look on this system
        look = select.poll()
        look.register(stream.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in look.poll(0))
    return False


def _silence(stream: TextIO) -> None:
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
