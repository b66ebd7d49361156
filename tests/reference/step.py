"""The method's training step as published, transcribed plainly: fp32, channels-first, one pass of a network per input.

The rival of ``bench/training.py``, and the oracle of a whole step: it shares no code with ``noiseda``.
"""

import copy

import torch
from torch.nn import functional

from tests.reference.paper import charbonnier, weight


class PlainStep:
    """Both networks, their Adam and their moving averages; ``step`` takes one optimiser step and returns the loss.

    restorer: image (B, 3, H, W) -> image; predictor: (B, 9, H, W) in [-1, 1], (B,) level -> noise.
    """

    def __init__(self, restorer, predictor, *, learning_rate=1e-4, decay=0.9999, margin=0.1):
        self.restorer, self.predictor = restorer, predictor
        self.margin, self.decay = margin, decay
        self.optimizers = [torch.optim.Adam(net.parameters(), lr=learning_rate) for net in (restorer, predictor)]
        self.averages = [copy.deepcopy(net) for net in (restorer, predictor)]

    def loss(self, x_syn, y_syn, x_real, eps, alpha_bar, swap, swap_negative, progress):
        restored_syn, restored_real = self.restorer(x_syn), self.restorer(x_real)
        a = alpha_bar[:, None, None, None]
        y_t = torch.sqrt(a) * (2 * y_syn - 1) + torch.sqrt(1 - a) * eps

        def error(first, second, exchange):
            exchange = exchange[:, None, None, None]
            one, two = torch.where(exchange, second, first), torch.where(exchange, first, second)
            guess = self.predictor(torch.cat([y_t, 2 * one - 1, 2 * two - 1], 1), 1000 * alpha_bar)
            return functional.mse_loss(guess, eps)

        plus = error(restored_syn, restored_real, swap)
        minus = error(x_syn + (restored_real - x_real), x_real + (restored_syn - x_syn), swap_negative)
        contrast = functional.relu(plus - minus + self.margin)
        return charbonnier(y_syn, restored_syn) + weight(progress) * (plus + contrast) / 2

    def step(self, *batch, progress):
        loss = self.loss(*batch, progress)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        with torch.no_grad():
            for average, net in zip(self.averages, (self.restorer, self.predictor), strict=True):
                for kept, new in zip(average.parameters(), net.parameters(), strict=True):
                    kept.mul_(self.decay).add_(new, alpha=1 - self.decay)
        return loss.item()
