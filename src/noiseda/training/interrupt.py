"""Stop between two steps when asked to: to go on another time, or to keep what was learnt so far."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

import torch
from accelerate import Accelerator

END: int | None = getattr(signal, "SIGUSR1", None)
"""The signal that asks a run to end here and to keep its best weights, as if all its steps were done. Windows has none.
"""


class StopRequest:
    """Remembers a first Ctrl-C (SIGINT), SIGTERM or END instead of dying of it; a second Ctrl-C is obeyed at once.

    A second SIGTERM is not: a process under a launcher may get it from the launcher and from the scheduler, or while it
    writes its checkpoint, because a peer that had none to write has gone already. Who means it sends SIGKILL next.

    Attributes:
        signal_number: the signal that came, or None.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def __enter__(self) -> StopRequest:
        """Start to listen (signals reach the main thread alone)."""
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            heard = [signal.SIGINT, signal.SIGTERM, *([] if END is None else [END])]
            self._before = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def agreed(self, accelerator: Accelerator) -> int:
        """The signal that any process got, so that all stop after the same step; 0 where none did."""
        number = self.signal_number or 0
        if accelerator.num_processes == 1:
            return number
        return int(accelerator.gather(torch.tensor([number], device=accelerator.device)).max())

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is None:
            self.signal_number = number
        elif number == signal.SIGINT:
            raise KeyboardInterrupt


def leave_signals(worker: int) -> None:
    """Let a loader's worker ignore what is meant for the run: Ctrl-C reaches every process of a terminal."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
