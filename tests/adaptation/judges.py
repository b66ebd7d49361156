"""Noise predictors whose answer is known, for the tests of objectives that ask one."""

import torch
from torch import nn

from noiseda.dims import append_dims


class Sees(nn.Module):
    """Answers with the noise that lies over given clean signals, whatever it is shown.

    Args:
        clean: (N, C, *spatial) in [0, 1], as many as signals are shown; or one number for all.
    """

    def __init__(self, clean):
        super().__init__()
        self.clean = clean

    def forward(self, y_t, conditions, level):
        alpha_bar = append_dims(level / 1000, y_t.ndim)
        return (y_t - alpha_bar.sqrt() * (2 * self.clean - 1)) / (1 - alpha_bar).sqrt()


class Line(nn.Module):
    """eps_hat = slope * y_t + lean * the first condition: a predictor with a gradient for each of its parts."""

    def __init__(self, slope=0.3, lean=0.2):
        super().__init__()
        self.slope, self.lean = nn.Parameter(torch.tensor(slope)), nn.Parameter(torch.tensor(lean))

    def forward(self, y_t, conditions, level):
        leaning = sum(conditions) if conditions else 1.0
        return self.slope * y_t + self.lean * leaning
