"""The conditional denoiser: the algebra between clean signals, noise levels and the bare network.

The network holds the weights and never hears of schedules or of value ranges; this layer scales signals from [0, 1] to
[-1, 1], noises them, takes the noise from what the network predicts, and measures its error. Noise and noise level are
arguments. All of it holds for signals of any rank: sound (B, C, T), images (B, C, H, W), clips (B, C, T, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from noiseda.diffusion.prediction import EPS, Prediction
from noiseda.dims import append_dims

LEVEL_SCALE = 1000.0


class Denoiser(nn.Module):
    """A noise predictor eps_hat = eps_theta(y_t, conditions, alpha_bar).

    Args:
        network: the bare network. It is called with the noised signals (B, C, *spatial), a tuple of conditions of the
            same shape, all with values around [-1, 1], and the noise levels (B,), 1000 alpha_bar; it returns
            (B, C, *spatial). How it looks at the conditions is its own choice.
        prediction: what the network's answer means: the noise (:data:`~noiseda.diffusion.prediction.EPS`), v or the
            clean signal. Whatever it is, the denoiser speaks of the noise.
    """

    def __init__(self, network: nn.Module, prediction: Prediction = EPS) -> None:
        super().__init__()
        self.network = network
        self.prediction = prediction

    def error(self, y: Tensor, conditions: Sequence[Tensor], eps: Tensor, alpha_bar: Tensor) -> Tensor:
        """The error of the noise prediction, signal by signal (Eq. 1, arXiv 2406.18516).

        Args:
            y: (B, C, *spatial) clean signals in [0, 1].
            conditions: signals (B, C, *spatial) in [0, 1] that the prediction may look at; none for a model of ``y``
                alone.
            eps: (B, C, *spatial) standard Gaussian noise.
            alpha_bar: (B,) noise levels in (0, 1).

        Returns:
            (B,): mean over channels and places of (eps - eps_hat)^2.
        """
        return squared_error(eps, self.predict(y, conditions, eps, alpha_bar))

    def predict(self, y: Tensor, conditions: Sequence[Tensor], eps: Tensor, alpha_bar: Tensor) -> Tensor:
        """The noise that the network sees in noised signals; arguments as for :meth:`error`.

        Returns:
            (B, C, *spatial) float32: eps_hat.
        """
        y_t = add_noise(2 * y - 1, eps, alpha_bar)
        return self.prediction.eps(y_t, self._answer(y_t, conditions, alpha_bar), alpha_bar)

    def clean(self, y: Tensor, conditions: Sequence[Tensor], eps: Tensor, alpha_bar: Tensor) -> Tensor:
        """The clean signals that the network sees behind noised ones, in one step; arguments as for :meth:`error`.

        Returns:
            (B, C, *spatial) float32, around [0, 1], not clamped.
        """
        y_t = add_noise(2 * y - 1, eps, alpha_bar)
        return (self.prediction.clean(y_t, self._answer(y_t, conditions, alpha_bar), alpha_bar) + 1) / 2

    def denoise(self, y_t: Tensor, conditions: Sequence[Tensor], alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
        """Noise and clean signal behind signals that are noised already, as a sampler such as DDIM needs them.

        Args:
            y_t: (B, C, *spatial), noised as :func:`add_noise` does: y_t = sqrt(alpha_bar) y + sqrt(1 - alpha_bar) eps
                with y in [-1, 1].
            conditions: signals (B, C, *spatial) in [0, 1].
            alpha_bar: (B,) noise levels in (0, 1).

        Returns:
            eps_hat, and the clean signals around [0, 1], not clamped: (B, C, *spatial) float32 each.
        """
        answer = self._answer(y_t, conditions, alpha_bar)
        clean = self.prediction.clean(y_t, answer, alpha_bar)
        return self.prediction.eps(y_t, answer, alpha_bar), (clean + 1) / 2

    def forward(self, y_t: Tensor, conditions: Sequence[Tensor], alpha_bar: Tensor) -> Tensor:
        """The network's answer, whatever it predicts; arguments as for :meth:`denoise`.

        Returns:
            (B, C, *spatial) float32.
        """
        answer: Tensor = self.network(y_t, tuple(2 * x - 1 for x in conditions), alpha_bar * LEVEL_SCALE)
        return answer.float()

    def _answer(self, y_t: Tensor, conditions: Sequence[Tensor], alpha_bar: Tensor) -> Tensor:
        answer: Tensor = self(y_t, conditions, alpha_bar)  # by way of hooks: they gather weights that are spread
        return answer


def squared_error(eps: Tensor, eps_hat: Tensor) -> Tensor:
    """(B, C, *spatial) twice -> (B,): the mean of (eps - eps_hat)^2."""
    return (eps - eps_hat).square().flatten(1).mean(dim=1)


def add_noise(y: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """y_t = sqrt(alpha_bar) y + sqrt(1 - alpha_bar) eps.

    Args:
        y: (B, C, *spatial) signals in [-1, 1].
        eps: (B, C, *spatial) standard Gaussian noise.
        alpha_bar: (B,) noise levels in (0, 1).

    Returns:
        (B, C, *spatial).
    """
    level = append_dims(alpha_bar, y.ndim)
    return level.sqrt() * y + (1 - level).sqrt() * eps
