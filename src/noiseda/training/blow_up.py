"""Whether a run has blown up: steps that were too large have thrown the weights away, and the loss did not become NaN.

Adam's steps are as large as the learning rate, however the gradient is clipped. Where the rate is too large for a
network (a wide one bears less than a narrow one), training goes well for a thousand steps, and then the loss grows a
thousandfold within ten. It comes down again; what the network knew does not come back.
"""

from __future__ import annotations

from collections import deque
from statistics import median

WINDOW = 100
"""Steps whose gradients are what is usual."""

LEAST = 10
"""Steps before which nothing is usual."""

TIMES = 30.0
"""How many times as large as usual a gradient is too large; before a blow-up the largest of 1500 steps was 5 times."""

STEPS = 5
"""Steps in a row that are too large; a strange image makes one."""


class BlowUp:
    """Watches the norms of gradients, one a step."""

    def __init__(self) -> None:
        self._usual: deque[float] = deque(maxlen=WINDOW)
        self._large = 0

    def take(self, norm: float) -> float | None:
        """Look at the next gradient.

        Args:
            norm: its Euclidean norm, before it is clipped.

        Returns:
            How many times as large as usual it is, where it is the last of :data:`STEPS` in a row; else None.

        >>> watch = BlowUp()
        >>> [watch.take(norm) for norm in [0.5] * 20 + [20.0] * 5][-2:]
        [None, 40.0]
        """
        usual = median(self._usual) if len(self._usual) >= LEAST else None
        if usual is None or norm <= TIMES * usual:
            self._usual.append(norm)  # what is too large does not become usual
            self._large = 0
            return None
        self._large += 1
        return norm / usual if self._large == STEPS and usual > 0 else None
