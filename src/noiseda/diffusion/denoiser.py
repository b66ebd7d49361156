"""The conditional denoiser: the algebra between clean signals, noise levels and the bare network.

The network holds the weights and never hears of schedules or of value ranges; this layer scales signals from [0, 1] to
[-1, 1], noises them, and measures the error of the noise prediction. Noise and noise level are arguments. All of it
holds for signals of any rank: sound (B, C, T), images (B, C, H, W), clips (B, C, T, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from noiseda.dims import append_dims

LEVEL_SCALE = 1000.0


class Denoiser(nn.Module):
    """A noise predictor eps_hat = eps_theta(y_t, conditions, alpha_bar).

    Args:
        network: the bare network. It is called with the noised signals (B, C, *spatial), a tuple of conditions of the
            same shape, all with values around [-1, 1], and the noise levels (B,), 1000 alpha_bar; it returns
            (B, C, *spatial). How it looks at the conditions is its own choice.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

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
        eps_hat: Tensor = self(y, conditions, eps, alpha_bar)  # by way of hooks: they gather weights that are spread
        return eps_hat

    def forward(self, y: Tensor, conditions: Sequence[Tensor], eps: Tensor, alpha_bar: Tensor) -> Tensor:
        """As :meth:`predict`."""
        y_t = add_noise(2 * y - 1, eps, alpha_bar)
        eps_hat: Tensor = self.network(y_t, tuple(2 * x - 1 for x in conditions), alpha_bar * LEVEL_SCALE)
        return eps_hat.float()


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
