"""How much the noise error counts at each level.

Papers state a weight for the squared error of the clean signal. At equal y_t the squared error of eps_hat is SNR times
as large, so that a weight w of the clean signal's error is w / SNR of the noise's: with that factor the loss is the
same whatever the network predicts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from noiseda.diffusion.prediction import Prediction, snr
from noiseda.diffusion_settings import WeightingName

__all__ = ["P2", "WEIGHTINGS", "MinSnr", "UniformWeighting", "Weighting"]


class Weighting(ABC):
    """A weight for each noise level."""

    @abstractmethod
    def __call__(self, alpha_bar: Tensor, prediction: Prediction) -> Tensor:
        """The factor of the squared error of eps_hat.

        Args:
            alpha_bar: (B,) noise levels in (0, 1).
            prediction: what the network predicts.

        Returns:
            (B,), at least 0.
        """


class UniformWeighting(Weighting):
    """The error of what the network predicts counts alike at every level.

    Of the clean signal's error it is SNR for eps (Ho et al., arXiv 2006.11239), SNR + 1 for v and 1 for the clean
    signal.
    """

    def __call__(self, alpha_bar: Tensor, prediction: Prediction) -> Tensor:
        """1 for eps, 1 / alpha_bar for v, 1 / SNR for the clean signal."""
        return prediction.share(alpha_bar)


class MinSnr(Weighting):
    """min(SNR, gamma) of the clean signal's error (Hang et al., arXiv 2303.09556): easy levels do not rule.

    Args:
        most: gamma, the highest weight (the paper: 5).
    """

    def __init__(self, most: float = 5.0) -> None:
        self.most = most

    def __call__(self, alpha_bar: Tensor, prediction: Prediction) -> Tensor:
        """min(SNR, gamma) / SNR, whatever is predicted."""
        return (self.most / snr(alpha_bar).clamp(min=self.most)).clamp(max=1)


class P2(Weighting):
    """1 / (k + SNR)^power of the noise's error (Choi et al., arXiv 2204.00227).

    Levels of so little noise that only details are to be guessed count less.

    Args:
        k: keeps the weight finite where nothing is left of the signal (the paper: 1).
        power: how much less (the paper's gamma, 0.5 or 1); 0 is the uniform weighting of eps.
    """

    def __init__(self, k: float = 1.0, power: float = 1.0) -> None:
        self.k, self.power = k, power

    def __call__(self, alpha_bar: Tensor, prediction: Prediction) -> Tensor:
        """1 / (k + SNR)^power, whatever is predicted."""
        return (self.k + snr(alpha_bar)) ** -self.power


WEIGHTINGS: dict[WeightingName, Weighting] = {"uniform": UniformWeighting(), "min-snr": MinSnr(), "p2": P2()}
"""What ``--objective.weighting`` may name."""
