"""What was computed of an image, kept while there is room: a run scores the same photographs again and again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from torch import Tensor


class Remembered:
    """Results by what they were computed of; those asked for longest ago are forgotten first. Threads may share it.

    Args:
        room: bytes that the results may take together.
    """

    def __init__(self, room: int) -> None:
        self.room, self._taken = room, 0
        self._known: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, images: Tensor, what: Hashable, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """What ``compute`` makes of images, computed once.

        Args:
            images: of any shape, on the CPU.
            what: tells results apart that are computed differently.
            compute: gives the same of the same images, and what nobody changes in place.
        """
        content = hashlib.blake2b(images.detach().contiguous().float().numpy().tobytes(), digest_size=20).digest()
        key = (what, tuple(images.shape), images.dtype, content)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        found = compute(images)
        size = found.numel() * found.element_size()
        if size <= self.room:
            with self._lock:
                if key not in self._known:
                    self._known[key] = found
                    self._taken += size
                while self._taken > self.room:
                    _, oldest = self._known.popitem(last=False)
                    self._taken -= oldest.numel() * oldest.element_size()
        return found

    def __len__(self) -> int:
        """How many results are known."""
        return len(self._known)
