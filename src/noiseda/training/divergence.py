"""Whether a run has blown up: steps that were too large have thrown the weights away, and the loss did not become NaN.

Adam's steps are as large as the learning rate, however the gradient is clipped. Where the rate is too large for a
network (a wide one bears less than a narrow one: a step moves what a layer gives by about the rate times the number of
its inputs, Yang et al., arXiv 2203.03466), training goes well for a thousand steps; then one step of the usual size
makes layer after layer louder, and gradient and loss grow tenfold to a millionfold. They come down again; what the
network knew does not come back. The averaged weights from before are what the run goes on with, at half the rate
(:func:`noiseda.training.state.look_back`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

WINDOW = 100
"""Steps whose gradients and losses are what is usual."""

LEAST = 50
"""Steps before which nothing is usual: at first gradients grow tenfold by themselves."""

TIMES = 12.0
"""How many times as large as usual a gradient is too large. In 200 steps of nine networks from random weights, in
batches of two, the fifth largest of twenty was 7 times at most; of a network for blur 14 times."""

LOSS = 3.0
"""How many times as large as usual the loss must be as well: the large gradients for blur came with usual losses."""

STEPS = 5
"""Steps that are too large, of the last :data:`WITHIN`; a strange image makes one."""

WITHIN = 20
"""The steps that are looked back on: a blow-up comes in fits. Averaged weights are kept as often."""


class BlowUp:
    """Watches gradients and losses, one of each a step."""

    def __init__(self) -> None:
        self._norms: deque[float] = deque(maxlen=WINDOW)
        self._losses: deque[float] = deque(maxlen=WINDOW)
        self._large: deque[bool] = deque(maxlen=WITHIN)

    def take(self, norm: float, loss: float, agree: Callable[[bool], bool] = bool) -> float | None:
        """Look at the next step.

        Args:
            norm: the Euclidean norm of its gradient, before it is clipped.
            loss: its loss.
            agree: lets several processes, which have the same gradient but each its own loss, answer alike; asked only
                where the gradient is too large.

        Returns:
            How many times as large as usual the gradient is, where the step is the :data:`STEPS`-th too large of the
            last :data:`WITHIN`; else None. What is usual is found anew from there: a loss that came in may have
            changed it.

        >>> watch = BlowUp()
        >>> [watch.take(norm, 0.1 * norm) for norm in [0.5] * 50 + [20.0, 20.0, 0.5, 20.0, 20.0, 20.0]][-2:]
        [None, 40.0]
        """
        usual = median(self._norms) if len(self._norms) >= LEAST else 0.0
        large = usual > 0 and norm > TIMES * usual and agree(loss > LOSS * median(self._losses))
        self._large.append(large)
        if not large:  # what is too large does not become usual
            self._norms.append(norm)
            self._losses.append(loss)
        if sum(self._large) < STEPS:
            return None
        for seen in (self._norms, self._losses, self._large):
            seen.clear()
        return norm / usual

    def state_dict(self) -> dict[str, list[Any]]:
        """What was seen, for a checkpoint."""
        return {"norms": list(self._norms), "losses": list(self._losses), "large": list(self._large)}

    def load_state_dict(self, state: Mapping[str, list[Any]]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self._norms = deque(state["norms"], maxlen=WINDOW)
        self._losses = deque(state["losses"], maxlen=WINDOW)
        self._large = deque(state["large"], maxlen=WITHIN)
