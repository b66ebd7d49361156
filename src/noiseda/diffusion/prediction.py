"""What a network predicts: the noise, the clean signal, or v; each gives the other two.

With a = sqrt(alpha_bar) and s = sqrt(1 - alpha_bar), a noised signal is y_t = a y + s eps, so that whoever knows y_t
and one of y, eps and v = a eps - s y knows the others. Signals y are in [-1, 1] here, as the network sees them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from noiseda.diffusion_settings import PredictionName
from noiseda.dims import append_dims

__all__ = ["CLEAN", "EPS", "PREDICTIONS", "Prediction", "V", "snr"]

_LEAST = 1e-7
"""Least alpha_bar and 1 - alpha_bar that are divided by: about what float32 can tell from nothing near 1."""


class Prediction(ABC):
    """What the network's answer means.

    Attributes:
        name: as ``--objective.prediction`` has it.
    """

    name: str

    @abstractmethod
    def target(self, y: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
        """The right answer.

        Args:
            y: (B, C, *spatial) clean signals in [-1, 1].
            eps: (B, C, *spatial) standard Gaussian noise.
            alpha_bar: (B,) noise levels in (0, 1).

        Returns:
            (B, C, *spatial).
        """

    @abstractmethod
    def eps(self, y_t: Tensor, answer: Tensor, alpha_bar: Tensor) -> Tensor:
        """The noise that an answer speaks of.

        Args:
            y_t: (B, C, *spatial) noised signals.
            answer: (B, C, *spatial) of the network.
            alpha_bar: (B,) noise levels in (0, 1).

        Returns:
            (B, C, *spatial): eps_hat.
        """

    @abstractmethod
    def clean(self, y_t: Tensor, answer: Tensor, alpha_bar: Tensor) -> Tensor:
        """The clean signal that an answer speaks of; arguments as for :meth:`eps`.

        Returns:
            (B, C, *spatial), around [-1, 1], not clamped.
        """

    @abstractmethod
    def share(self, alpha_bar: Tensor) -> Tensor:
        """Squared error of the answer for each squared error of eps_hat, at equal y_t.

        Args:
            alpha_bar: (B,) noise levels in (0, 1).

        Returns:
            (B,): 1 for eps, 1 / alpha_bar for v, 1 / SNR for the clean signal.
        """


class _Eps(Prediction):
    """The noise (Ho et al., arXiv 2006.11239; the paper)."""

    name = "eps"

    def target(self, y: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
        """It is the noise itself."""
        return eps

    def eps(self, y_t: Tensor, answer: Tensor, alpha_bar: Tensor) -> Tensor:
        """The answer itself."""
        return answer

    def clean(self, y_t: Tensor, answer: Tensor, alpha_bar: Tensor) -> Tensor:
        """It is (y_t - s eps) / a."""
        a, s = _roots(alpha_bar, y_t.ndim)
        return (y_t - s * answer) / a.clamp(min=_LEAST**0.5)

    def share(self, alpha_bar: Tensor) -> Tensor:
        """It is 1 at every level."""
        return alpha_bar.new_ones(alpha_bar.shape)


class _V(Prediction):
    """v = a eps - s y (Salimans and Ho, arXiv 2202.00512, appendix D): the answer is as large at every level."""

    name = "v"

    def target(self, y: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
        """It is a eps - s y."""
        a, s = _roots(alpha_bar, y.ndim)
        return a * eps - s * y

    def eps(self, y_t: Tensor, answer: Tensor, alpha_bar: Tensor) -> Tensor:
        """It is s y_t + a v."""
        a, s = _roots(alpha_bar, y_t.ndim)
        return s * y_t + a * answer

    def clean(self, y_t: Tensor, answer: Tensor, alpha_bar: Tensor) -> Tensor:
        """It is a y_t - s v."""
        a, s = _roots(alpha_bar, y_t.ndim)
        return a * y_t - s * answer

    def share(self, alpha_bar: Tensor) -> Tensor:
        """It is 1 / alpha_bar."""
        return 1 / alpha_bar.clamp(min=_LEAST)


class _Clean(Prediction):
    """The clean signal."""

    name = "clean"

    def target(self, y: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
        """It is the clean signal itself."""
        return y

    def eps(self, y_t: Tensor, answer: Tensor, alpha_bar: Tensor) -> Tensor:
        """It is (y_t - a y) / s."""
        a, s = _roots(alpha_bar, y_t.ndim)
        return (y_t - a * answer) / s.clamp(min=_LEAST**0.5)

    def clean(self, y_t: Tensor, answer: Tensor, alpha_bar: Tensor) -> Tensor:
        """The answer itself."""
        return answer

    def share(self, alpha_bar: Tensor) -> Tensor:
        """It is (1 - alpha_bar) / alpha_bar."""
        return (1 - alpha_bar) / alpha_bar.clamp(min=_LEAST)


EPS, V, CLEAN = _Eps(), _V(), _Clean()

PREDICTIONS: dict[PredictionName, Prediction] = {"eps": EPS, "v": V, "clean": CLEAN}
"""What ``--objective.prediction`` may name."""


def snr(alpha_bar: Tensor) -> Tensor:
    """Signal-to-noise ratio alpha_bar / (1 - alpha_bar) of noise levels in (0, 1); any shape -> the same."""
    return alpha_bar / (1 - alpha_bar).clamp(min=_LEAST)


def _roots(alpha_bar: Tensor, dims: int) -> tuple[Tensor, Tensor]:
    """Shares of the signal and of the noise, (B, 1, ...) each."""
    level = append_dims(alpha_bar, dims)
    return level.sqrt(), (1 - level).sqrt()
