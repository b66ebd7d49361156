"""A predictor as a network of one tensor, as the plain transcription wants it."""

from torch import nn


class Stacked(nn.Module):
    """Signal and conditions stacked along channels; (B, (1 + conditions) C, H, W), (B,) -> (B, C, H, W)."""

    def __init__(self, predictor):
        super().__init__()
        self.predictor = predictor

    def forward(self, x, level):
        signal, *conditions = x.split(self.predictor.channels, dim=1)
        return self.predictor(signal, tuple(conditions), level)
