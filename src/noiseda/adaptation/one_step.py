"""One denoising step: what a noise predictor takes noised signals for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from noiseda.diffusion import Denoiser
from noiseda.dims import append_dims


def denoised(signals: Tensor, eps: Tensor, eps_hat: Tensor, alpha_bar: Tensor) -> Tensor:
    """The clean signals that a prediction of the noise stands for.

    In [-1, 1], y_t = sqrt(alpha_bar) y + sqrt(1 - alpha_bar) eps gives y_hat = (y_t - sqrt(1 - alpha_bar) eps_hat) /
    sqrt(alpha_bar) = y - sqrt((1 - alpha_bar) / alpha_bar) (eps_hat - eps). In [0, 1] the step is half as long.

    Args:
        signals: (B, C, *spatial) in [0, 1], before they were noised.
        eps: (B, C, *spatial) standard Gaussian noise that was added.
        eps_hat: (B, C, *spatial) the prediction.
        alpha_bar: (B,) noise levels in (0, 1].

    Returns:
        (B, C, *spatial), around [0, 1].

    >>> denoised(torch.full((1, 1, 1), 0.5), torch.ones(1, 1, 1), torch.zeros(1, 1, 1), torch.tensor([0.5]))
    tensor([[[1.]]])
    """
    ratio = append_dims(((1 - alpha_bar) / alpha_bar).sqrt(), signals.ndim)
    return signals - ratio * (eps_hat - eps) / 2


@torch.no_grad()
def one_step(
    denoiser: Denoiser, signals: Tensor, conditions: Sequence[Tensor], eps: Tensor, alpha_bar: Tensor
) -> Tensor:
    """Noise signals and denoise them in one step, without gradient to signals or predictor.

    Args:
        denoiser: the noise predictor.
        signals: (B, C, *spatial) in [0, 1].
        conditions: what the predictor may look at; none for a model of the signals alone.
        eps: (B, C, *spatial) standard Gaussian noise.
        alpha_bar: (B,) noise levels in (0, 1].

    Returns:
        (B, C, *spatial), around [0, 1].
    """
    return denoised(signals, eps, denoiser.predict(signals, conditions, eps, alpha_bar), alpha_bar)
